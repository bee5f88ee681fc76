"""Files of recorded outputs: their formats, and what is wrong with broken ones."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.replays import jsonl, outputs
from themis_lib.builtins.generators import ReplayGenerator
from themis_lib.builtins.recordings import Columns, read_recording
from themis_lib.errors import DatasetError

COLUMNS = Columns(output="output", case_id="case_id", sample=None)


def test_recording_is_by_case_and_then_by_sample(tmp_path: Path) -> None:
    """Rows of a case are numbered in the order of the file; its digest is beside
    them.
    """
    path = jsonl(tmp_path / "recorded.jsonl")

    recording = read_recording(
        path,
        COLUMNS,
        file_format="jsonl",
        storage_options={},
    )

    assert {"a": {0: "A: 1", 1: "A: 3"}, "b": {0: {"answer": 2}}} == recording.outputs
    content = Path(path).read_bytes()
    assert hashlib.sha256(content).hexdigest() == recording.sha256


def test_columns_name_the_sample_column_where_there_is_one() -> None:
    """Every column that is named must be in the file."""
    numbered = Columns(output="o", case_id="c", sample="s")

    assert ["case_id", "output"] == COLUMNS.names
    assert ["c", "o", "s"] == numbered.names


@pytest.mark.parametrize(("written", "sample"), [(2, 2), ("2", 2), (0, 0)])
def test_sample_is_a_number_or_its_digits(written: Any, sample: int) -> None:
    """Cells of CSV are text; without a sample column the default counts."""
    numbered = Columns(output="o", case_id="c", sample="s")

    assert sample == numbered.sample_of({"s": written}, "here", default=7)
    assert 7 == COLUMNS.sample_of({"s": written}, "here", default=7)


@pytest.mark.parametrize("written", [-1, "-1", 1.0, True, None, "", "one"])
def test_anything_else_is_no_sample(written: Any) -> None:
    """The message says where it is."""
    numbered = Columns(output="o", case_id="c", sample="s")

    with pytest.raises(DatasetError, match=r"^here: the sample is no number"):
        numbered.sample_of({"s": written}, "here", default=0)


@pytest.mark.parametrize("written", [None, "", True, 1.0, ["a"]])
def test_anything_but_text_and_whole_numbers_is_no_case_id(written: Any) -> None:
    """A whole number is the text of its digits."""
    assert "7" == COLUMNS.case_id_of({"case_id": 7}, "here")
    with pytest.raises(DatasetError, match=r"^here: the case id is neither"):
        COLUMNS.case_id_of({"case_id": written}, "here")


@pytest.mark.parametrize(
    "name", ["recorded.jsonl", "recorded.ndjson", "RECORDED.JSONL"]
)
def test_replay_returns_the_recorded_outputs_of_json_lines(tmp_path, name):
    """Rows of one case are its samples in the order of the file; an output is any JSON
    value.
    """
    generator = ReplayGenerator(path=jsonl(tmp_path / name))

    assert ["A: 1", "A: 3", {"answer": 2}] == outputs(
        generator, ("a", 0), ("a", 1), ("b", 0)
    )


def test_replay_reads_csv(tmp_path):
    """CSV cells are text, also ids that look like numbers; quoted cells may hold lines,
    quotes and commas.
    """
    path = tmp_path / "recorded.csv"
    path.write_bytes(b'\xef\xbb\xbfcase_id,output\r\n007,"A: ""1"",\n2"\r\n\r\n8,\r\n')
    generator = ReplayGenerator(path=str(path))

    assert ['A: "1",\n2', ""] == outputs(generator, ("007", 0), ("8", 0))


def test_replay_reads_a_long_csv_cell(tmp_path):
    """An output longer than Python's own limit for a cell is read whole."""
    path = tmp_path / "recorded.csv"
    path.write_text(f"case_id,output\na,{'x' * 200_000}\n")

    assert ["x" * 200_000] == outputs(ReplayGenerator(path=str(path)), ("a", 0))


def test_replay_reads_parquet(tmp_path):
    """Parquet columns keep their types; whole numbers are ids too."""
    path = tmp_path / "recorded.parquet"
    pq.write_table(
        pa.table({"n": [1, 2], "text": [["x"], ["y", "z"]], "unused": [0, 0]}), path
    )
    generator = ReplayGenerator(path=str(path), column="text", case_id_column="n")

    assert [["x"], ["y", "z"]] == outputs(generator, ("1", 0), ("2", 0))


