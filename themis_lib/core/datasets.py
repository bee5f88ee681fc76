"""Cases as tables, wherever they lie: in memory, in a file at any fsspec URL, or on the Hugging Face hub.

Rows are read, filtered and mapped a batch at a time, so a file larger than memory takes no more of it than a
small one. Only `sample` holds on to rows, as many as it keeps.
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
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.utils import infer_compression

from themis_lib.core.config import DatasetFile, HubDataset
from themis_lib.core.identity import bytes_digest, canonical_json, load_json
from themis_lib.core.models import Dataset
from themis_lib.core.secrets import hide_values, refuse_literal_secrets, resolve_references
from themis_lib.core.tables import CASES
from themis_lib.errors import ConfigError, DatasetError, TransientError, describe, is_transient, nearest

AnyDataset = Dataset | DatasetFile | HubDataset
#: A case as its table holds it: case_id, input, expected_output, metadata.
CaseTexts = tuple[str, str, str | None, str]
Row = Mapping[str, Any]
#: A row behind the number of its line or, where there are no lines, of the row, counted from 0.
Record = tuple[int, Row]

_SCHEMA = pa.schema([item for item in CASES if item.name != "occurrence"])
_TARGETS = ("input", "expected_output", "case_id", "metadata")


def case_tables(dataset: AnyDataset, *, batch_rows: int = 4096) -> Iterator[pa.Table]:
    """The cases in dataset order, as tables of `batch_rows` rows; only the last may have fewer.

    The columns are those of `tables.CASES` without `occurrence`; a null `expected_output` says there is none.
    Raises `DatasetError`, naming the file and the line or row, on reaching what is wrong: a file or column
    that is not there, a malformed line, a value JSON cannot say, no cases at all; and `TransientError` where
    reading again might help. Whether ids are unique is for `IdRegistry` to check.
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

    def add_all(self, dataset_id: str, case_ids: pa.Array[Any] | pa.ChunkedArray[Any]) -> None:
        """Add the ids of some cases; raises `DatasetError` naming the first that its dataset already has."""
        names = case_ids.to_pylist()
        # Python's own hash is good enough, and fast: it never leaves this process.
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
            raise DatasetError(f"dataset {dataset_id!r}: case id {name!r} appears twice; give each case its own")
        while runs and len(runs[-1]) <= len(run):  # runs of a size merge: n ids cost O(n log n) in all
            run = np.sort(np.concatenate([runs.pop(), run]))
        if len(run):
            runs.append(run)


def _cases(dataset: AnyDataset) -> Iterator[CaseTexts]:
    if isinstance(dataset, Dataset):
        yield from _held_cases(dataset)
        return
    for target in dataset.columns:
        if target not in _TARGETS:
            where = f"dataset {dataset.dataset_id!r}: columns.{target}"
            raise DatasetError(f"{where} is no part of a case; {nearest(target, _TARGETS)}")
    with _opened(dataset) as source:
        cases = _read_cases(dataset, source)
        if dataset.sample is not None:
            cases = _sampled(cases, dataset.sample, seed=dataset.seed)
        yield from islice(cases, dataset.limit)


def _held_cases(dataset: Dataset) -> Iterator[CaseTexts]:
    if not dataset.cases:
        raise DatasetError(f"dataset {dataset.dataset_id!r}: there are no cases")
    for case in dataset.cases:
        try:
            case_id, case_input = _id_text(case.case_id), canonical_json(case.input)
            expected = None if case.expected_output is None else canonical_json(case.expected_output)
            metadata = canonical_json(case.metadata)
        except ValueError as error:
            raise DatasetError(f"dataset {dataset.dataset_id!r}: case {case.case_id!r}: {error}") from None
        yield case_id, case_input, expected, metadata


@dataclass(frozen=True)
class _Source:
    """An open file: its columns, and `records`, which reads some of them, once.

    `place` puts the number of a record in words; `head` is where the column names stand. `blank_is_null` says
    that the format cannot tell null from an empty text.
    """

    name: str
    columns: Sequence[str]
    records: Callable[[Sequence[str]], Iterator[Record]]
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
        reason = row_filter.emptied() or "there are no rows"
        raise DatasetError(f"dataset {dataset.dataset_id!r}: {source.name}: {reason}")


