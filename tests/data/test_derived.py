"""Columns that a dataset derives from those of its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.dataset_files import error_of as opening_error_of
from tests.support.dataset_files import file_of, write_jsonl
from tests.support.hub import install_hub
from themis_lib.core.config import DatasetFile, HubDataset
from themis_lib.data.datasets import case_rows
from themis_lib.errors import DatasetError

ARC = [
    {
        "q": "Red?",
        "choices": {"text": ["Sun", "Mars"], "label": ["A", "B"]},
        "key": "B",
    },
    {"q": "Hot?", "choices": {"text": ["Sun", "Ice"], "label": ["1", "2"]}, "key": "1"},
]
DERIVE = {"answer": "choices.label.index(key)", "choices": "choices.text"}
COLUMNS: dict[str, Any] = {
    "input": ["q", "choices"],
    "expected_output": {"column": "answer", "map": "letter"},
}


def cases_of(dataset: DatasetFile | HubDataset) -> list[tuple[Any, Any]]:
    """Return input and expected output of each case."""
    return [
        (json.loads(case_input), json.loads(expected or "null"))
        for _, case_input, expected, _ in case_rows(dataset)
    ]


def error_of(dataset: DatasetFile) -> str:
    """Return the line that refuses a dataset."""
    with pytest.raises(DatasetError) as raised:
        cases_of(dataset)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_columns_are_derived_in_order(tmp_path: Path) -> None:
    """Each reads those before it, and one of a column's name takes its place."""
    path = write_jsonl(tmp_path / "d.jsonl", ARC)

    found = cases_of(file_of(path, derive=DERIVE, columns=COLUMNS))

    assert [
        ({"q": "Red?", "choices": ["Sun", "Mars"]}, "B"),
        ({"q": "Hot?", "choices": ["Sun", "Ice"]}, "A"),
    ] == found


def test_parquet_and_hub_derive_as_json_lines_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the columns that are needed are read of either."""
    jsonl = write_jsonl(tmp_path / "d.jsonl", ARC)
    parquet = str(tmp_path / "d.parquet")
    pq.write_table(pa.Table.from_pylist(ARC), parquet)
    install_hub(monkeypatch, ARC)
    hub = HubDataset.model_validate(
        {"dataset_id": "d", "huggingface": "a", "derive": DERIVE, "columns": COLUMNS}
    )

    expected = cases_of(file_of(jsonl, derive=DERIVE, columns=COLUMNS))

    assert expected == cases_of(file_of(parquet, derive=DERIVE, columns=COLUMNS))
    assert expected == cases_of(hub)


def test_filter_reads_derived_columns(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "d.jsonl", ARC)
    columns = {"input": "first"}
    derive = {
        "first": "choices.text[0]",
        "count": "q | length",
        "last": "choices.text[1]",
    }

    found = cases_of(
        file_of(path, derive=derive, columns=columns, filter={"last": "Ice"})
    )

    assert [("Sun", None)] == found


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "d.jsonl", ARC)

    message = error_of(file_of(path, derive={"a": "choises.text"}, columns=COLUMNS))

    assert message.startswith(f"{path}:1: no column 'choises'; did you mean 'choices'?")


def test_a_row_without_a_value_is_named(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "d.jsonl", [*ARC, {**ARC[0], "key": "9"}])

    message = error_of(file_of(path, derive=DERIVE, columns=COLUMNS))

    assert f"{path}:3: derive.answer: '9' is not in list" == message


def test_a_malformed_expression_names_its_column(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "d.jsonl", ARC)

    message = error_of(file_of(path, derive={"answer": "1 +"}, columns=COLUMNS))

    assert message.startswith("dataset 'd': derive.answer: '1 +': ")


def test_a_file_that_is_missing_is_said_first(tmp_path: Path) -> None:
    path = str(tmp_path / "nowhere.jsonl")

    assert "no file" in opening_error_of(file_of(path, derive=DERIVE))
