"""Cases as tables, wherever they lie: in memory, in a file at any fsspec URL, or on the Hugging Face hub.

Rows are read, mapped, filtered and written a batch at a time, so that a file larger than memory costs no more than
a small one; only `sample` holds on to rows, as many as it keeps.
"""

from __future__ import annotations

import csv
import difflib
import heapq
import io
import json
import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import IO, Any

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import infer_compression

from themis_lib.core.config import DatasetFile, HubDataset
from themis_lib.core.identity import canonical_json, load_json, text_digest
from themis_lib.core.models import Dataset
from themis_lib.core.secrets import hide_values, resolve_references
from themis_lib.core.tables import CASES
from themis_lib.errors import (
    ConfigError,
    DatasetError,
    InputError,
    TransientError,
    describe,
    is_transient,
    nearest,
)

AnyDataset = Dataset | DatasetFile | HubDataset
#: A case as its table holds it: case_id, input, expected_output, metadata.
CaseTexts = tuple[str, str, str | None, str]
Row = Mapping[str, Any]

_SCHEMA = pa.schema([item for item in CASES if item.name != "occurrence"])
_TARGETS = ("input", "expected_output", "case_id", "metadata")
_READ_ROWS = 4096
_READ_BYTES = 2**20


def case_tables(dataset: AnyDataset, *, batch_rows: int = 4096) -> Iterator[pa.Table]:
    """The cases in dataset order, as tables of `batch_rows` rows; only the last may have fewer.

    The columns are those of `tables.CASES` without `occurrence`. A null `expected_output` says that there is none.
    Raises `DatasetError`, at the latest when it comes to the row at fault, naming the file and the line or row: for
    a file or column that is not there, a malformed line, a value that JSON cannot say, or no cases at all. Whether
    ids are unique is left to `IdRegistry`.
    """
    cases = _cases(dataset)
    while batch := list(islice(cases, batch_rows)):
        dataset_ids = pa.repeat(pa.scalar(dataset.dataset_id, pa.string()), len(batch))
        columns = [pa.array(values, pa.string()) for values in zip(*batch, strict=True)]
        yield pa.table([dataset_ids, *columns], schema=_SCHEMA)


class IdRegistry:
    """Every case id seen so far, in eight bytes each.

    Ids are told apart by 64 bits: among n ids of a dataset, two different ones are taken for equal with a
    probability of n²/2⁶⁵, which is 3·10⁻⁸ for a million.
    """

    def __init__(self) -> None:
        self._runs: dict[str, list[npt.NDArray[np.int64]]] = {}

    def add_all(self, dataset_id: str, case_ids: pa.Array | pa.ChunkedArray) -> None:
        """Add the ids of some cases; raises `DatasetError` naming the first that its dataset already has."""
        names = case_ids.to_pylist()
        # Python's own hash is enough, and fast: it never leaves this process.
        marks = np.fromiter(map(hash, names), np.int64, len(names))
        run, first = np.unique(marks, return_index=True)
        repeated = np.ones(len(marks), dtype=bool)
        repeated[first] = False
        runs = self._runs.setdefault(dataset_id, [])
        for known in runs:
            at = np.minimum(np.searchsorted(known, marks), len(known) - 1)
            repeated |= known[at] == marks
        if repeated.any():
            name = names[int(np.argmax(repeated))]
            raise DatasetError(
                f"dataset {dataset_id!r}: case id {name!r} appears twice; give each case its own, or map `case_id`"
            )
        while runs and len(runs[-1]) <= len(run):  # equal runs merge: n ids cost O(n log n)
            run = np.sort(np.concatenate([runs.pop(), run]), kind="stable")
        if len(run):
            runs.append(run)


