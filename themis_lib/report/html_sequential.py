"""How a run was decided, drawn: the confidence sequence and the evidence over the cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from themis_lib.comparison.sequential_text import question_text
from themis_lib.report.html_charts import Axis, axis_over
from themis_lib.runs.manifest import Manifest
from themis_lib.runs.sequential import SequentialQuestion

# More looks than these would only touch each other.
_MANY_LOOKS = 40
# Below this the evidence is shown at the lowest tick.
_LEAST_E_VALUE = 1e-3


@dataclass(frozen=True)
class LookMark:
    """One look: places in percent from the left and from the top, and its numbers."""

    n: int
    x: float
    mean: float | None
    top: float
    bottom: float
    evidence: float
    title: str


@dataclass(frozen=True)
class DecisionPlot:
    """A question and its looks, on an axis of scores and one of evidence."""

    question: SequentialQuestion
    title: str
    text: str
    axis: Axis
    evidence_axis: Axis
    null: float
    boundary: float
    marks: Sequence[LookMark]

    @property
    def has_many(self) -> bool:
        """Whether marks have to be thin."""
        return len(self.marks) > _MANY_LOOKS


def decision_plots(manifest: Manifest) -> list[DecisionPlot]:
    """Return a plot for each question of a run that was to stop when decided."""
    record = manifest.sequential
    if record is None:
        return []
    return [_plot(item) for item in record.questions if item.looks]


def _plot(item: SequentialQuestion) -> DecisionPlot:
    values = [item.null]
    for look in item.looks:
        values += [look.low, look.high]
    axis = axis_over(values)
    exponents = [math.log10(item.boundary), 0.0]
    exponents += [_exponent(look.e_value) for look in item.looks]
    # The axis of shares, from 0 to 1, would hide what lies below a tenth.
    evidence_axis = axis_over([*exponents, -1.0, 2.0])
    marks = []
    for look in item.looks:
        estimate = "—" if look.estimate is None else f"{look.estimate:.4f}"
        mark = LookMark(
            n=look.n,
            x=round(100 * look.n / item.looks[-1].n, 3),
            mean=None if look.estimate is None else _from_top(axis, look.estimate),
            top=_from_top(axis, look.high),
            bottom=_from_top(axis, look.low),
            evidence=_from_top(evidence_axis, _exponent(look.e_value)),
            title=(
                f"{look.n:,} cases: {estimate} ({look.low:.4f} to {look.high:.4f}), "
                f"E = {look.e_value:.3g}"
            ),
        )
        marks.append(mark)
    return DecisionPlot(
        question=item,
        title=item.gate or item.metric_id,
        text=question_text(item),
        axis=axis,
        evidence_axis=evidence_axis,
        null=_from_top(axis, item.null),
        boundary=_from_top(evidence_axis, math.log10(item.boundary)),
        marks=marks,
    )


def _exponent(e_value: float) -> float:
    return math.log10(max(e_value, _LEAST_E_VALUE))


def _from_top(
    axis: Axis,
    value: float,
) -> float:
    return round(100 - axis.at(value), 3)
