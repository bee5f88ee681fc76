"""The cases of another tool's log as rows of data: each once, however many samples."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import IO

from themis_lib.data.records import Record, Source
from themis_lib.errors import DatasetError
from themis_lib.eval_logs.open_log import open_log
from themis_lib.eval_logs.samples import LogFormat, LoggedSample


def log_source(
    file: IO[bytes],
    path: str,
    *,
    log_format: LogFormat,
) -> Source:
    """Return the cases of a log in its order.

    The columns are `case_id`, `input`, `expected_output`, `metadata`, and those of the
    tool's own data: a document of lm-eval, metadata of Inspect, `vars` of promptfoo.
    """
    samples = _first_samples(open_log(file, path, log_format).samples())
    first = next(samples, None)
    if first is None:
        raise DatasetError(f"{path}: there are no samples")
    number, sample = first
    places = {number: sample.place}

    def records() -> Iterator[Record]:
        for position, item in chain([first], samples):
            places.clear()
            places[position] = item.place
            yield position, item.columns()

    return Source(
        name=path,
        columns=list(sample.columns()),
        records=lambda _: records(),
        head=sample.place,
        place=lambda position: places.get(position, path),
    )


def _first_samples(
    samples: Iterator[LoggedSample],
) -> Iterator[tuple[int, LoggedSample]]:
    """Yield the first sample of each case, numbered.

    Raise `DatasetError` for a case whose samples have different inputs.
    """
    seen: dict[str, int] = {}
    for sample in samples:
        # Python's own hash: it never leaves this process.
        content = hash(repr((sample.input, sample.expected_output)))
        known = seen.get(sample.case_id)
        if known is None:
            seen[sample.case_id] = content
            yield len(seen) - 1, sample
        elif known != content:
            raise DatasetError(
                f"{sample.place}: case {sample.case_id!r} has another input or "
                "expected output than before; a case has one of each"
            )