def _sampled(cases: Iterable[CaseTexts], size: int, *, seed: int) -> Iterator[CaseTexts]:
    """The cases whose content has the smallest digests under a seed, in their order.

    A case's rank depends neither on its place nor on what else there is, so a file that grows displaces few.
    """

    def rank(numbered: tuple[int, CaseTexts]) -> tuple[str, str]:
        case_id, case_input, expected, metadata = numbered[1]
        content = f"[{seed},{case_input},{expected or 'null'},{metadata}]"
        return bytes_digest("sample", content.encode()), case_id

    return (case for _, case in sorted(heapq.nsmallest(size, enumerate(cases), key=rank)))


_SHOWN_VALUES = 10


class _RowFilter:
    """Keeps the rows whose columns each hold one of the values asked for."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._choices = {name: value if isinstance(value, list) else [value] for name, value in spec.items()}
        self._reached = dict.fromkeys(spec, 0)
        self._refused: dict[str, dict[str, None]] = {name: {} for name in spec}

    def keeps(self, row: Row) -> bool:
        """Whether the row passes. Raises `KeyError` when it lacks a column."""
        for name, choices in self._choices.items():
            value = row[name]
            self._reached[name] += 1
            if not any(_same_json(value, choice) for choice in choices):
                if len(self._refused[name]) < _SHOWN_VALUES:
                    self._refused[name][f"{value!r:.60}"] = None
                return False
        return True

    def emptied(self) -> str:
        """Which column let no row pass, and some of its values; empty when no row came to the filter."""
        reached = [name for name, rows in self._reached.items() if rows]
        if not reached:
            return ""
        name = reached[-1]
        wanted, refused = [repr(choice) for choice in self._choices[name]], list(self._refused[name])
        close = [match for text in wanted for match in difflib.get_close_matches(text, refused, n=1)]
        hint = f"did you mean {close[0]}?" if close else f"it holds {', '.join(refused)}"
        return f"the filter {name}: {' or '.join(wanted)} kept none of {self._reached[name]} rows; {hint}"


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
                is_default = name == "input" and "input" not in mapped
                hint = "; map one: `columns: {input: …}`" if is_default else ""
                raise DatasetError(f"{source.head}: {_no_column(name, known)}{hint}")
        optional = [name for name in ("expected_output", "metadata") if name not in mapped and name in known]
        #: The columns that cases and the filter are made from.
        self.columns = list(dict.fromkeys([*required, *optional]))

    def case(self, row_number: int, row: Row) -> CaseTexts:
        """The case of one row. Raises `KeyError` for a column it lacks, `ValueError` for an unfit value."""
        case_id = self._id(row_number, row)
        return case_id, _json_text(row, self._input), self._expected_text(row), self._metadata_text(row)

    def _id(self, row_number: int, row: Row) -> str:
        if self._case_id is None:
            if "case_id" in row:
                raise ValueError("a case_id, where the first row has none; give every row one, or none")
            return f"{self._dataset_id}-{row_number:04d}"
        if not _is_pattern(self._case_id):
            return _id_text(row[self._case_id])
        try:
            text = self._case_id.format_map({**row, "row": row_number})
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"case_id {self._case_id!r}: {error}") from None
        return _id_text(text)

    def _expected_text(self, row: Row) -> str | None:
        source = self._expected_output or "expected_output"
        if isinstance(source, str):
            value = row[source] if self._expected_output else row.get(source)
            if self._is_null(value):
                return None
        return _json_text(row, source)

    def _metadata_text(self, row: Row) -> str:
        source = self._metadata or "metadata"
        if isinstance(source, str):
            value = row[source] if self._metadata else row.get(source)
            if self._is_null(value):
                return "{}"
            if not isinstance(value, dict):
                raise ValueError(f"column {source!r} is not an object: {value!r:.60}; map a list of columns")
        return _json_text(row, source)

    def _is_null(self, value: Any) -> bool:
        return value is None or (self._blank_is_null and value == "")


def _id_source(dataset: DatasetFile | HubDataset, known: Sequence[str]) -> str | None:
    source = dataset.columns.get("case_id", "case_id" if "case_id" in known else None)
    if isinstance(source, list):
        raise DatasetError(
            f"dataset {dataset.dataset_id!r}: columns.case_id is a list; name one column or write a pattern, "
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
        raise ValueError(f"the case id is neither text nor a number: {value!r:.60}")
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


_READ_BYTES = 2**20


@contextmanager
def _opened(dataset: DatasetFile | HubDataset) -> Iterator[_Source]:
    if isinstance(dataset, HubDataset):
        yield _hub_source(dataset)
        return
    path, options = _resolved(dataset)
    read = _reader(dataset, path)
    failure = partial(_file_failure, dataset)
    with ExitStack() as stack:
        try:
            fs, location = fsspec.core.url_to_fs(path, **options)
            opening = fsspec.core.OpenFile(fs, location, compression=infer_compression(location))
            file = stack.enter_context(io.BufferedReader(stack.enter_context(opening), _READ_BYTES))
            source = read(file, dataset.path)
        except DatasetError:
            raise
        except FileNotFoundError as error:
            raise _missing(error, dataset, path) from None
        except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
            raise failure(error) from None
        yield replace(source, records=lambda columns: _guarded(source.records(columns), failure))


def _resolved(dataset: DatasetFile) -> tuple[str, dict[str, Any]]:
    try:
        refuse_literal_secrets(dataset.storage_options, where="storage_options")
        path = resolve_references(dataset.path, where="path")
        return path, resolve_references(dataset.storage_options, where="storage_options")
    except ConfigError as error:
        raise DatasetError(f"dataset {dataset.dataset_id!r}: {error}") from None


_FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}


def _reader(dataset: DatasetFile, path: str) -> Callable[[io.BufferedReader, str], _Source]:
    """What reads this file: by its format, else by its suffix, whatever it is compressed with."""
    name = path.partition("::")[0].lower()
    suffix = PurePosixPath(PurePosixPath(name).stem if infer_compression(name) else name).suffix
    file_format = dataset.format or _FORMATS.get(suffix)
    if file_format is None:
        raise DatasetError(
            f"dataset {dataset.dataset_id!r}: {dataset.path!r} ends in none of {', '.join(_FORMATS)}; "
            "say its `format`: jsonl, csv or parquet"
        )
    if file_format == "csv":
        return partial(_csv_source, delimiter="\t" if suffix == ".tsv" else ",")
    return _jsonl_source if file_format == "jsonl" else _parquet_source


def _missing(error: FileNotFoundError, dataset: DatasetFile, path: str) -> DatasetError:
    message = f"dataset {dataset.dataset_id!r}: no file {dataset.path!r}"
    if error.__cause__ is not None:  # what kept a remote filesystem from looking
        return DatasetError(f"{message} ({_reason(error.__cause__, dataset)})")
    if "::" in path or ("://" in path and not path.startswith("file://")):
        return DatasetError(message)
    file = Path(path.removeprefix("file://")).expanduser()
    try:
        siblings = sorted(entry.name for entry in file.parent.iterdir())
    except OSError:
        return DatasetError(f"{message}; nor can its folder {file.parent.name!r} be read")
    return DatasetError(message + _did_you_mean(file.name, siblings))


def _file_failure(dataset: DatasetFile, error: Exception) -> DatasetError | TransientError:
    message = f"dataset {dataset.dataset_id!r}: {dataset.path!r} cannot be read: {_reason(error, dataset)}"
    return TransientError(message) if is_transient(error) else DatasetError(message)


def _reason(error: BaseException, dataset: DatasetFile) -> str:
    return hide_values(describe(error), spec=[dataset.path, dataset.storage_options])


def _guarded(records: Iterator[Record], failure: Callable[[Exception], Exception]) -> Iterator[Record]:
    try:
        yield from records
    except DatasetError:
        raise
    except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
        raise failure(error) from None


def _jsonl_source(file: io.BufferedReader, path: str) -> _Source:
    lines = _json_lines(_text_lines(file, path), path)
    first = next(lines, None)
    if first is None:
        raise DatasetError(f"{path}: there are no rows")
    return _Source(
        name=path,
        columns=list(first[1]),
        records=lambda _: chain([first], lines),
        head=f"{path}:{first[0]}",
        place=lambda line: f"{path}:{line}",
    )


def _text_lines(file: Iterable[bytes], path: str) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path}:{number}: not UTF-8: {error.reason} at byte {error.start}") from None
        yield text


def _json_lines(lines: Iterable[str], path: str) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = load_json(line)
        except json.JSONDecodeError as error:
            raise DatasetError(f"{path}:{number}: not JSON: {error.msg} at column {error.colno}") from None
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path}:{number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise DatasetError(f"{path}:{number}: not a JSON object but {type(row).__name__}: {row!r:.60}")
        yield number, row


#: Far above Python's own limit, so that a long document fits; low enough for a quote that is never closed.
_LARGEST_CELL = 2**24


def _csv_source(file: io.BufferedReader, path: str, *, delimiter: str) -> _Source:
    csv.field_size_limit(max(csv.field_size_limit(), _LARGEST_CELL))
    cells = _csv_cells(_text_lines(file, path), path, delimiter=delimiter)
    number, header = next(cells, (0, []))
    if not header:
        raise DatasetError(f"{path}: there are no rows")
    return _Source(
        name=path,
        columns=_distinct(header, f"{path}:{number}"),
        records=lambda _: _csv_rows(cells, header, path),
        head=f"{path}:{number}",
        place=lambda line: f"{path}:{line}",
        blank_is_null=True,
    )


def _csv_cells(lines: Iterable[str], path: str, *, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each behind the number of the line it begins on."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DatasetError(f"{path}:{number}: not CSV: {error}") from None
        if cells is None:
            return
        if cells:
            yield number, cells


def _csv_rows(cells: Iterable[tuple[int, list[str]]], header: list[str], path: str) -> Iterator[Record]:
    for number, row in cells:
        if len(row) != len(header):
            raise DatasetError(f"{path}:{number}: {len(row)} cells under {len(header)} column names")
        yield number, dict(zip(header, row, strict=True))


_READ_ROWS = 4096


def _parquet_source(file: io.BufferedReader, path: str) -> _Source:
    # With `pre_buffer`, or without a buffer size, a whole row group would be read at once.
    parquet = pq.ParquetFile(file, pre_buffer=False, buffer_size=_READ_BYTES)
    return _Source(
        name=path,
        columns=_distinct(parquet.schema_arrow.names, path),
        records=lambda columns: _parquet_rows(parquet, columns),
        head=path,
        place=lambda row: f"{path}: row {row}",
    )


def _parquet_rows(parquet: pq.ParquetFile, columns: Sequence[str]) -> Iterator[Record]:
    start = 0
    for batch in parquet.iter_batches(_READ_ROWS, columns=list(columns)):
        values = [_python_values(batch.column(name)) for name in columns]
        for number, row in enumerate(zip(*values, strict=True), start):
            yield number, dict(zip(columns, row, strict=True))
        start += batch.num_rows


def _python_values(column: pa.Array[Any]) -> list[Any]:
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
    name = "/".join(part for part in (dataset.huggingface, dataset.subset, dataset.split) if part)
    failure = partial(_hub_failure, dataset, name)
    try:
        import datasets
    except ImportError:
        raise DatasetError(
            f"dataset {dataset.dataset_id!r}: {name!r} is on the Hugging Face hub; to read from there, "
            "pip install 'themis-flows[huggingface]'"
        ) from None
    try:
        rows = datasets.load_dataset(
            dataset.huggingface,
            dataset.subset,
            split=dataset.split,
            revision=dataset.revision,
            streaming=False,
        )
    except Exception as error:  # noqa: BLE001 - the library raises whatever its parts raise
        raise failure(error) from None
    return _Source(
        name=name,
        columns=rows.column_names,
        records=lambda columns: _guarded(enumerate(rows.select_columns(list(columns))), failure),
        head=name,
        place=lambda row: f"{name}: row {row}",
    )


def _hub_failure(dataset: HubDataset, name: str, error: Exception) -> DatasetError:
    return DatasetError(f"dataset {dataset.dataset_id!r}: {name!r} cannot be loaded: {describe(error)}")