def _cases(dataset: AnyDataset) -> Iterator[CaseTexts]:
    if isinstance(dataset, Dataset):
        yield from _held_cases(dataset)
        return
    for target in dataset.columns:
        if target not in _TARGETS:
            hint = nearest(target, _TARGETS)
            raise DatasetError(f"dataset {dataset.dataset_id!r}: columns maps {target!r}, not a part of a case; {hint}")
    with _opened(dataset) as source:
        cases = _read_cases(dataset, source)
        if dataset.sample is not None:
            cases = _sampled(cases, dataset.sample, seed=dataset.seed)
        yield from islice(cases, dataset.limit)


def _held_cases(dataset: Dataset) -> Iterator[CaseTexts]:
    if not dataset.cases:
        raise DatasetError(f"dataset {dataset.dataset_id!r} has no cases")
    for case in dataset.cases:
        try:
            expected = None if case.expected_output is None else canonical_json(case.expected_output)
            yield _id_text(case.case_id), canonical_json(case.input), expected, canonical_json(case.metadata)
        except ValueError as error:
            raise DatasetError(f"dataset {dataset.dataset_id!r}: case {case.case_id!r}: {error}") from None


@dataclass(frozen=True)
class _Source:
    """An open file: its columns, and `records`, which reads some of them.

    A record is a row behind the number of its line or, where there are no lines, of the row, counted from 0.
    `place` puts that number in words, `head` the place of the column names. `blank_is_null` says that an empty text
    is how the format writes null.
    """

    columns: Sequence[str]
    records: Callable[[Sequence[str]], Iterator[tuple[int, Row]]]
    head: str
    place: Callable[[int], str]
    blank_is_null: bool = False


def _read_cases(dataset: DatasetFile | HubDataset, source: _Source) -> Iterator[CaseTexts]:
    mapping = _CaseMapping(dataset, source)
    row_filter = _RowFilter(dataset.filter)
    is_empty = True
    for row_number, (number, row) in enumerate(source.records(mapping.columns)):
        try:
            if not row_filter.keeps(row):
                continue
            case = mapping.case(row_number, row)
        except KeyError as error:
            raise DatasetError(f"{source.place(number)}: {_no_column(error.args[0], row)}") from None
        except ValueError as error:
            raise DatasetError(f"{source.place(number)}: {error}") from None
        is_empty = False
        yield case
    if is_empty:
        raise DatasetError(f"dataset {dataset.dataset_id!r}: {row_filter.emptied() or f'{source.head} has no rows'}")


def _sampled(cases: Iterable[CaseTexts], size: int, *, seed: int) -> Iterator[CaseTexts]:
    """The cases whose content has the smallest digests under a seed, in their order: whatever else there is, and
    wherever it stands, a case keeps its rank.
    """  # noqa: D205

    def rank(numbered: tuple[int, CaseTexts]) -> tuple[str, str]:
        case_id, case_input, expected, metadata = numbered[1]
        return text_digest("sample", f"[{seed},{case_input},{expected or 'null'},{metadata}]"), case_id

    return (case for _, case in sorted(heapq.nsmallest(size, enumerate(cases), key=rank)))


class _RowFilter:
    """Keeps the rows whose columns each hold one of the values asked for."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._choices = {name: value if isinstance(value, list) else [value] for name, value in spec.items()}
        self._refused: dict[str, set[str]] = {}
        self._reached = dict.fromkeys(spec, 0)

    def keeps(self, row: Row) -> bool:
        """Whether the row passes. Raises `KeyError` when it lacks a column."""
        for name, choices in self._choices.items():
            value = row[name]
            self._reached[name] += 1
            if not any(_same_json(value, choice) for choice in choices):
                refused = self._refused.setdefault(name, set())
                if len(refused) < 20:
                    refused.add(repr(value))
                return False
        return True

    def emptied(self) -> str:
        """Which column kept nothing, with some of its values; empty when no row came this far."""
        reached = [name for name, rows in self._reached.items() if rows]
        if not reached:
            return ""
        name = reached[-1]
        wanted = " or ".join(map(repr, self._choices[name]))
        hint = nearest(wanted, self._refused[name])
        return f"filter kept none of {self._reached[name]} rows where {name!r} should be {wanted}; {hint}"


def _same_json(left: Any, right: Any) -> bool:
    """Equality of JSON values: 1 is 1.0, but true is not 1."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


