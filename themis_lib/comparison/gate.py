"""Gates: what a run has to reach, decided by intervals and not by point estimates.

    exact_match >= 0.8                           also <=, > and <
    exact_match no worse than RUN by 0.02        RUN: an id, its beginning, an experiment's name, `last good`
    exact_match >= 0.7 on topic=algebra          on one dataset, or one slice of each dataset

A gate passes if the whole interval is on the right side, fails if the whole is on the
wrong side, and is underpowered otherwise: the data cannot tell. A gate without a place
holds for each dataset.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from themis_lib.errors import ConfigError, nearest
from themis_lib.runs.manifest import GateOutcome
from themis_lib.runs.summary import ALL_CASES

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_PLACE = r"(?:\s+on\s+(?P<place>\S.*?))?\s*"
_THRESHOLD = re.compile(
    rf"\s*(?P<metric>\S.*?)(?<![<>=!])\s*(?P<relation>[<>]=?)\s*(?P<limit>{_NUMBER}){_PLACE}"
)
_REGRESSION = re.compile(
    rf"\s*(?P<metric>\S.*?)\s+no worse than\s+(?P<baseline>\S.*?)\s+by\s+(?P<margin>{_NUMBER}){_PLACE}"
)
_RELATIONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Gate:
    """One gate: a relation and a limit for a metric's mean or, with a `baseline`, for
    its difference from that run.
    """

    text: str
    metric_id: str
    relation: str
    limit: float
    place: str | None = None
    baseline: str | None = None

    def is_for(
        self,
        dataset_id: str,
        slice_name: str,
    ) -> bool:
        """Whether this row of a summary is a place that the gate holds for."""
        if self.place in (None, dataset_id):
            return slice_name == ALL_CASES
        return slice_name == self.place

    def outcome(
        self,
        low: float | None,
        high: float | None,
    ) -> GateOutcome:
        """How an interval fares; without one the data cannot tell."""
        if low is None or high is None:
            return GateOutcome.UNDERPOWERED
        holds = {_RELATIONS[self.relation](bound, self.limit) for bound in (low, high)}
        if len(holds) > 1:
            return GateOutcome.UNDERPOWERED
        return GateOutcome.PASS if holds == {True} else GateOutcome.FAIL


def parse_gate(text: str) -> Gate:
    """Read one gate. Raises `ConfigError` that shows how gates are written.

    >>> parse_gate("exact_match no worse than last good by 0.02").limit
    -0.02
    """
    if found := _REGRESSION.fullmatch(text):
        margin = float(found["margin"])
        if margin < 0:
            raise ConfigError(
                f"gate {text!r}: a run is no worse by a margin of 0 or more"
            )
        return Gate(
            text,
            found["metric"],
            ">=",
            -margin,
            found["place"],
            found["baseline"],
        )
    if found := _THRESHOLD.fullmatch(text):
        return Gate(
            text,
            found["metric"],
            found["relation"],
            float(found["limit"]),
            found["place"],
        )
    raise ConfigError(
        f"gate {text!r}: write 'METRIC >= 0.8' (or <=, >, <) or 'METRIC no worse than RUN by 0.02', and after either "
        "'on DATASET' or 'on COLUMN=VALUE' if it is for one place only"
    )


def check_names(
    gate: Gate,
    *,
    metric_ids: Collection[str],
    dataset_ids: Collection[str],
    columns: Collection[str],
) -> None:
    """Refuse a gate on a metric, dataset or slice that is not there. Raises
    `ConfigError`.
    """
    if gate.metric_id not in metric_ids:
        raise ConfigError(
            f"gate {gate.text!r}: no metric {gate.metric_id!r}; {nearest(gate.metric_id, metric_ids)}"
        )
    if gate.place is None or gate.place in dataset_ids:
        return
    column, equals, _ = gate.place.partition("=")
    if not equals or column not in columns:
        places = [*dataset_ids, *(f"{name}=…" for name in columns)]
        raise ConfigError(
            f"gate {gate.text!r}: no dataset or slice {gate.place!r}; {nearest(gate.place, places)}"
        )
