"""Outputs recorded elsewhere: a JSON Lines, CSV or Parquet file, or another tool's log."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

from themis_lib.core.models import GenerationResult
from themis_lib.core.secrets import public_url
from themis_lib.errors import (
    DatasetError,
    TransientError,
    describe,
    is_transient,
    nearest,
)
from themis_lib.eval_logs.open_log import open_log
from themis_lib.eval_logs.samples import LogFormat, LoggedSample, LogHeader
from themis_lib.identity.digests import load_json

#: The place of a row, for messages, and its cells by column.
_Row: TypeAlias = tuple[str, Mapping[str, Any]]
_Reader: TypeAlias = Callable[[bytes, str, Sequence[str]], Iterator[_Row]]

#: The format of a file, by the suffix of its name.
FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".eval": "inspect",
}


@dataclass(frozen=True)
class Columns:
    """The columns to read. Without `sample`, the order of rows numbers the samples."""

    output: str
    case_id: str
    sample: str | None

    @property
    def names(self) -> list[str]:
        """Every column that must be in the file."""
        names = [self.case_id, self.output]
        if self.sample:
            names.append(self.sample)
        return names

    def case_id_of(
        self,
        row: Mapping[str, Any],
        place: str,
    ) -> str:
        """Return the case id in a row. Raise `DatasetError` if it is none."""
        value = row[self.case_id]
        if isinstance(value, str) and value:
            return value
        # In Python `True` is an integer, in JSON it is not.
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise DatasetError(
            f"{place}: the case id is neither text nor a whole number: {value!r:.60}"
        )

    def sample_of(
        self,
        row: Mapping[str, Any],
        place: str,
        *,
        default: int,
    ) -> int:
        """Return the sample number in a row, or the default without such a column.

        Raise `DatasetError` if it is not a number counted from 0.
        """
        if not self.sample:
            return default
        value = row[self.sample]
        number = value
        # Cells of CSV are text.
        if isinstance(value, str) and value.isdecimal():
            number = int(value)
        is_whole = isinstance(number, int) and not isinstance(number, bool)
        if is_whole and number >= 0:
            return int(number)
        raise DatasetError(
            f"{place}: the sample is no number counted from 0: {value!r:.60}"
        )


@dataclass(frozen=True)
class Recording:
    """The content of a file of outputs: by case id, then by sample.

    Of a log an output is a `GenerationResult`, with all that the log says of it.
    """

    sha256: str
    outputs: Mapping[str, Mapping[int, Any]]


def read_recording(
    path: str,
    columns: Columns,
    *,
    file_format: str,
    storage_options: Mapping[str, Any],
) -> Recording:
    """Read a file at any fsspec URL.

    Raise `DatasetError`, naming the file, the line and the column at fault, and
    `TransientError` if the storage may answer another time.
    """
    content = read_content(path, storage_options)
    read_rows = _READERS[file_format]
    outputs: dict[str, dict[int, Any]] = {}
    for place, row in read_rows(content, path, columns.names):
        case_id = columns.case_id_of(row, place)
        samples = outputs.setdefault(case_id, {})
        sample = columns.sample_of(
            row,
            place,
            default=len(samples),
        )
        # Keeping either would make the result depend on the order of the file.
        if sample in samples:
            raise DatasetError(
                f"{place}: sample {sample} of case {row[columns.case_id]!r} "
                "is recorded twice"
            )
        samples[sample] = row[columns.output]
    return Recording(
        sha256=hashlib.sha256(content).hexdigest(),
        outputs=outputs,
    )


#: Where the artifacts of an output have what its log says of it.
LOGGED = "logged"


def read_log_recording(
    path: str,
    log_format: LogFormat,
    *,
    column: str,
    variant: int | None,
    storage_options: Mapping[str, Any],
) -> Recording:
    """Read the log of another tool at any fsspec URL.

    `column` is `output`, or `answer` for what the tool read out of it. `variant` is the
    position of the prompt and provider, where the log has several. Raise as
    `read_recording` does, and `DatasetError` where the variant has to be named.
    """
    content = read_content(path, storage_options)
    log = open_log(io.BytesIO(content), path, log_format)
    chosen = _chosen_variant(log.header, variant, path)
    samples: dict[str, dict[int, LoggedSample]] = {}
    for sample in log.samples():
        if sample.variant != chosen:
            continue
        of_case = samples.setdefault(sample.case_id, {})
        known = of_case.get(sample.sample)
        of_case[sample.sample] = sample if known is None else _merged(known, sample)
    outputs: dict[str, dict[int, GenerationResult]] = {}
    for case_id, of_case in samples.items():
        outputs[case_id] = {
            number: _logged_result(sample, column) for number, sample in of_case.items()
        }
    return Recording(sha256=hashlib.sha256(content).hexdigest(), outputs=outputs)


def _chosen_variant(
    header: LogHeader,
    variant: int | None,
    path: str,
) -> int:
    count = len(header.variants)
    if variant is None and count == 1:
        return 0
    if variant is not None and variant < count:
        return variant
    numbered = [f"{at}: {item.label}" for at, item in enumerate(header.variants)]
    raise DatasetError(
        f"{path}: {variant=} of {count} prompts with providers; give the number of one "
        f"({'; '.join(numbered)})"
    )


def _merged(
    known: LoggedSample,
    sample: LoggedSample,
) -> LoggedSample:
    """Return a sample with more scores. Raise `DatasetError` if it is another one."""
    is_same = (known.output, known.error) == (sample.output, sample.error)
    if (
        not is_same
        or not sample.scores
        or not known.scores.keys().isdisjoint(sample.scores)
    ):
        raise DatasetError(
            f"{sample.place}: sample {sample.sample} of case {sample.case_id!r} is "
            f"recorded twice, first at {known.place}"
        )
    answer = sample.answer if known.answer is None else known.answer
    return replace(known, scores={**known.scores, **sample.scores}, answer=answer)


def _logged_result(
    sample: LoggedSample,
    column: str,
) -> GenerationResult:
    scores = {name: asdict(score) for name, score in sample.scores.items()}
    error = sample.error
    # Named as an exception is, so that it counts as a failure and not as no answer.
    if error is not None:
        error = f"LoggedError: {error}"
    output = sample.answer if column == "answer" else sample.output
    if output is None and error is None:
        error = f"the {column} recorded for case {sample.case_id!r} is null"
    return GenerationResult.model_construct(
        final_output=None if error else output,
        finish_reason=sample.finish_reason,
        artifacts={LOGGED: {"answer": sample.answer, "scores": scores}},
        usage=sample.usage,
        latency_s=sample.latency_s,
        error=error,
    )


def read_content(
    path: str,
    storage_options: Mapping[str, Any],
) -> bytes:
    """Return a file at any fsspec URL. Raise as `read_recording` does."""
    # Importing takes a while, and most runs replay nothing.
    import fsspec

    try:
        fs, location = fsspec.core.url_to_fs(path, **storage_options)
        # `cat_file`, unlike `cat`, never takes a path with brackets for a pattern.
        return bytes(fs.cat_file(location))
    except FileNotFoundError:
        raise DatasetError(f"recorded outputs: no file {public_url(path)!r}") from None
    except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
        message = f"recorded outputs: {path!r} cannot be read: {describe(error)}"
        # Clients repeat the URL in their errors.
        message = public_url(message)
        if is_transient(error):
            raise TransientError(message) from None
        raise DatasetError(message) from None


def read_jsonl(
    content: bytes,
    path: str,
    columns: Sequence[str],
) -> Iterator[_Row]:
    """Yield the rows of a JSON Lines file."""
    # Lines end at `\n` alone: `str.splitlines` would also split inside JSON strings.
    for number, line in enumerate(io.BytesIO(content), start=1):
        place = f"{path}:{number}"
        if line.isspace():
            continue
        # Only the first line can have a byte order mark.
        encoding = "utf-8-sig" if number == 1 else "utf-8"
        try:
            row = load_json(line.decode(encoding))
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


#: Characters. Far above Python's own limit, so that a long output fits; low enough for
#: a quote that is never closed.
_LARGEST_CELL = 2**24


def read_csv(
    content: bytes,
    path: str,
    columns: Sequence[str],
) -> Iterator[_Row]:
    """Yield the rows of a CSV file, whose cells are text."""
    # The limit belongs to the process: never lower what other code has set.
    limit = csv.field_size_limit()
    csv.field_size_limit(max(limit, _LARGEST_CELL))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8: {error}") from None
    reader = csv.reader(
        # Without `newline=""` a line break inside a cell would be changed.
        io.StringIO(text, newline=""),
        strict=True,
    )
    try:
        header = next(reader, [])
        _check_columns(columns, header, f"{path}:1")
        # `line_num` is the last line of a row; errors name its first.
        number = reader.line_num + 1
        for cells in reader:
            place = f"{path}:{number}"
            # Blank lines are rows without cells.
            if len(cells) not in (0, len(header)):
                raise DatasetError(
                    f"{place}: {len(cells)} cells under {len(header)} column names"
                )
            if cells:
                yield place, dict(zip(header, cells, strict=True))
            number = reader.line_num + 1
    except csv.Error as error:
        raise DatasetError(f"{path}:{reader.line_num}: not CSV: {error}") from None


def read_parquet(
    content: bytes,
    path: str,
    columns: Sequence[str],
) -> Iterator[_Row]:
    """Yield the rows of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from themis_lib.storage.part_files import reader_of

    try:
        file = pq.ParquetFile(reader_of(content))
        # The schema is in the footer, so no row is read for a missing column.
        _check_columns(columns, file.schema_arrow.names, path)
        table = file.read(columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path}: not Parquet: {describe(error)}") from None
    values = []
    for name in columns:
        column = table[name]
        values.append(column.to_pylist())
    for number, row in enumerate(zip(*values, strict=True)):
        yield f"{path}: row {number}", dict(zip(columns, row, strict=True))


_READERS: Mapping[str, _Reader] = {
    "jsonl": read_jsonl,
    "csv": read_csv,
    "parquet": read_parquet,
}


def _check_columns(
    columns: Sequence[str],
    known: Collection[str],
    place: str,
) -> None:
    for name in columns:
        if name not in known:
            names = ", ".join(map(repr, known)) or "none"
            # Other hints list the columns, which the message does anyway.
            hint = nearest(name, known)
            close = f"; {hint}" if hint.startswith("did you mean") else ""
            raise DatasetError(
                f"{place}: no column {name!r}{close} (the columns are {names})"
            )
        # A dict of the row would keep the last one without a word.
        if list(known).count(name) > 1:
            raise DatasetError(f"{place}: two columns are called {name!r}")