class _CaseMapping:
    """How a row becomes a case: the column or columns behind each part of it.

    Raises `DatasetError` when the file lacks a column that the mapping or the filter names.
    """

    def __init__(self, dataset: DatasetFile | HubDataset, source: _Source) -> None:
        mapped, known = dataset.columns, source.columns
        self._dataset_id = dataset.dataset_id
        self._blank_is_null = source.blank_is_null
        self._input = mapped.get("input", "input")
        self._expected_output = mapped.get("expected_output")
        self._metadata = mapped.get("metadata")
        self._case_id = _id_source(dataset, known)
        named = [self._input, self._expected_output, self._metadata, *_id_columns(dataset, self._case_id)]
        required = list(dict.fromkeys([*chain.from_iterable(map(_as_list, named)), *dataset.filter]))
        for name in required:
            if name not in known:
                hint = "; map it to one: `columns: {input: …}`" if name == "input" and "input" not in mapped else ""
                raise DatasetError(f"{source.head}: {_no_column(name, known)}{hint}")
        optional = [name for name in ("expected_output", "metadata") if name not in mapped and name in known]
        #: The columns that cases and the filter are made from.
        self.columns = list(dict.fromkeys([*required, *optional]))

    def case(self, row_number: int, row: Row) -> CaseTexts:
        """The case of one row. Raises `KeyError` for a column it lacks, `ValueError` for a value that will not do."""
        case_id = self._id(row_number, row)
        return case_id, _json_text(row, self._input), self._expected_text(row), self._metadata_text(row)

    def _id(self, row_number: int, row: Row) -> str:
        if self._case_id is None:
            if "case_id" in row:
                raise ValueError("a case_id, where the first row has none; give every row its own, or map `case_id`")
            return f"{self._dataset_id}-{row_number:04d}"
        if not _is_pattern(self._case_id):
            return _id_text(row[self._case_id])
        try:
            return _id_text(self._case_id.format_map({**row, "row": row_number}))
        except (AttributeError, IndexError, TypeError) as error:
            raise ValueError(f"case_id {self._case_id!r}: {error}") from None

    def _expected_text(self, row: Row) -> str | None:
        source = self._expected_output or "expected_output"
        if isinstance(source, str) and self._is_null(row[source] if self._expected_output else row.get(source)):
            return None
        return _json_text(row, source)

    def _metadata_text(self, row: Row) -> str:
        source = self._metadata or "metadata"
        if isinstance(source, str):
            value = row[source] if self._metadata else row.get(source)
            if self._is_null(value):
                return "{}"
            if not isinstance(value, dict):
                raise ValueError(f"column {source!r} is not an object but {value!r}; a list of columns makes one")
        return _json_text(row, source)

    def _is_null(self, value: Any) -> bool:
        return value is None or (self._blank_is_null and value == "")


def _id_source(dataset: DatasetFile | HubDataset, known: Sequence[str]) -> str | None:
    source = dataset.columns.get("case_id", "case_id" if "case_id" in known else None)
    if isinstance(source, list):
        raise DatasetError(
            f"dataset {dataset.dataset_id!r}: columns.case_id is a list; name one column, or write a pattern such as "
            + repr("-".join(f"{{{name}}}" for name in [*source, "row"]))
        )
    return source


def _id_columns(dataset: DatasetFile | HubDataset, source: str | None) -> list[str | None]:
    if source is None or not _is_pattern(source):
        return [source]
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(source) if field is not None]
    except ValueError as error:
        where = f"dataset {dataset.dataset_id!r}: columns.case_id"
        raise DatasetError(f"{where}: {source!r} is not a format pattern: {error}") from None
    names = [re.split(r"[.\[]", field)[0] for field in fields]
    return [name for name in names if name != "row"]


def _is_pattern(source: str) -> bool:
    return "{row" in source


def _as_list(source: str | list[str] | None) -> list[str]:
    return [source] if isinstance(source, str) else source or []


