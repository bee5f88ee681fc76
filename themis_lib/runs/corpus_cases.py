"""The statistics that cases have under a metric of a data set.

A case is a line of JSON: for each of its samples whether it has an answer, and its
statistics. Lines are sorted, so that the order of the cases cannot matter, and kept as
text until a score is computed of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from themis_lib.components.records import BuiltMetric
from themis_lib.core.config import NoAnswerPolicy
from themis_lib.identity.digests import (
    bytes_digest,
    canonical_json,
    digest,
    load_json,
    load_json_or_null,
)
from themis_lib.stages.missing import Missing, missing_kind

#: The line of a case that failed: nothing of it counts.
FAILED = "null"
Integers = npt.NDArray[np.int64]
#: The statistics of a row.
Statistics = Mapping[str, Any]
#: Of each sample, the statistics of each case; `None` for a case that has none.
BySample = Sequence[Sequence[Statistics | None]]


@dataclass(frozen=True)
class ScoredRows:
    """The samples' scores of some cases under one metric, in order, as columns.

    `finish_reasons` has how each output ended; `chosen` the sample that the reducer
    chose of each case, if it chose one; `missing` what the case's result lacks.
    `expected_outputs` are JSON, a text for each case.
    """

    details: Sequence[str | None]
    errors: Sequence[str | None]
    finish_reasons: Sequence[str | None]
    chosen: Sequence[int | None]
    missing: Sequence[str | None]
    expected_outputs: Sequence[str | None]

    @staticmethod
    def of(
        scores: pa.Table,
        results: pa.Table,
        outputs: pa.Table,
        cases: pa.Table,
    ) -> ScoredRows:
        """Return the columns of a stage's tables, or of a run's."""
        return ScoredRows(
            details=scores["details"].to_pylist(),
            errors=scores["error"].to_pylist(),
            finish_reasons=outputs["finish_reason"].to_pylist(),
            chosen=results["sample_index"].to_pylist(),
            missing=results["missing"].to_pylist(),
            expected_outputs=cases["expected_output"].to_pylist(),
        )


def case_lines(
    rows: ScoredRows,
    metric: BuiltMetric,
) -> list[str]:
    """Return the line of each case: of the chosen sample, or else of all of them."""
    samples = len(rows.errors) // max(len(rows.chosen), 1)
    lines = []
    for case, chosen in enumerate(rows.chosen):
        if rows.missing[case] == Missing.FAILED:
            lines.append(FAILED)
            continue
        places = range(samples) if chosen is None else (chosen,)
        texts = [_sample_text(rows, metric, case, case * samples + at) for at in places]
        # Of samples that are all the same, one says it all.
        texts = texts[:1] if len(set(texts)) == 1 else texts
        lines.append(f"[{','.join(texts)}]")
    return lines


def _sample_text(
    rows: ScoredRows,
    metric: BuiltMetric,
    case: int,
    row: int,
) -> str:
    """Return a sample as JSON: `[has an answer, statistics]`."""
    error = rows.errors[row]
    if error is None:
        return f"[true,{rows.details[row] or 'null'}]"
    if missing_kind(error, rows.finish_reasons[row]) is Missing.FAILED:
        return "[true,null]"
    statistics = None
    if metric.unanswered is not None:
        statistics = metric.unanswered(load_json_or_null(rows.expected_outputs[case]))
    return f"[false,{canonical_json(statistics)}]"


@dataclass(frozen=True)
class CorpusCases:
    """The cases of a group, sorted: their lines, and the cluster of each if there are any.

    A cluster of -1 is a case that is alone in its own.
    """

    lines: tuple[str, ...]
    clusters: Integers | None

    @staticmethod
    def sorted(
        lines: Sequence[str],
        clusters: Integers | None,
    ) -> CorpusCases:
        """Return cases in the order of their clusters and lines."""
        if clusters is None:
            return CorpusCases(tuple(sorted(lines)), None)
        order = sorted(range(len(lines)), key=lambda row: (clusters[row], lines[row]))
        return CorpusCases(tuple(lines[row] for row in order), clusters[order])

    @property
    def content(self) -> str:
        """The digest of all of it."""
        parts = [bytes_digest("lines", "\n".join(self.lines).encode())]
        if self.clusters is not None:
            numbers = np.unique(self.clusters, return_inverse=True)[1]
            is_alone = self.clusters < 0
            parts.append(bytes_digest("alone", is_alone.tobytes()))
            parts.append(bytes_digest("clusters", numbers.astype("<i8").tobytes()))
        return digest("corpus_cases", parts)


@dataclass(frozen=True)
class CorpusRows:
    """What a score of a data set is computed of: the cases that count, in units.

    `samples` has the statistics by sample and case. `units` gives each case the number
    of what is drawn as one, itself or its cluster, from 0 without gaps. `failed` and
    `unanswered` count the cases of either kind, counted or not.
    """

    samples: BySample
    units: Integers
    n: int
    failed: int
    unanswered: int

    @property
    def unit_count(self) -> int:
        """How many units there are."""
        return int(self.units.max(initial=-1)) + 1


def corpus_rows(
    cases: CorpusCases,
    policy: NoAnswerPolicy,
) -> CorpusRows:
    """Return the rows that count, a case without an answer as `policy` says."""
    kept: list[list[Statistics | None]] = []
    positions = []
    failed = unanswered = 0
    for position, line in enumerate(cases.lines):
        found = load_json(line)
        if found is None:
            failed += 1
            continue
        unanswered += not any(is_answered for is_answered, _ in found)
        statistics = [
            each if is_answered or policy == "zero" else None
            for is_answered, each in found
        ]
        if any(each is not None for each in statistics):
            kept.append(statistics)
            positions.append(position)
    width = max(map(len, kept), default=0)
    # A case of one sample counts beside each sample of the others.
    filled = [each if len(each) == width else each * width for each in kept]
    return CorpusRows(
        samples=list(zip(*filled, strict=True)),
        units=_units(cases.clusters, positions),
        n=len(kept),
        failed=failed,
        unanswered=unanswered,
    )


def _units(
    clusters: Integers | None,
    positions: Sequence[int],
) -> Integers:
    if clusters is None:
        return np.arange(len(positions))
    names = clusters[positions]
    # A number of its own, below all others, for a case that is alone.
    own = -1 - np.arange(len(names))
    names = np.where(names < 0, own, names)
    numbers: Integers = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return numbers
