"""Corrected means on the page of a run: raw and corrected intervals on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from themis_lib.labels.corrected_scores import CorrectedScore
from themis_lib.report.corrected_table import corrected_notes, trust_lines
from themis_lib.report.html_charts import Axis, axis_over


@dataclass(frozen=True)
class CorrectedPanel:
    """The corrected means of one metric on one axis, and what to know of them."""

    metric_id: str
    axis: Axis
    items: list[CorrectedScore]
    lines: list[str]


def corrected_panels(items: Sequence[CorrectedScore]) -> dict[str, CorrectedPanel]:
    """Return a panel for each metric that has labels."""
    by_metric: dict[str, list[CorrectedScore]] = {}
    for item in items:
        by_metric.setdefault(item.metric_id, []).append(item)
    panels = {}
    for metric_id, of_metric in by_metric.items():
        marks = []
        for item in of_metric:
            ends = (item.raw_low, item.raw_mean, item.raw_high)
            for value in (*ends, item.low, item.mean, item.high):
                if value is not None:
                    marks.append(value)
        panels[metric_id] = CorrectedPanel(
            metric_id,
            axis_over(marks),
            of_metric,
            [*trust_lines(of_metric), *corrected_notes(of_metric)],
        )
    return panels
