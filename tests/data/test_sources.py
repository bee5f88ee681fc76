"""Datasets opened as sources of rows, wherever they are."""

from __future__ import annotations

import gzip
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.support.dataset_files import (
    PAIRS,
    error_of,
    file_of,
    record_opened,
    rows_of,
    write,
)
from tests.support.hub import HubRows, install_hub
from themis_lib.core.config import DatasetFile, HubDataset
from themis_lib.data.sources import did_you_mean, opened
from themis_lib.errors import DatasetError, TransientError

ROWS = [{"question": "1+1", "answer": "2"}, {"question": "2+2", "answer": "4"}]


def values_of(dataset: DatasetFile | HubDataset) -> list[dict[str, Any]]:
    """Return the rows of a dataset without their numbers."""
    return [row for _, row in rows_of(dataset)]


# Files


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_any_fsspec_url_is_read(tmp_path: Path, suffix: str) -> None:
    """A file behind a URL has the columns and rows that it has on disk."""
    local = tmp_path / f"d.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), local)
    else:
        write(local, PAIRS if suffix == "jsonl" else "question,answer\n1+1,2\n2+2,4\n")
    url = f"memory://{uuid.uuid4().hex}/d.{suffix}"
    memory = fsspec.filesystem("memory")
    memory.pipe_file(url.removeprefix("memory:/"), local.read_bytes())

    with opened(file_of(url)) as source:
        columns = list(source.columns)

    assert ["question", "answer"] == columns
    assert ROWS == values_of(file_of(url))
    assert rows_of(file_of(str(local))) == rows_of(file_of(url))


def test_compressed_files_are_read(tmp_path: Path) -> None:
    """A compressed file is read by the suffix before that of its compression."""
    path = write(tmp_path / "d.jsonl.gz", gzip.compress(PAIRS.encode()))

    assert ROWS == values_of(file_of(path))


def test_file_urls_are_paths(tmp_path: Path) -> None:
    """A `file://` URL opens the file at its path."""
    write(tmp_path / "d.jsonl", PAIRS)

    assert ROWS == values_of(file_of(f"file://{tmp_path / 'd.jsonl'}"))


@pytest.mark.parametrize(
    ("name", "content", "head", "place"),
    [
        ("d.jsonl", b"\n" + PAIRS.encode(), ":2", ":7"),
        ("d.csv", b"question,answer\n1+1,2\n", ":1", ":7"),
        ("d.parquet", None, "", ": row 7"),
    ],
)
def test_places_are_lines_or_rows(
    tmp_path: Path, name: str, content: bytes | None, head: str, place: str
) -> None:
    """A source names lines where the format has them, and rows in Parquet."""
    path = tmp_path / name
    if content is None:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        path.write_bytes(content)

    with opened(file_of(str(path))) as source:
        found = (source.name, source.head, source.place(7))

    assert (str(path), f"{path}{head}", f"{path}{place}") == found


def test_columns_that_are_not_asked_for_are_not_read(tmp_path: Path) -> None:
    """A damaged column of a Parquet file does no harm until it is asked for."""
    path = tmp_path / "d.parquet"
    table = pa.table({"input": ["a", "b"], "unread": ["c", "d"]})
    pq.write_table(table, path, compression="none", use_dictionary=False)
    start = pq.ParquetFile(path).metadata.row_group(0).column(1).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 16] = b"\xff" * 16
    dataset = file_of(write(path, bytes(content)))

    with opened(dataset) as source:
        found = list(source.records(["input"]))

    assert [(0, {"input": "a"}), (1, {"input": "b"})] == found
    expected = f"dataset 'd': {str(path)!r} cannot be read: OSError"
    assert error_of(dataset).startswith(expected)


@pytest.mark.parametrize("name", ["d.parquet", "d.jsonl.gz"])
def test_damaged_file_is_a_dataset_error(tmp_path: Path, name: str) -> None:
    """A file that is not what its name says is refused with the dataset and the path."""
    path = write(tmp_path / name, "not that")

    assert error_of(file_of(path)).startswith(f"dataset 'd': {path!r} cannot be read: ")


def test_truncated_file_is_a_dataset_error(tmp_path: Path) -> None:
    """A file that breaks off after some rows is refused when the break is read."""
    lines = [b'{"input": %d}\n' % at for at in range(10_000)]
    content = gzip.compress(b"".join(lines))
    path = write(tmp_path / "d.jsonl.gz", content[:-100])

    expected = f"dataset 'd': {path!r} cannot be read: EOFError"
    assert error_of(file_of(path)).startswith(expected)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tset.jsonl", "; did you mean 'test.jsonl'?"),
        ("other.parquet", ""),
        ("none/test.jsonl", "; nor can its folder 'none' be read"),
    ],
)
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_missing_file_is_named_with_its_neighbour(
    tmp_path: Path, name: str, hint: str, scheme: str
) -> None:
    """The error of a missing file names the dataset, the path, and a local file of
    nearly that name.
    """
    write(tmp_path / "test.jsonl", PAIRS)
    path = f"{scheme}{tmp_path / name}"

    assert f"dataset 'd': no file {path!r}{hint}" == error_of(file_of(path))


