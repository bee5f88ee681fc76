"""A run as one HTML file: what it found, how surely, what it cost, and every case to
look at. Readable offline.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow.compute as pc

from themis_lib.core.prompts import PromptSpec, render_input
from themis_lib.errors import StoreError
from themis_lib.report.failures import FAILURE_HEADINGS, failed_rows
from themis_lib.report.html_cases import CUTS, pack, read_tables, spread
from themis_lib.report.html_charts import Axis, Bins, ScoreArray, axis_over, bins_of
from themis_lib.report.html_page import render_page
from themis_lib.report.markdown import (
    AGREEMENT_HEADINGS,
    GATE_HEADINGS,
    agreement_cells,
    commonest_errors,
    dollars,
    gate_cells,
    summary_notes,
)
from themis_lib.runs.inventory import TABLE_OF, has_tables
from themis_lib.runs.manifest import Manifest, RunStatus
from themis_lib.runs.results import RunResult, SummaryRow
from themis_lib.runs.summary import ALL_CASES

REPORT_NAME = "report.html"
#: Cases in the browser; more are shown evenly over all of them.
MOST_CASES = 10_000
_MOST_FAILURES = 200
_DIGEST = re.compile(r"[0-9a-f]{32,}")
_SCRIPTS = ("dom.js", "case.js", "browser.js", "run.js")


@dataclass(frozen=True)
class DatasetScores:
    """The scores of one dataset under one metric: how many in each bin, and how many
    cases have none.
    """

    dataset_id: str
    counts: list[int]
    missing: int


@dataclass(frozen=True)
class MetricPanel:
    """One metric: its rows of the summary on one axis, and its distribution on each
    dataset.
    """

    metric_id: str
    axis: Axis
    rows: list[SummaryRow]
    bins: Bins
    datasets: list[DatasetScores]


def report_html(result: RunResult) -> str:
    """The page of a run. The same run gives the same page: its dates are the run's own.

    Raises `StoreError` where a table of a run that came to its end is gone.
    """
    manifest = result.manifest
    _check_tables(result)
    count = sum(manifest.datasets.values())
    tables = read_tables(result, spread(count, MOST_CASES))
    panels = metric_panels(result)
    facts = {
        "samples": len(manifest.seeds),
        "location": result.location,
        "prompt": prompt_parts(manifest),
        "outcomes": {
            panel.metric_id: {
                "levels": panel.bins.are_levels,
                "bars": [
                    [*ends, label]
                    for ends, label in zip(
                        panel.bins.ranges, panel.bins.labels, strict=True
                    )
                ],
            }
            for panel in panels
        },
    }
    data, cut = pack({"run": tables}, facts)
    return render_page(
        "run.html.jinja",
        scripts=_SCRIPTS,
        data=data,
        cut=cut,
        is_cut=cut < CUTS[0],
        result=result,
        manifest=manifest,
        panels=panels,
        cases=count,
        shown=tables["cases"].num_rows,
        duration_s=duration_s(manifest),
        model=model_name(manifest),
        failures=failed_rows(result, limit=_MOST_FAILURES),
        failure_headings=FAILURE_HEADINGS,
        reasons=commonest_errors(result),
        latency=_latency_quantiles(result),
        dollars=dollars,
        all_cases=ALL_CASES,
        is_running=result.status is RunStatus.RUNNING,
        notes=summary_notes(result),
        gate_headings=GATE_HEADINGS,
        gate_cells=gate_cells,
        agreement_headings=AGREEMENT_HEADINGS,
        agreement=[agreement_cells(record) for record in result.agreement],
    )


def write_report(result: RunResult) -> str:
    """Write the page of a run beside its tables, over an earlier one, and return its
    address.

    Raises `StoreError` where the store does not take it.
    """
    path = f"runs/{result.run_id}/{REPORT_NAME}"
    page = report_html(result).encode()
    with result.store.refusals():
        result.store.replace(path, page)
    return result.store.uri(path)


def metric_panels(result: RunResult) -> list[MetricPanel]:
    """A panel for each metric, in the order of the summary."""
    scores = _scores_by_metric(result)
    return [
        _metric_panel(
            metric_id,
            [row for row in result.summary if row.metric_id == metric_id],
            scores[metric_id],
        )
        for metric_id in dict.fromkeys(row.metric_id for row in result.summary)
    ]


def prompt_parts(manifest: Manifest) -> dict[str, str | None]:
    """What the prompt spec puts around every input: a system message, and text before
    and after.
    """
    spec = (
        PromptSpec(**manifest.stages[0].identity.get("prompt_spec", {}))
        if manifest.stages
        else PromptSpec()
    )
    before = [part for part in (spec.prefix, *map(render_input, spec.blocks)) if part]
    return {
        "system": spec.instructions,
        "before": "\n\n".join(before) or None,
        "after": spec.suffix,
    }


def model_name(manifest: Manifest) -> str:
    """The generator of a run, with its model where it has one; of a digest, the
    beginning.
    """
    identity: Mapping[str, Any] = (
        manifest.stages[0].identity.get("generator", {}) if manifest.stages else {}
    )
    model = (identity.get("settings") or {}).get("model")
    name = str(identity.get("component_id", "—"))
    if model is None:
        return name
    return f"{name} · {str(model)[:12] if _DIGEST.fullmatch(str(model)) else model}"


def duration_s(manifest: Manifest) -> float | None:
    """The seconds from start to end, as whole as the record has them; null while the
    run is under way.
    """
    if manifest.finished_at is None:
        return None
    return (
        datetime.fromisoformat(manifest.finished_at)
        - datetime.fromisoformat(manifest.started_at)
    ).total_seconds()


def _check_tables(result: RunResult) -> None:
    if not has_tables(result.manifest):
        return
    stages = {record.stage.partition("[")[0] for record in result.manifest.stages}
    for name in ("cases", *(TABLE_OF[stage] for stage in TABLE_OF if stage in stages)):
        if not result.store.exists(f"runs/{result.run_id}/{name}.parquet"):
            raise StoreError(
                f"run {result.run_id!r} has lost its table {name!r}; check the store"
            )


def _metric_panel(
    metric_id: str,
    rows: list[SummaryRow],
    scores: Mapping[str, ScoreArray],
) -> MetricPanel:
    marks = [
        value
        for row in rows
        for value in (row.low, row.mean, row.high)
        if value is not None
    ]
    bins = bins_of(np.concatenate(list(scores.values())))
    datasets = [
        DatasetScores(dataset_id, bins.count(values), int(np.isnan(values).sum()))
        for dataset_id, values in scores.items()
    ]
    return MetricPanel(
        metric_id,
        axis_over(marks),
        rows,
        bins,
        datasets,
    )


def _scores_by_metric(result: RunResult) -> dict[str, dict[str, ScoreArray]]:
    """The scores of all cases by metric and dataset; NaN for a case without one."""
    table = result.table("results", columns=["dataset_id", "metric_id", "score"])
    found: dict[str, dict[str, ScoreArray]] = {}
    for metric_id in pc.unique(table["metric_id"]).drop_null().to_pylist():
        of_metric = table.filter(pc.equal(table["metric_id"], metric_id))
        found[metric_id] = {
            dataset_id: of_metric.filter(pc.equal(of_metric["dataset_id"], dataset_id))[
                "score"
            ].to_numpy()
            for dataset_id in pc.unique(of_metric["dataset_id"]).to_pylist()
        }
    return found


def _latency_quantiles(result: RunResult) -> Sequence[float] | None:
    """The median and the 95th percentile of the seconds a call took; null where none
    was timed.
    """
    latencies = (
        result.table("outputs", columns=["latency_s"])["latency_s"]
        .drop_null()
        .to_numpy()
    )
    return (
        [float(value) for value in np.quantile(latencies, (0.5, 0.95))]
        if len(latencies)
        else None
    )
