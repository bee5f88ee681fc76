"""The mapping from the columns of a row to the parts of a case."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.dataset_files import PAIRS, QA, file_of
from themis_lib.data.columns import CaseMapping, CaseTexts, id_text, no_column
from themis_lib.data.csv_file import csv_source
from themis_lib.data.json_file import jsonl_source
from themis_lib.data.records import Source
from themis_lib.errors import DatasetError


def jsonl_of(*rows: dict[str, Any]) -> Source:
    """Return a source of JSON lines."""
    lines = [json.dumps(row) + "\n" for row in rows]
    return jsonl_source(io.BytesIO("".join(lines).encode()), "d.jsonl")


def cases_of(source: Source, **fields: Any) -> list[CaseTexts]:
    """Return the cases of a source under a mapping."""
    mapping = CaseMapping(file_of("d.jsonl", **fields), source)
    records = source.records(mapping.columns)
    return [mapping.case(at, row) for at, (_, row) in enumerate(records)]


def refusal_of(source: Source, **fields: Any) -> str:
    """Return the message that refuses a mapping."""
    with pytest.raises(DatasetError) as raised:
        CaseMapping(file_of("d.jsonl", **fields), source)
    return str(raised.value)


# Parts


def test_columns_are_mapped() -> None:
    """A text names one column; a list makes an object of its columns, in every part but
    the id.
    """
    row = {
        "q": "?",
        "a": 1,
        "b": 2,
        "id": 7,
        "subject": "art",
        "metadata": {"unused": 1},
    }
    columns = {
        "input": ["q", "b"],
        "expected_output": ["a"],
        "case_id": "id",
        "metadata": ["subject", "b"],
    }

    found = cases_of(jsonl_of(row), columns=columns)

    assert [("7", '{"b":2,"q":"?"}', '{"a":1}', '{"b":2,"subject":"art"}')] == found


def test_unmapped_parts_take_columns_of_their_name() -> None:
    """Without a mapping, each part of a case is the column of that name, where there is
    one.
    """
    full = {"case_id": "x", "input": 1, "expected_output": 2, "metadata": {"a": 1}}
    nulls = {"case_id": "y", "input": 1, "expected_output": None, "metadata": None}
    bare = {"case_id": "z", "input": 1}

    found = cases_of(jsonl_of(full, nulls, bare))

    assert [
        ("x", "1", "2", '{"a":1}'),
        ("y", "1", None, "{}"),
        ("z", "1", None, "{}"),
    ] == found


def test_blank_csv_cell_is_no_expected_output() -> None:
    """CSV cannot write null, so a blank cell is no expected output and no metadata, but
    an empty input.
    """
    content = b"input,expected_output,metadata\na,,\n,0,\n"
    source = csv_source(io.BytesIO(content), "d.csv", delimiter=",")

    found = cases_of(source)

    assert [("d-0000", '"a"', None, "{}"), ("d-0001", '""', '"0"', "{}")] == found


def test_empty_text_of_json_is_an_expected_output() -> None:
    """JSON can write null, so an empty text is one."""
    found = cases_of(jsonl_of({"input": "", "expected_output": ""}))

    assert [("d-0000", '""', '""', "{}")] == found


def test_columns_are_those_that_are_needed() -> None:
    """The columns of a mapping are those of cases and filter, each once, and none
    else.
    """
    row = {"q": 1, "a": 2, "metadata": {}, "level": 3, "other": 4}
    dataset = file_of(
        "d.jsonl",
        columns={"input": ["q", "a"], "expected_output": "a", "case_id": "{row}-{q}"},
        filter={"level": 3, "a": 2},
    )

    mapping = CaseMapping(dataset, jsonl_of(row))

    assert ["q", "a", "level", "metadata"] == mapping.columns


# Ids


def test_ids_default_to_row_numbers() -> None:
    """Without ids, a case is named after the dataset and the number of its row."""
    mapping = CaseMapping(file_of("d.jsonl"), jsonl_of({"input": 1}))

    ids = [mapping.case(number, {"input": 1})[0] for number in (3, 12_345)]

    assert ["d-0003", "d-12345"] == ids


def test_ids_may_follow_a_pattern() -> None:
    """A pattern with {row} may name columns, with their format, and the fields of an
    object.
    """
    rows = [
        {"input": 1, "subject": "art", "n": 7, "meta": {"id": "x"}},
        {"input": 2, "subject": "law", "n": 8, "meta": {"id": "y"}},
    ]
    pattern = "{subject}-{row:04d}-{n:02d}-{meta[id]}"

    found = cases_of(jsonl_of(*rows), columns={"case_id": pattern})

    assert ["art-0000-07-x", "law-0001-08-y"] == [case[0] for case in found]


def test_column_with_braces_is_no_pattern() -> None:
    """Only `{row` makes a pattern: a column may have braces in its name."""
    found = cases_of(jsonl_of({"input": 1, "{id}": "x"}), columns={"case_id": "{id}"})

    assert ["x"] == [case[0] for case in found]


@pytest.mark.parametrize(
    ("value", "text"),
    [("s", "s"), (0, "0"), (-5, "-5"), (1.5, "1.5"), (10**20, "100000000000000000000")],
)
def test_numbers_become_ids_as_text(value: object, text: str) -> None:
    """A text is an id as it is, a number as its JSON."""
    assert text == id_text(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the case id is neither text nor a number: None"),
        (True, "the case id is neither text nor a number: True"),
        (["a"], "the case id is neither text nor a number: ['a']"),
        ("", "the case id is empty"),
        (float("nan"), "not a JSON value: "),
        ("\ud800", "'utf-8' codec can't encode character"),
    ],
)
def test_value_that_cannot_be_an_id_is_refused(value: object, message: str) -> None:
    """Null, true, a list, an empty text, NaN and half a surrogate pair are no ids."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared below
        id_text(value)

    assert str(raised.value).startswith(message)