def _id_text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"the case id is neither text nor a number: {value!r}")
    text = value if isinstance(value, str) else canonical_json(value)
    if not text:
        raise ValueError("the case id is empty")
    text.encode()  # raises a ValueError for half a surrogate pair, which no table can hold
    return text


def _json_text(row: Row, source: str | list[str]) -> str:
    value = row[source] if isinstance(source, str) else {name: row[name] for name in source}
    try:
        return canonical_json(value)
    except ValueError:
        for name in _as_list(source):
            try:
                canonical_json(row[name])
            except ValueError as error:
                raise ValueError(f"column {name!r}: {error}") from None
        raise


def _no_column(name: str, columns: Iterable[str]) -> str:
    known = ", ".join(map(repr, columns))
    return f"no column {name!r}{_did_you_mean(name, columns)} (the columns are {known})"


def _did_you_mean(name: str, choices: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(choices), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


@contextmanager
def _opened(dataset: DatasetFile | HubDataset) -> Iterator[_Source]:
    if isinstance(dataset, HubDataset):
        yield _hub_source(dataset)
        return
    with ExitStack() as stack:
        try:
            path = resolve_references(dataset.path, where="path")
            options = resolve_references(dataset.storage_options, where="storage_options")
            read = _reader(dataset, path)
            fs, location = fsspec.core.url_to_fs(path, **options)
            compression = infer_compression(location)
            file = stack.enter_context(fsspec.core.OpenFile(fs, location, compression=compression))
            source = read(file, dataset.path)
        except DatasetError:
            raise
        except ConfigError as error:
            raise DatasetError(f"dataset {dataset.dataset_id!r}: {error}") from None
        except FileNotFoundError:
            hint = _sibling(location) if isinstance(fs, LocalFileSystem) else ""
            raise DatasetError(f"dataset {dataset.dataset_id!r}: no file {dataset.path!r}{hint}") from None
        except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
            raise _failure(error, dataset) from None
        yield replace(source, records=lambda columns: _guarded(source.records(columns), dataset))


def _reader(dataset: DatasetFile, path: str) -> Callable[[IO[bytes], str], _Source]:
    """What reads this file: by its format, else by its suffix, whatever it is compressed with."""
    name = path.partition("::")[0].lower()
    suffix = PurePosixPath(PurePosixPath(name).stem if infer_compression(name) else name).suffix
    if suffix == ".tsv" and dataset.format in (None, "csv"):
        return partial(_csv_source, delimiter="\t")
    file_format = dataset.format or _SUFFIXES.get(suffix)
    if file_format is None:
        raise DatasetError(
            f"dataset {dataset.dataset_id!r}: {dataset.path!r} ends in none of {', '.join(_SUFFIXES)}; say which "
            "format it has: jsonl, csv or parquet"
        )
    return _READERS[file_format]


def _sibling(location: str) -> str:
    folder = Path(location).parent
    if not folder.is_dir():
        return f"; there is no folder {folder.name!r}"
    return _did_you_mean(Path(location).name, sorted(entry.name for entry in folder.iterdir()))


def _failure(error: Exception, dataset: DatasetFile) -> DatasetError | TransientError:
    reason = hide_values(describe(error), spec=[dataset.path, dataset.storage_options])
    message = f"dataset {dataset.dataset_id!r}: {dataset.path!r} cannot be read: {reason}"
    return TransientError(message) if is_transient(error) else DatasetError(message)


def _guarded(records: Iterator[tuple[int, Row]], dataset: DatasetFile) -> Iterator[tuple[int, Row]]:
    try:
        yield from records
    except DatasetError:
        raise
    except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
        raise _failure(error, dataset) from None


def _jsonl_source(file: IO[bytes], path: str) -> _Source:
    lines = _json_lines(io.BufferedReader(file, _READ_BYTES), path)
    first = next(lines, None)
    if first is None:
        raise DatasetError(f"{path} has no rows")
    return _Source(
        columns=list(first[1]),
        records=lambda _: chain([first], lines),
        head=f"{path}:{first[0]}",
        place=lambda line: f"{path}:{line}",
    )


def _json_lines(lines: Iterable[bytes], path: str) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(lines, start=1):
        if line.isspace():
            continue
        try:
            row = load_json(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except json.JSONDecodeError as error:
            raise DatasetError(f"{path}:{number}: not JSON: {error.msg} at column {error.colno}") from None
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path}:{number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise DatasetError(f"{path}:{number}: not a JSON object but {type(row).__name__}; one object a line")
        yield number, row


def _csv_source(file: IO[bytes], path: str, *, delimiter: str = ",") -> _Source:
    csv.field_size_limit(max(csv.field_size_limit(), _LARGEST_CELL))
    lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    cells = _csv_cells(lines, path, delimiter=delimiter)
    number, header = next(cells, (0, []))
    if not header:
        raise DatasetError(f"{path} has no rows")
    return _Source(
        columns=_distinct(header, f"{path}:{number}"),
        records=lambda _: _csv_rows(cells, header, path),
        head=f"{path}:{number}",
        place=lambda line: f"{path}:{line}",
        blank_is_null=True,
    )


def _csv_cells(lines: IO[str], path: str, *, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each behind the number of the line it begins on."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path}: not UTF-8 after line {number - 1}: {error}") from None
        except csv.Error as error:
            raise DatasetError(f"{path}:{number}: not CSV: {error}") from None
        if cells is None:
            return
        if cells:
            yield number, cells


def _csv_rows(cells: Iterable[tuple[int, list[str]]], header: list[str], path: str) -> Iterator[tuple[int, Row]]:
    for number, row in cells:
        if len(row) != len(header):
            raise DatasetError(f"{path}:{number}: {len(row)} cells under {len(header)} column names")
        yield number, dict(zip(header, row, strict=True))


def _parquet_source(file: IO[bytes], path: str) -> _Source:
    parquet = pq.ParquetFile(file, pre_buffer=False, buffer_size=_READ_BYTES)  # else a whole row group is read at once
    return _Source(
        columns=_distinct(parquet.schema_arrow.names, path),
        records=lambda columns: _parquet_rows(parquet, columns),
        head=path,
        place=lambda row: f"{path}: row {row}",
    )


def _parquet_rows(parquet: pq.ParquetFile, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    start = 0
    for batch in parquet.iter_batches(_READ_ROWS, columns=list(columns)):
        values = [_python_values(batch.column(name)) for name in columns]
        for number, row in enumerate(zip(*values, strict=True), start):
            yield number, dict(zip(columns, row, strict=True))
        start += batch.num_rows


def _python_values(column: pa.Array) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if pa.types.is_map(column.type):
        return [None if pairs is None else dict(pairs) for pairs in values]
    return values


def _distinct(columns: list[str], where: str) -> list[str]:
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise DatasetError(f"{where}: two columns are called {repeated[0]!r}")
    return columns


def _hub_source(dataset: HubDataset) -> _Source:
    name = "/".join(filter(None, [dataset.huggingface, dataset.subset, dataset.split]))
    try:
        import datasets
    except ImportError:
        raise DatasetError(
            f"dataset {dataset.dataset_id!r}: {name} is on the Hugging Face hub; to read from there, "
            "pip install 'themis-flows[huggingface]'"
        ) from None
    try:
        rows = datasets.load_dataset(
            dataset.huggingface, dataset.subset, split=dataset.split, revision=dataset.revision, streaming=False
        )
    except Exception as error:  # noqa: BLE001 - the library raises whatever its parts raise
        raise _hub_failure(error, dataset, name) from None
    return _Source(
        columns=rows.column_names,
        records=lambda columns: _hub_rows(rows, columns, dataset, name),
        head=name,
        place=lambda row: f"{name}: row {row}",
    )


_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
_READERS = {"jsonl": _jsonl_source, "csv": _csv_source, "parquet": _parquet_source}