def test_missing_remote_file_is_named() -> None:
    """The error of a file missing on another filesystem names the dataset and the URL."""
    message = error_of(file_of("memory://none/d.jsonl"))

    assert "dataset 'd': no file 'memory://none/d.jsonl'" == message


def test_folder_is_no_file(tmp_path: Path) -> None:
    """A folder in place of a file is refused."""
    message = error_of(file_of(str(tmp_path), format="jsonl"))

    expected = f"dataset 'd': {str(tmp_path)!r} cannot be read: IsADirectoryError"
    assert message.startswith(expected)


def test_unknown_protocol_is_a_dataset_error() -> None:
    """A protocol that no filesystem speaks is refused by name."""
    message = error_of(file_of("nowhere://d.jsonl"))

    reason = "ValueError: Protocol not known: nowhere"
    assert f"dataset 'd': 'nowhere://d.jsonl' cannot be read: {reason}" == message


@pytest.mark.parametrize("name", ["d.jsonl", "d.csv", "d.parquet", "d.jsonl.gz"])
def test_files_are_closed(tmp_path: Path, name: str) -> None:
    """A file is open inside the `with` and closed after it, also when rows are left or
    the block raises.
    """
    files = record_opened()
    dataset = file_of(f"recording://{tmp_path / name}")
    if name == "d.parquet":
        pq.write_table(pa.table({"input": ["a", "b"]}), tmp_path / name)
    else:
        lines = b"input\n1\n2\n" if name == "d.csv" else b'{"input": 1}\n{"input": 2}\n'
        write(tmp_path / name, gzip.compress(lines) if name.endswith("gz") else lines)

    assert 2 == len(rows_of(dataset))
    with opened(dataset) as source:
        next(source.records(["input"]))
        is_open = not files[-1].closed
    # The block's error passes as it is: it says nothing about the file.
    with pytest.raises(ZeroDivisionError), opened(dataset):
        _ = 1 / 0

    assert is_open
    assert [True] * 3 == [file.closed for file in files]


# References and credentials


class StrictFileSystem(MemoryFileSystem):
    """A filesystem that takes one option, `key`, and whose files cannot be opened."""

    protocol = "strict"
    cachable = False
    failure: Exception | None = None

    def __init__(self, *, key: str = "") -> None:
        super().__init__()
        self.key = key

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        raise self.failure or PermissionError(f"{self.key!r} may not read {path}")