def test_replay_reads_any_filesystem():
    """The path is any fsspec URL."""
    with fsspec.open("memory://replay/recorded.jsonl", "w") as file:
        file.write('{"case_id": "a", "output": 1}')

    assert [1] == outputs(
        ReplayGenerator(path="memory://replay/recorded.jsonl"), ("a", 0)
    )


def test_replay_reads_a_path_with_brackets(tmp_path):
    """A path is a path, never a pattern."""
    generator = ReplayGenerator(path=jsonl(tmp_path / "run[1]*.jsonl"))

    assert ["A: 1"] == outputs(generator, ("a", 0))


BROKEN: list[tuple[str, bytes, dict[str, Any], list[str]]] = [
    (
        "a.jsonl",
        b'{"case_id": "a", "output": 1}\n{"case_id"\n',
        {},
        ["a.jsonl:2: not JSON"],
    ),
    ("a.jsonl", b'{"case_id": "a", "output": NaN}', {}, ["a.jsonl:1: not JSON"]),
    ("a.jsonl", b'\n\n["a", 1]\n', {}, ["a.jsonl:3: not a JSON object"]),
    ("a.jsonl", b'{"case_id": "a", "output": "\xff"}', {}, ["a.jsonl:1: not JSON"]),
    (
        "a.jsonl",
        b'{"case_id": "a", "output": 1}',
        {"column": "outptu"},
        [
            "a.jsonl:1",
            "no column 'outptu'",
            "did you mean 'output'?",
            "'case_id', 'output'",
        ],
    ),
    (
        "a.jsonl",
        b'{"case_id": "a"}',
        {},
        ["a.jsonl:1", "no column 'output'", "'case_id'"],
    ),
    ("a.jsonl", b'{"case_id": null, "output": 1}', {}, ["a.jsonl:1", "None"]),
    ("a.jsonl", b'{"case_id": true, "output": 1}', {}, ["a.jsonl:1", "True"]),
    (
        "a.jsonl",
        b'{"case_id": "a", "output": 1, "n": -1}',
        {"sample_column": "n"},
        ["a.jsonl:1", "-1"],
    ),
    (
        "a.jsonl",
        b'{"case_id": "a", "output": 1, "n": 0}\n{"case_id": "a", "output": 2, "n": 0}',
        {"sample_column": "n"},
        ["a.jsonl:2", "sample 0 of case 'a' is recorded twice"],
    ),
    (
        "a.csv",
        b"case_id,text\na,b\n",
        {},
        ["a.csv:1", "no column 'output'", "'case_id', 'text'"],
    ),
    ("a.csv", b"", {}, ["a.csv:1", "no column 'case_id'"]),
    (
        "a.csv",
        b'case_id,output\na,"1\n2"\nb,2,3\n',
        {},
        ["a.csv:4", "3 cells under 2 column names"],
    ),
    ("a.csv", b'case_id,output\na,"1"2\n', {}, ["a.csv:2: not CSV"]),
    (
        "a.csv",
        b"case_id,output,output\na,1,2\n",
        {},
        ["two columns are called 'output'"],
    ),
    ("a.csv", b"case_id,output\na,\xff\n", {}, ["a.csv: not UTF-8"]),
    ("a.parquet", b"PAR1 no", {}, ["a.parquet: not Parquet"]),
]


@pytest.mark.parametrize(("name", "content", "settings", "words"), BROKEN)
def test_broken_file_is_found_by_check(tmp_path, name, content, settings, words):
    """One clear error before anything is generated: the file, the line, the column, the
    nearest choice.
    """
    path = tmp_path / name
    path.write_bytes(content)
    generator = ReplayGenerator(path=str(path), **settings)

    with pytest.raises(DatasetError) as raised:
        generator.check()

    assert [] == [word for word in words if word not in str(raised.value)], str(
        raised.value
    )
    assert "\n" not in str(raised.value)


def test_missing_column_of_parquet_is_named(tmp_path):
    """Parquet knows its columns without reading a row."""
    path = tmp_path / "recorded.parquet"
    pq.write_table(pa.table({"case_id": ["a"], "text": ["x"]}), path)

    with pytest.raises(
        DatasetError, match=r"recorded\.parquet: no column 'output'.*'case_id', 'text'"
    ):
        ReplayGenerator(path=str(path)).check()


def test_unknown_filesystem_is_named():
    """A protocol that fsspec does not know is one error, too."""
    with pytest.raises(DatasetError, match="nowhere://"):
        ReplayGenerator(path="nowhere://bucket/recorded.jsonl").check()
