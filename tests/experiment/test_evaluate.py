"""The shorthand: an evaluation in one call."""

from __future__ import annotations

import asyncio
import json
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from themis_lib import (
    Case,
    ComponentError,
    ConfigError,
    Dataset,
    DatasetError,
    RunResult,
    ThemisError,
    evaluate,
    evaluate_async,
)


def shout(prompt: str) -> str:
    return prompt.upper()


@pytest.mark.parametrize(
    "data",
    [
        [{"input": "a", "expected_output": "A"}],
        [Case(case_id="c", input="a", expected_output="A")],
        Dataset(
            dataset_id="d", cases=[Case(case_id="c", input="a", expected_output="A")]
        ),
    ],
    ids=["mappings", "cases", "dataset"],
)
def test_data_may_be(data: list[Case] | Dataset) -> None:
    """Mappings, cases or a dataset."""
    assert 1.0 == evaluate(model=shout, data=data).summary[0].mean


def test_data_may_be_a_file(tmp_path: Path) -> None:
    """A path is a dataset file."""
    path = tmp_path / "cases.jsonl"
    path.write_text('{"input": "a", "expected_output": "A"}\n')

    assert 1.0 == evaluate(model=shout, data=path).summary[0].mean


def test_lists_are_several_metrics_and_parsers() -> None:
    """Each metric has its own row in the summary."""
    run = evaluate(
        model=shout,
        data=[{"input": "a", "expected_output": "A"}],
        metric=["builtin/exact_match", len_of_value],
        parser=["builtin/text"],
        samples=2,
    )

    assert ["exact_match", "len_of_value"] == [row.metric_id for row in run.summary]
    assert 2 == len(run.manifest.seeds)


def len_of_value(value: str, expected: str) -> float:
    return len(value)


def test_store_keeps_the_rows(tmp_path: Path) -> None:
    """A second call with a store computes nothing."""

    def computed() -> set[int]:
        run: RunResult = evaluate(
            model=shout, data=[{"input": "a"}], store=str(tmp_path / "store")
        )
        return {record.computed for record in run.manifest.stages}

    assert {1} == computed()
    assert {0} == computed()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([3], "data: item 0 is int"),
        ([{"input": "a"}, {"inptu": "b"}], "data: item 1: input: "),
        ([{"input": "a", 1: 2}], "data: item 0: 1: Keys should be strings"),
    ],
)
def test_bad_item_is_named(data: list[object], expected: str) -> None:
    """By its number and the field."""
    with pytest.raises(DatasetError) as failure:
        evaluate(model=shout, data=data)  # type: ignore[arg-type]

    assert str(failure.value).startswith(expected)


ROWS = [{"question": "a", "answer": "A"}, {"question": "b", "answer": "c"}]
COLUMNS = {"input": "question", "expected_output": "answer"}


@pytest.mark.parametrize("form", ["mappings", "file"])
def test_columns_are_mapped(form: str, tmp_path: Path) -> None:
    """The keys of mappings as the columns of a file."""
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))

    run = evaluate(model=shout, data=path if form == "file" else ROWS, columns=COLUMNS)

    assert 0.5 == run.summary[0].mean
    assert ["data-0000", "data-0001"] == [item.case.case_id for item in run.cases]


@pytest.mark.parametrize(
    ("data", "columns", "expected"),
    [
        (
            ROWS,
            {"input": "qestion"},
            "data: no column 'qestion'; did you mean 'question'?",
        ),
        (ROWS, {"imput": "question"}, "columns.imput is no part of a case"),
        ([{1: "a"}], COLUMNS, "data: no column 'question'"),
        ([{1: "a", "question": "b"}], COLUMNS, "data: no column 'answer'"),
        ([], COLUMNS, "data: there are no rows"),
        ([3], COLUMNS, "data: item 0 is int"),
        (
            [{"question": "a", "answer": "b"}, {"question": "a"}],
            COLUMNS,
            "data: item 1: no",
        ),
        (
            [{"question": {1}, "answer": "b"}],
            COLUMNS,
            "data: item 0: column 'question'",
        ),
        (
            Dataset(dataset_id="d", cases=[]),
            COLUMNS,
            "columns: map them in the dataset",
        ),
    ],
)
def test_bad_column_is_named(
    data: Any, columns: dict[str, str | list[str]], expected: str
) -> None:
    """With the item, as for a file."""
    with pytest.raises(DatasetError) as failure:
        evaluate(model=shout, data=data, columns=columns)

    assert expected in str(failure.value)


def test_repeated_id_is_one_line() -> None:
    """Pydantic would say it in three."""
    data = [{"case_id": "c", "input": "a"}] * 2

    with pytest.raises(ConfigError) as failure:
        evaluate(model=shout, data=data)

    assert "case id 'c' appears twice" in str(failure.value)
    assert "\n" not in str(failure.value)


def test_name_is_that_of_the_experiment() -> None:
    """Runs are found and compared under it."""
    run = evaluate(model=shout, data=[{"input": "a"}], name="capitals")

    assert "capitals" == run.manifest.name


def test_await_it_inside_an_event_loop() -> None:
    """The same tables as without one."""
    here = evaluate(model=shout, data=ROWS, columns=COLUMNS)

    there = asyncio.run(evaluate_async(model=shout, data=ROWS, columns=COLUMNS))

    assert here.to_arrow().equals(there.to_arrow())


def test_inside_a_loop_says_what_to_await() -> None:
    """Outside notebooks a running loop would stand still."""

    async def inside() -> None:
        evaluate(model=shout, data=ROWS, columns=COLUMNS)

    with pytest.raises(ThemisError, match="await evaluate_async"):
        asyncio.run(inside())


def test_error_is_raised_alone() -> None:
    """No other traceback is shown before it."""
    with pytest.raises(ComponentError) as failure:
        evaluate(model="openia", data=[{"input": "a"}])

    assert failure.value.__context__ is None or failure.value.__suppress_context__


def test_both_calls_take_the_same_arguments() -> None:
    """With the same defaults."""
    assert signature(evaluate) == signature(evaluate_async)


def test_data_without_expected_outputs_has_no_default_metric() -> None:
    """There is nothing to match; a metric that is asked for is refused."""
    run = evaluate(model=str.upper, data=[{"input": "a"}])

    assert ("completed", []) == (run.status.value, list(run.summary))
    with pytest.raises(ConfigError, match="'exact_match' needs expected outputs"):
        evaluate(model=str.upper, data=[{"input": "a"}], metric="builtin/exact_match")
