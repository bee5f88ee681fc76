"""Gates: what a run has to reach, decided by intervals unless the mean is asked for.

    exact_match >= 0.8                        also <=, > and <
    exact_match no worse than RUN by 0.02     RUN: an id, its beginning, an experiment's
                                              name, or `last good`
    exact_match >= 0.7 on topic=algebra       on one dataset, or one slice of each
    corrected(quality) >= 0.8                 the mean corrected by labels of people;
                                              also `corrected(quality) no worse than …`

A gate passes if the whole interval is on the right side, fails if the whole is on the
wrong side, and is underpowered otherwise: the data cannot tell. By the mean it passes
or fails as the estimate alone does, whatever its interval. Either way the data cannot
tell where it depends on the scores that failed cases would have had. Of a metric that
says that lower is better, a rise is worse. A gate without a place holds for each dataset.
"""

from __future__ import annotations

import operator
import re
from collections.abc import (
    Callable,
    Collection,
)
from dataclasses import dataclass
from typing import TypedDict

from themis_lib.core.option_names import GateBasis
from themis_lib.errors import (
    ConfigError,
    nearest,
)
from themis_lib.runs.manifest import GateOutcome
from themis_lib.runs.summary import ALL_CASES

# A decimal number with or without an exponent; no "nan", no "inf", no percent sign.
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_PLACE = r"(?:\s+on\s+(?P<place>\S.*?))?\s*"
# Metric ids may hold spaces and brackets. The lookbehind refuses "=>" and "<>", whose
# first character would otherwise join the metric.
_THRESHOLD = re.compile(
    r"\s*(?P<metric>\S.*?)(?<![<>=!])\s*(?P<relation>[<>]=?)\s*"
    rf"(?P<limit>{_NUMBER}){_PLACE}"
)
_REGRESSION = re.compile(
    r"\s*(?P<metric>\S.*?)\s+no worse than\s+(?P<baseline>\S.*?)\s+by\s+"
    rf"(?P<margin>{_NUMBER}){_PLACE}"
)
_CORRECTED = re.compile(r"corrected\(\s*(?P<metric>.+?)\s*\)")
_RELATIONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


class _MetricOfGate(TypedDict):
    metric_id: str
    is_corrected: bool


@dataclass(frozen=True)
class Gate:
    """One gate: a relation and a limit for the mean of a metric.

    With a `baseline` they are for the difference from that run. `by` is what decides:
    the interval, or the mean (or difference) alone. If it `is_corrected`, labels of
    people correct the mean first.
    """

    text: str
    metric_id: str
    relation: str
    limit: float
    place: str | None = None
    baseline: str | None = None
    by: GateBasis = "interval"
    is_corrected: bool = False

    def is_for(
        self,
        dataset_id: str,
        slice_name: str,
    ) -> bool:
        """Return whether this row of a summary is a place that the gate holds for."""
        if self.place in (None, dataset_id):
            return slice_name == ALL_CASES
        return slice_name == self.place

    def outcome(
        self,
        low: float | None,
        high: float | None,
    ) -> GateOutcome:
        """Return the outcome for an interval; without one the data cannot tell."""
        if low is None or high is None:
            return GateOutcome.UNDERPOWERED
        holds = _RELATIONS[self.relation]
        # Relations are monotonic: what holds for both ends holds in between.
        low_holds = holds(low, self.limit)
        high_holds = holds(high, self.limit)
        if low_holds != high_holds:
            return GateOutcome.UNDERPOWERED
        return GateOutcome.PASS if low_holds else GateOutcome.FAIL


def parse_gate(
    text: str,
    by: GateBasis = "interval",
) -> Gate:
    """Read one gate; `by` is what decides it.

    Raises `ConfigError`, which shows how gates are written.

    >>> parse_gate("exact_match no worse than last good by 0.02").limit
    -0.02
    >>> gate = parse_gate("corrected(quality) >= 0.8")
    >>> gate.metric_id, gate.is_corrected
    ('quality', True)
    """
    # Tried first: the place of a regression may hold a relation sign.
    found = _REGRESSION.fullmatch(text)
    if found:
        margin = float(found["margin"])
        # "No worse by -0.1" would ask for an improvement in the words of a tolerance.
        if margin < 0:
            raise ConfigError(
                f"gate {text!r}: a run is no worse by a margin of 0 or more"
            )
        # No worse by 0.02: the difference candidate − baseline is at least -0.02.
        return Gate(
            text=text,
            **_metric_of(found["metric"]),
            relation=">=",
            limit=-margin,
            place=found["place"],
            baseline=found["baseline"],
            by=by,
        )
    found = _THRESHOLD.fullmatch(text)
    if found:
        return Gate(
            text=text,
            **_metric_of(found["metric"]),
            relation=found["relation"],
            limit=float(found["limit"]),
            place=found["place"],
            by=by,
        )
    raise ConfigError(
        f"gate {text!r}: write 'METRIC >= 0.8' (or <=, >, <) or 'METRIC no worse than "
        "RUN by 0.02', and after either 'on DATASET' or 'on COLUMN=VALUE' if it is for "
        "one place only; 'corrected(METRIC)' is the mean corrected by labels"
    )


def _metric_of(text: str) -> _MetricOfGate:
    """Return the metric that a gate names, and whether labels correct it."""
    found = _CORRECTED.fullmatch(text)
    if found is None:
        return {"metric_id": text, "is_corrected": False}
    return {"metric_id": found["metric"], "is_corrected": True}


def check_names(
    gate: Gate,
    *,
    metric_ids: Collection[str],
    dataset_ids: Collection[str],
    columns: Collection[str],
) -> None:
    """Refuse a gate on an unknown metric, dataset or slice.

    `columns` are the metadata columns that the run is sliced by. Raises `ConfigError`.
    """
    if gate.metric_id not in metric_ids:
        raise ConfigError(
            f"gate {gate.text!r}: no metric {gate.metric_id!r}; "
            f"{nearest(gate.metric_id, metric_ids)}"
        )
    if gate.place is None or gate.place in dataset_ids:
        return
    # The values of a column are known only once the cases are read.
    column, equals, _ = gate.place.partition("=")
    if equals and column in columns:
        return
    places = list(dataset_ids)
    for name in columns:
        places.append(f"{name}=…")
    raise ConfigError(
        f"gate {gate.text!r}: no dataset or slice {gate.place!r}; "
        f"{nearest(gate.place, places)}"
    )
