"""Generators without a model: one that knows the answers, one that replays outputs
recorded elsewhere.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal, TypeAlias

from themis_lib.components.builtin import Builtin
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.errors import (
    ComponentError,
    DatasetError,
    RowError,
    TransientError,
    describe,
    is_transient,
    nearest,
)
from themis_lib.identity.digests import load_json


@dataclass(frozen=True)
class DemoGenerator(Builtin):
    """The expected output of each case, or its input where nothing is expected: for
    tutorials and tests.
    """

    component_id: ClassVar[str] = "builtin/demo_generator"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = ("input", "expected_output")
    deterministic: ClassVar[bool] = True
    is_free: ClassVar[bool] = True

    def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """The expected output, or else the input."""
        output = case.input if case.expected_output is None else case.expected_output
        return GenerationResult.model_construct(final_output=output)

    def generate_batch(
        self,
        cases: Sequence[Case],
        contexts: Sequence[GenerateContext],
    ) -> list[GenerationResult]:
        """The same for each case, in order."""
        return [
            self.generate(case, context)
            for case, context in zip(cases, contexts, strict=True)
        ]


@dataclass(frozen=True)
class ReplayGenerator(Builtin):
    """Outputs recorded elsewhere, by case id, from a JSON Lines, CSV or Parquet file at
    any fsspec URL.

    A case with several rows has as many samples: in the order of the file, or numbered
    from 0 by `sample_column`. `format` is told by the suffix unless it is given.
    Identity is the content of the file, not its place: moving it costs nothing.
    """

    component_id: ClassVar[str] = "builtin/replay"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = ("case_id", "sample_index")
    deterministic: ClassVar[bool] = True
    is_free: ClassVar[bool] = True

    path: str
    column: str = "output"
    case_id_column: str = "case_id"
    format: Literal["jsonl", "csv", "parquet"] | None = None
    sample_column: str | None = None
    storage_options: dict[str, Any] = field(
        default_factory=dict,
        repr=False,
    )

    def check_settings(self) -> None:
        """Raises `ComponentError` for a setting of another type and a file whose format
        cannot be told.
        """
        super().check_settings()
        _ = self._recording_format

    def check(self) -> None:
        """Read the file. Raises `DatasetError`, naming the file, the line and the
        column that is wrong.
        """
        _ = self._get_recording

    def settings(self) -> dict[str, Any]:
        """The digest of the file and the columns read; where the file lies does not
        matter.
        """
        return {
            "sha256": self._get_recording.sha256,
            "format": self._recording_format,
            "column": self.column,
            "case_id_column": self.case_id_column,
            "sample_column": self.sample_column,
        }

    def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """The recorded output. Raises `RowError` where none is recorded for the case or
        the sample.
        """
        samples = self._get_recording.outputs.get(case.case_id)
        if samples is None:
            raise RowError(f"no output is recorded for case {case.case_id!r}")
        if ctx.sample_index is None or ctx.sample_index not in samples:
            raise RowError(
                f"no output is recorded for sample {ctx.sample_index} of case {case.case_id!r}; it has {len(samples)}"
            )
        output = samples[ctx.sample_index]
        if output is None:
            raise RowError(f"the output recorded for case {case.case_id!r} is null")
        return GenerationResult.model_construct(final_output=output)

    def generate_batch(
        self,
        cases: Sequence[Case],
        contexts: Sequence[GenerateContext],
    ) -> list[GenerationResult | Exception]:
        """The same for each case, in order; a `RowError` stands where nothing is
        recorded.
        """
        return [
            self._try_generate(case, context)
            for case, context in zip(cases, contexts, strict=True)
        ]

    def _try_generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult | Exception:
        try:
            return self.generate(case, ctx)
        except RowError as error:
            return error

    @property
    def _recording_format(self) -> str:
        suffix = PurePosixPath(self.path.partition("::")[0]).suffix.lower()
        found = self.format or _FORMATS.get(suffix)
        if found is None:
            raise ComponentError(
                f"{self.component_id}: {self.path!r} ends in none of {', '.join(_FORMATS)}; "
                "say its format: jsonl, csv or parquet"
            )
        return found

    @property
    def _get_recording(self) -> _Recording:
        recording = self.__dict__.get("_loaded")
        if recording is None:
            with _LOADING:
                recording = self.__dict__.get("_loaded") or self._load_recording()
                object.__setattr__(self, "_loaded", recording)
        return recording

    def _load_recording(self) -> _Recording:
        content = _read_bytes(self.path, self.storage_options)
        columns = [
            self.case_id_column,
            self.column,
            *([self.sample_column] if self.sample_column else []),
        ]
        outputs: dict[str, dict[int, Any]] = {}
        for place, row in _READERS[self._recording_format](content, self.path, columns):
            samples = outputs.setdefault(_case_id(row[self.case_id_column], place), {})
            sample = (
                _sample_index(row[self.sample_column], place)
                if self.sample_column
                else len(samples)
            )
            if sample in samples:
                case_id = row[self.case_id_column]
                raise DatasetError(
                    f"{place}: sample {sample} of case {case_id!r} is recorded twice"
                )
            samples[sample] = row[self.column]
        return _Recording(hashlib.sha256(content).hexdigest(), outputs)


@dataclass(frozen=True)
class _Recording:
    """The content of a file of outputs: by case id, then by sample."""

    sha256: str
    outputs: Mapping[str, Mapping[int, Any]]


#: One lock for all: a component with a lock of its own could be neither pickled nor
#: copied.
_LOADING = threading.Lock()


def _read_bytes(
    path: str,
    storage_options: Mapping[str, Any],
) -> bytes:
    import fsspec

    try:
        fs, location = fsspec.core.url_to_fs(path, **storage_options)
        return bytes(fs.cat_file(location))
    except FileNotFoundError:
        raise DatasetError(f"recorded outputs: no file {path!r}") from None
    except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
        message = f"recorded outputs: {path!r} cannot be read: {describe(error)}"
        raise (
            TransientError(message) if is_transient(error) else DatasetError(message)
        ) from None


#: A row behind the words for where it stands.
_Row: TypeAlias = tuple[str, Mapping[str, Any]]


def _jsonl_rows(
    content: bytes,
    path: str,
    columns: Sequence[str],
) -> Iterator[_Row]:
    for number, line in enumerate(io.BytesIO(content), start=1):
        place = f"{path}:{number}"
        if line.isspace():
            continue
        try:
            row = load_json(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except json.JSONDecodeError as error:
            raise DatasetError(
                f"{place}: not JSON: {error.msg} at column {error.colno}"
            ) from None
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{place}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise DatasetError(f"{place}: not a JSON object but {row!r:.60}")
        _check_columns(columns, row, place)
        yield place, row


#: Far above Python's own limit, so that a long output fits; low enough for a quote that
#: is never closed.
_LARGEST_CELL = 2**24


def _csv_rows(
    content: bytes,
    path: str,
    columns: Sequence[str],
) -> Iterator[_Row]:
    csv.field_size_limit(max(csv.field_size_limit(), _LARGEST_CELL))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8: {error}") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        _check_columns(columns, header, f"{path}:1")
        number = reader.line_num + 1
        for cells in reader:
            place = f"{path}:{number}"
            if len(cells) not in (0, len(header)):
                raise DatasetError(
                    f"{place}: {len(cells)} cells under {len(header)} column names"
                )
            if cells:
                yield place, dict(zip(header, cells, strict=True))
            number = reader.line_num + 1
    except csv.Error as error:
        raise DatasetError(f"{path}:{reader.line_num}: not CSV: {error}") from None


def _parquet_rows(
    content: bytes,
    path: str,
    columns: Sequence[str],
) -> Iterator[_Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        _check_columns(columns, file.schema_arrow.names, path)
        table = file.read(columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path}: not Parquet: {describe(error)}") from None
    values = [table[name].to_pylist() for name in columns]
    for number, row in enumerate(zip(*values, strict=True)):
        yield f"{path}: row {number}", dict(zip(columns, row, strict=True))


_READERS: Mapping[str, Callable[[bytes, str, Sequence[str]], Iterator[_Row]]] = {
    "jsonl": _jsonl_rows,
    "csv": _csv_rows,
    "parquet": _parquet_rows,
}
_FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}


def _check_columns(
    columns: Iterable[str],
    known: Collection[str],
    place: str,
) -> None:
    for name in columns:
        if name not in known:
            names = ", ".join(map(repr, known)) or "none"
            hint = nearest(name, known)
            close = f"; {hint}" if hint.startswith("did you mean") else ""
            raise DatasetError(
                f"{place}: no column {name!r}{close} (the columns are {names})"
            )
        if list(known).count(name) > 1:
            raise DatasetError(f"{place}: two columns are called {name!r}")


def _case_id(
    value: Any,
    place: str,
) -> str:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DatasetError(
        f"{place}: the case id is neither text nor a whole number: {value!r:.60}"
    )


def _sample_index(
    value: Any,
    place: str,
) -> int:
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
        return number
    raise DatasetError(
        f"{place}: the sample is no number counted from 0: {value!r:.60}"
    )