Fail = Callable[[Exception], None]


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Register the strict filesystem, and return how to choose its failure."""
    fsspec.register_implementation("strict", StrictFileSystem, clobber=True)
    monkeypatch.setenv("THEMIS_TEST_FOLDER", "hidden-folder")
    monkeypatch.setenv("THEMIS_TEST_KEY", "hunter2")
    return lambda failure: monkeypatch.setattr(StrictFileSystem, "failure", failure)


def test_references_are_resolved_in_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`${NAME}` in a path is replaced by that environment variable."""
    write(tmp_path / "d.jsonl", PAIRS)
    monkeypatch.setenv("THEMIS_TEST_FOLDER", str(tmp_path))

    assert ROWS == values_of(file_of("${THEMIS_TEST_FOLDER}/d.jsonl"))


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "${THEMIS_TEST_NONE}/d.jsonl"},
        {"path": "d.jsonl", "storage_options": {"key": "${THEMIS_TEST_NONE}"}},
    ],
)
def test_missing_variable_is_a_dataset_error(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    """A reference to a variable that is not set is refused with its name and place."""
    monkeypatch.delenv("THEMIS_TEST_NONE", raising=False)
    place = "storage_options.key" if "storage_options" in fields else "path"

    message = error_of(file_of(**fields))

    reason = "the environment variable 'THEMIS_TEST_NONE' is not set"
    assert f"dataset 'd': {place}: {reason}" == message


def test_literal_credential_is_refused() -> None:
    """A credential written into the storage options is refused, and not shown."""
    options = {"client": [{"secret": "hunter2"}]}

    message = error_of(file_of("s3://bucket/d.jsonl", storage_options=options))

    place = "storage_options.client[0].secret"
    assert message.startswith(f"dataset 'd': {place} holds a credential as it is")
    assert "hunter2" not in message


@pytest.mark.usefixtures("strict")
def test_values_of_references_are_not_shown() -> None:
    """References in path and options reach the filesystem resolved; what it says is
    shown with references.
    """
    dataset = file_of(
        "strict://${THEMIS_TEST_FOLDER}/d.jsonl",
        storage_options={"key": "${THEMIS_TEST_KEY}"},
    )

    expected = (
        "dataset 'd': 'strict://${THEMIS_TEST_FOLDER}/d.jsonl' cannot be read: "
        "PermissionError: '${THEMIS_TEST_KEY}' may not read strict://${THEMIS_TEST_FOLDER}/d.jsonl"
    )
    assert expected == error_of(dataset)


def test_reason_for_a_file_that_cannot_be_looked_for_is_given(strict: Fail) -> None:
    """A filesystem that reports another failure as a missing file has that failure
    named.
    """
    missing = FileNotFoundError("d.jsonl")
    missing.__cause__ = OSError("no route to host")
    strict(missing)

    message = error_of(file_of("strict://d.jsonl"))

    reason = "OSError: no route to host"
    assert f"dataset 'd': no file 'strict://d.jsonl' ({reason})" == message


@pytest.mark.parametrize(
    "failure", [TimeoutError("too slow"), ConnectionResetError("gone")]
)
def test_failure_that_might_pass_is_transient(strict: Fail, failure: Exception) -> None:
    """A timeout or a lost connection says nothing about the dataset: it is a
    `TransientError`.
    """
    strict(failure)

    message = error_of(file_of("strict://d.jsonl"), TransientError)

    assert message.startswith("dataset 'd': 'strict://d.jsonl' cannot be read: ")


@pytest.mark.usefixtures("strict")
def test_unknown_storage_option_is_a_dataset_error() -> None:
    """A storage option that the filesystem does not know is refused by name."""
    message = error_of(file_of("strict://d.jsonl", storage_options={"regoin": "x"}))

    expected = "dataset 'd': 'strict://d.jsonl' cannot be read: TypeError"
    assert message.startswith(expected)
    assert "'regoin'" in message


# The hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for the `datasets` library that returns the rows."""
    return install_hub(monkeypatch, ROWS)


def test_hub_dataset_is_asked_for_by_name(hub: Any) -> None:
    """Rows are asked for by name, subset, split and revision, and read by column."""
    dataset = HubDataset(
        dataset_id="d",
        huggingface="openai/gsm8k",
        subset="main",
        split="train",
        revision="abc",
    )

    with opened(dataset) as source:
        columns, place = source.columns, source.place(7)
        found = list(source.records(["answer"]))

    assert ["question", "answer"] == columns
    assert "openai/gsm8k/main/train: row 7" == place
    assert [(0, {"answer": "2"}), (1, {"answer": "4"})] == found
    options = {"split": "train", "revision": "abc", "streaming": False}
    assert [(("openai/gsm8k", "main"), options)] == hub.asked


def test_hub_dataset_that_cannot_be_loaded_is_named(hub: Any) -> None:
    """What the library raises, on loading or on reading, is one line that names the
    dataset.
    """
    dataset = HubDataset(dataset_id="d", huggingface="a/b")

    hub.answer = ValueError("Unknown split 'test'.\nUse 'train'.")
    loading = error_of(dataset)
    hub.answer = HubRows([{"broken": "row 0"}])
    reading = error_of(dataset)

    where = "dataset 'd': 'a/b/test' cannot be loaded"
    assert f"{where}: ValueError: Unknown split 'test'. Use 'train'." == loading
    assert f"{where}: OSError: the shard of row 0 is damaged" == reading


def test_hub_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the `datasets` library the error says what to install."""
    monkeypatch.setitem(sys.modules, "datasets", None)

    message = error_of(HubDataset(dataset_id="d", huggingface="a/b"))

    expected = (
        "dataset 'd': 'a/b/test' is on the Hugging Face hub; to read from there, "
        "pip install 'themis-flows[huggingface]', or give a file of the same shape with "
        "--data FILE"
    )
    assert expected == message


def test_hub_library_reads_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library itself, where it is installed, reads the same rows out of a folder."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    pytest.importorskip("datasets")
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "test.jsonl", PAIRS)

    dataset = HubDataset(dataset_id="d", huggingface=str(tmp_path / "data"))

    assert ROWS == values_of(dataset)


# Hints


@pytest.mark.parametrize(
    ("name", "hint"), [("qestion", "; did you mean 'question'?"), ("zzz", "")]
)
def test_hint_names_the_closest_choice(name: str, hint: str) -> None:
    """The hint is the closest choice, and empty if none is close."""
    assert hint == did_you_mean(name, iter(["answer", "question"]))


def test_errors_of_a_dataset_are_its_own(tmp_path: Path) -> None:
    """A `DatasetError` of the format passes as it is, on opening as on reading."""
    empty = write(tmp_path / "empty.jsonl", "")
    malformed = write(tmp_path / "malformed.jsonl", '{"a": 1}\nnot JSON\n')

    with pytest.raises(DatasetError) as on_opening, opened(file_of(empty)):
        pass

    assert f"{empty}: there are no rows" == str(on_opening.value)
    assert error_of(file_of(malformed)).startswith(f"{malformed}:2: not JSON: ")