@given(st.text(st.characters(codec="utf-8"), min_size=1) | st.integers())
def test_ids_are_told_apart(value: str | int) -> None:
    """The text of an id is the id as it is written."""
    assert str(value) == id_text(value)


# Errors


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {},
            "d.jsonl:1: no column 'input' {columns}; map one: `columns: {input: …}`",
        ),
        (
            {"columns": {"input": "qestion"}},
            "d.jsonl:1: no column 'qestion'; did you mean 'question'? {columns}",
        ),
        (
            {"columns": {**QA, "metadata": ["level"]}},
            "d.jsonl:1: no column 'level' {columns}",
        ),
        (
            {"columns": {**QA, "case_id": "{row}{anwser}"}},
            "d.jsonl:1: no column 'anwser'; did you mean 'answer'? {columns}",
        ),
        (
            {"columns": QA, "filter": {"anwser": 1}},
            "d.jsonl:1: no column 'anwser'; did you mean 'answer'? {columns}",
        ),
        (
            {"columns": {**QA, "case_id": "{row"}},
            "dataset 'd': columns.case_id: "
            "'{row' is not a format pattern: expected '}' before end of string",
        ),
        (
            {"columns": {**QA, "case_id": ["question"]}},
            "dataset 'd': columns.case_id is a list; name one column or write a "
            "pattern, '{question}-{row}'",
        ),
    ],
)
def test_wrong_mapping_is_refused(fields: dict[str, Any], message: str) -> None:
    """An error in `columns` or `filter` names the column, and the nearest one there is."""
    source = jsonl_source(io.BytesIO(PAIRS.encode()), "d.jsonl")

    known = "(the columns are 'question', 'answer')"
    assert message.replace("{columns}", known) == refusal_of(source, **fields)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"metadata": "answer"},
            "column 'answer' is not an object: '2'; map a list of columns",
        ),
        (
            {"case_id": "{row}{answer:d}"},
            "case_id '{row}{answer:d}': Unknown format code 'd' for object of type 'str'",
        ),
        (
            {"case_id": "{row}{answer.x}"},
            "case_id '{row}{answer.x}': 'str' object has no attribute 'x'",
        ),
    ],
)
def test_value_that_does_not_fit_is_a_value_error(
    columns: dict[str, Any], message: str
) -> None:
    """A value that its part of the case cannot hold is named with its column or
    pattern.
    """
    source = jsonl_source(io.BytesIO(PAIRS.encode()), "d.jsonl")

    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared below
        cases_of(source, columns={**QA, **columns})

    assert message == str(raised.value)


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ({}, {"input": float("nan")}),
        ({}, {"input": 1, "expected_output": [float("inf")]}),
        ({"metadata": ["input", "n"]}, {"input": 1, "n": float("nan")}),
    ],
)
def test_value_outside_json_names_its_column(
    columns: dict[str, Any], row: dict[str, Any]
) -> None:
    """NaN and infinity are refused with their column, also inside an object."""
    first = {**row, **dict.fromkeys(row, 1)}
    mapping = CaseMapping(file_of("d.jsonl", columns=columns), jsonl_of(first))

    with pytest.raises(
        ValueError, match=f"^column '{list(row)[-1]}': not a JSON value: "
    ):
        mapping.case(0, row)


def test_row_may_lack_a_column() -> None:
    """A mapped column that a row lacks is a `KeyError`; one that is not mapped is null."""
    row = {"input": 1, "expected_output": 2, "answer": 3}
    default = CaseMapping(file_of("d.jsonl"), jsonl_of(row))
    columns = {"expected_output": "answer"}
    mapped = CaseMapping(file_of("d.jsonl", columns=columns), jsonl_of(row))

    assert ("d-0000", "1", None, "{}") == default.case(0, {"input": 1})
    with pytest.raises(KeyError, match=r"^'answer'$"):
        mapped.case(0, {"input": 1})


def test_ids_are_given_to_every_row_or_none() -> None:
    """A row with an id, where the first has none, is refused: its id would be lost."""
    mapping = CaseMapping(file_of("d.jsonl"), jsonl_of({"input": 1}))

    with pytest.raises(ValueError, match=r"^a case_id, where the first row has none; "):
        mapping.case(1, {"input": 2, "case_id": "x"})


def test_missing_column_is_named_with_all_there_are() -> None:
    """The message has the nearest column, if there is one, and all columns."""
    assert (
        "no column 'lvl'; did you mean 'level'? (the columns are 'input', 'level')"
        == no_column("lvl", iter(["input", "level"]))
    )
    assert "no column 'x' (the columns are 'input')" == no_column("x", ["input"])
