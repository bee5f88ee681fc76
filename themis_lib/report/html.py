"""A run as one HTML file that is readable offline.

It shows scores with their intervals, distributions, costs, failures and every case.
"""

from __future__ import annotations

import re
from collections.abc import (
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
import yaml

from themis_lib.certification.records import certifications
from themis_lib.core.prompts import render_input
from themis_lib.errors import StoreError
from themis_lib.labels.corrected_scores import CorrectedScore, corrected_scores
from themis_lib.report.cost_table import COST_HEADINGS, cost_rows
from themis_lib.report.failures import (
    FAILURE_HEADINGS,
    failed_rows,
)
from themis_lib.report.html_cases import (
    CUTS,
    pack,
    prompt_spec_of,
    read_tables,
    spread,
)
from themis_lib.report.html_charts import (
    Axis,
    Bins,
    ScoreArray,
    axis_over,
    bins_of,
)
from themis_lib.report.html_corrected import corrected_panels
from themis_lib.report.html_media import case_images
from themis_lib.report.html_page import render_page
from themis_lib.report.html_sequential import decision_plots
from themis_lib.report.markdown import (
    AGREEMENT_HEADINGS,
    GATE_HEADINGS,
    agreement_cells,
    certified_lines,
    commonest_errors,
    dollars,
    gate_cells,
    stored_verifications,
    summary_notes,
)
from themis_lib.runs.inventory import (
    TABLE_OF,
    has_tables,
)
from themis_lib.runs.manifest import (
    Manifest,
    RunStatus,
)
from themis_lib.runs.results import (
    RunResult,
    SummaryRow,
)
from themis_lib.runs.summary import ALL_CASES

if TYPE_CHECKING:
    from themis_lib.certification.models import Certification
    from themis_lib.verification.models import Verification

REPORT_NAME = "report.html"
#: Cases in the browser; of more, so many are chosen evenly over all of them.
MOST_CASES = 10_000
# Failures listed with their reasons; the browser of cases has all of them.
_MOST_FAILURES = 200
# A model may be named by a digest, whose beginning is enough for a reader.
_DIGEST = re.compile(r"[0-9a-f]{32,}")
_SCRIPTS = ("dom.js", "case.js", "browser.js", "run.js")


@dataclass(frozen=True)
class DatasetScores:
    """The number of scores in each bin, and of cases without one, on one dataset."""

    dataset_id: str
    counts: list[int]
    missing: int


@dataclass(frozen=True)
class MetricPanel:
    """The summary rows of one metric on one axis, and its distributions by dataset."""

    metric_id: str
    axis: Axis
    rows: list[SummaryRow]
    bins: Bins
    datasets: list[DatasetScores]


def report_html(
    result: RunResult,
    *,
    corrected: Sequence[CorrectedScore] | None = None,
    verified: Sequence[Verification] | None = None,
    certified: Sequence[Certification] | None = None,
) -> str:
    """Return the page of a run.

    `corrected` are its `corrected_scores`, `verified` its `verifications` and
    `certified` its `certifications`, read if they are not given. The same run with the
    same of these gives the same page: its dates are their own. Raises `StoreError` where
    a table of a finished run is gone.
    """
    manifest = result.manifest
    check_tables(result)
    if corrected is None:
        corrected = corrected_scores(result)
    if verified is None:
        verified = stored_verifications(result)
    if certified is None:
        certified = certifications(result)
    count = sum(manifest.datasets.values())
    tables = read_tables(result, spread(count, MOST_CASES))
    panels = metric_panels(result)
    outcomes = {}
    for panel in panels:
        # The browser of cases filters by these bins.
        outcomes[panel.metric_id] = panel.bins.to_json()
    # What the scripts need to label the cases; everything else is in the template.
    facts = {
        "samples": len(manifest.seeds),
        "location": result.location,
        "prompt": prompt_parts(manifest),
        "images": case_images(result.store, tables["cases"]),
        "outcomes": outcomes,
        "price": token_price(manifest),
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
        model_settings=model_settings(manifest),
        prompt=prompt_parts(manifest),
        configuration=configuration_yaml(manifest),
        failures=failed_rows(result, limit=_MOST_FAILURES),
        failure_headings=FAILURE_HEADINGS,
        reasons=commonest_errors(result),
        latency=latency_percentiles(result),
        dollars=dollars,
        cost_headings=COST_HEADINGS,
        cost_rows=cost_rows,
        all_cases=ALL_CASES,
        is_running=result.status is RunStatus.RUNNING,
        notes=summary_notes(result),
        decisions=decision_plots(manifest),
        gate_headings=GATE_HEADINGS,
        gate_cells=gate_cells,
        agreement_headings=AGREEMENT_HEADINGS,
        agreement=list(map(agreement_cells, result.agreement)),
        corrected=corrected_panels(corrected),
        verified=verified[-1] if verified else None,
        certified=certified_lines(certified),
    )


def write_report(
    result: RunResult,
    *,
    corrected: Sequence[CorrectedScore] | None = None,
    verified: Sequence[Verification] | None = None,
    certified: Sequence[Certification] | None = None,
) -> str:
    """Write the page of a run beside its tables and return its address.

    `corrected`, `verified` and `certified` are as for `report_html`. An earlier page is
    replaced. Raises `StoreError` where the store refuses it.
    """
    path = f"runs/{result.run_id}/{REPORT_NAME}"
    page = report_html(
        result,
        corrected=corrected,
        verified=verified,
        certified=certified,
    ).encode()
    # A full disk or a denied permission becomes a `StoreError`.
    with result.store.refusals():
        result.store.replace(path, page)
    return result.store.uri(path)


def metric_panels(result: RunResult) -> list[MetricPanel]:
    """Return a panel for each metric, in the order of the summary."""
    scores = scores_by_metric(result)
    rows_of: dict[str, list[SummaryRow]] = {}
    for row in result.summary:
        rows_of.setdefault(row.metric_id, []).append(row)
    panels = []
    for metric_id, rows in rows_of.items():
        marks = []
        for row in rows:
            for value in (row.low, row.mean, row.high):
                # A group without scores has no mark, and must not stretch the axis.
                if value is not None:
                    marks.append(value)
        of_metric = scores[metric_id]
        # One set of bins for all datasets makes their distributions comparable.
        bins = bins_of(np.concatenate(list(of_metric.values())))
        datasets = []
        for dataset_id, values in of_metric.items():
            distribution = DatasetScores(
                dataset_id=dataset_id,
                counts=bins.count(values),
                missing=int(np.isnan(values).sum()),
            )
            datasets.append(distribution)
        panel = MetricPanel(
            metric_id=metric_id,
            axis=axis_over(marks),
            rows=rows,
            bins=bins,
            datasets=datasets,
        )
        panels.append(panel)
    return panels


def prompt_parts(manifest: Manifest) -> dict[str, Any]:
    """Return what the prompt spec makes of every input.

    `system` is a system message, `before` and `after` are text, `template` is role and
    text of each message of a template, `examples` is the number of few-shot examples;
    each may be `None`. `script` says whether rows are conversations.
    """
    spec = prompt_spec_of(manifest)
    before = [part for part in (spec.prefix, *map(render_input, spec.blocks)) if part]
    template = None
    if isinstance(spec.template, str):
        template = [("user", spec.template)]
    elif spec.template is not None:
        template = [(turn.role, turn.content) for turn in spec.template]
    few_shot = manifest.stages[0].identity.get("few_shot") if manifest.stages else None
    return {
        "system": spec.instructions,
        "before": "\n\n".join(before) or None,
        "after": spec.suffix,
        "template": template,
        "examples": None if few_shot is None else few_shot["k"],
        # An input may be a script: its turns are prompts each.
        "script": bool(manifest.steps),
    }


def model_name(manifest: Manifest) -> str:
    """Return the generator of a run, with its model where it has one.

    Records of earlier versions name a local model by a digest, of which the beginning
    is shown.
    """
    identity: Mapping[str, Any] = {}
    if manifest.stages:
        identity = manifest.stages[0].identity.get("generator", {})
    name = str(identity.get("component_id", "—"))
    # A generator without settings may have null there.
    settings = identity.get("settings") or {}
    model = manifest.model or settings.get("model")
    if model is None:
        return name
    model = str(model)
    if _DIGEST.fullmatch(model):
        model = model[:12]
    return f"{name} · {model}"


def token_price(manifest: Manifest) -> dict[str, Any] | None:
    """Return the dollars of a million of the generator's tokens, if they are known."""
    price = manifest.stages[0].price if manifest.stages else None
    if price is None:
        return None
    return {
        "input": price.input,
        "cached": price.of_cached,
        "written": price.of_cache_write,
        "output": price.output,
        "reasoning": price.of_reasoning,
        "tiers": [
            {
                "above": tier.above,
                "input": tier.input,
                "cached": tier.of_cached,
                "written": tier.of_cache_write,
                "output": tier.output,
                "reasoning": tier.of_reasoning,
            }
            for tier in price.tiers
        ],
    }


def model_settings(manifest: Manifest) -> dict[str, Any]:
    """Return the settings of the generator as they were written, but for its model.

    Of a file, its name: where it is says nothing about a run, and may be long.
    """
    generation = (manifest.configuration or {}).get("generation", {})
    generator = generation.get("generator")
    if not isinstance(generator, Mapping):
        return {}
    shown = {}
    for name, value in generator.items():
        if name in ("use", "id", "model"):
            continue
        is_path = name == "path" and isinstance(value, str)
        shown[name] = PurePath(value).name if is_path else value
    return shown


def configuration_yaml(manifest: Manifest) -> str | None:
    """Return the experiment as YAML; `None` for records of earlier versions."""
    if manifest.configuration is None:
        return None
    return yaml.safe_dump(
        manifest.configuration,
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )


def duration_s(manifest: Manifest) -> float | None:
    """Return the seconds from start to end; `None` while the run is under way.

    They are as precise as the times of the record.
    """
    if manifest.finished_at is None:
        return None
    started_at = datetime.fromisoformat(manifest.started_at)
    finished_at = datetime.fromisoformat(manifest.finished_at)
    return (finished_at - started_at).total_seconds()


def check_tables(result: RunResult) -> None:
    """Refuse a finished run that has lost a table. Raises `StoreError`."""
    # Without this, a page would show a run that lost its tables as one without cases.
    if not has_tables(result.manifest):
        return
    stages = {record.name for record in result.manifest.stages}
    names = ["cases"]
    for stage, name in TABLE_OF.items():
        if stage in stages:
            names.append(name)
    for name in names:
        table = result.open_table(name)
        if table is None:
            raise StoreError(
                f"run {result.run_id!r} has lost its table {name!r}; check the store"
            )
        table.close()


def scores_by_metric(result: RunResult) -> dict[str, dict[str, ScoreArray]]:
    """Return the scores of all cases by metric and dataset, NaN where there is none."""
    table = result.table(
        "results",
        columns=[
            "dataset_id",
            "metric_id",
            "score",
        ],
    )
    found: dict[str, dict[str, ScoreArray]] = {}
    for metric_id in pc.unique(table["metric_id"]).drop_null().to_pylist():
        of_metric = table.filter(pc.equal(table["metric_id"], metric_id))
        datasets: dict[str, ScoreArray] = {}
        for dataset_id in pc.unique(of_metric["dataset_id"]).to_pylist():
            is_there = pc.equal(of_metric["dataset_id"], dataset_id)
            # A null score becomes NaN.
            datasets[dataset_id] = of_metric.filter(is_there)["score"].to_numpy()
        found[metric_id] = datasets
    return found


def latency_percentiles(result: RunResult) -> Sequence[float] | None:
    """Return the median and the 95th percentile of a call's seconds, if any was timed."""
    column = result.table("outputs", columns=["latency_s"])["latency_s"]
    latencies = column.drop_null().to_numpy()
    # NumPy has no quantile of nothing.
    if not len(latencies):
        return None
    return list(
        map(
            float,
            np.quantile(latencies, (0.5, 0.95)),
        )
    )
