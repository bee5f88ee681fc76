"""Dataset files and what is read from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from themis_lib.core.config import DatasetFile, HubDataset
from themis_lib.data.records import Record, Source
from themis_lib.data.sources import opened
from themis_lib.errors import DatasetError

PAIRS = '{"question": "1+1", "answer": "2"}\n{"question": "2+2", "answer": "4"}\n'
QA = {"input": "question", "expected_output": "answer"}


def write(path: Path, content: str | bytes) -> str:
    """Write a file and return its path as text."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def write_jsonl(path: Path, rows: list[Any]) -> str:
    """Write rows as JSON lines and return the path as text."""
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def file_of(path: str, **fields: Any) -> DatasetFile:
    """Return the dataset `d` in a file."""
    return DatasetFile(dataset_id="d", path=path, **fields)


def records_of(source: Source) -> list[Record]:
    """Return every row of an open source with its number."""
    return list(source.records(source.columns))


def rows_of(dataset: DatasetFile | HubDataset) -> list[tuple[int, dict[str, Any]]]:
    """Return every row of a dataset with the number of its line or row."""
    with opened(dataset) as source:
        records = source.records(source.columns)
        return [(number, dict(row)) for number, row in records]


def error_of(
    dataset: DatasetFile | HubDataset, kind: type[Exception] = DatasetError
) -> str:
    """Return the one line of the error that reading a dataset's rows raises."""
    with pytest.raises(kind) as raised:
        rows_of(dataset)
    assert "\n" not in str(raised.value)
    return str(raised.value)


class RecordingFileSystem(LocalFileSystem):
    """Local files at `recording://` URLs, and which of them were opened."""

    protocol = "recording"
    cachable = False
    opened: list[Any]

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        file = super()._open(path, mode, **options)
        RecordingFileSystem.opened.append(file)
        return file


def record_opened() -> list[Any]:
    """Register `recording://`, and return the list of files opened from now on."""
    fsspec.register_implementation("recording", RecordingFileSystem, clobber=True)
    RecordingFileSystem.opened = []
    return RecordingFileSystem.opened
