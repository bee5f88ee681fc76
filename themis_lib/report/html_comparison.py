"""A comparison of runs as one HTML file.

It shows the differences with their conclusions, and side by side the cases that flipped.
"""

from __future__ import annotations

from collections.abc import (
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from themis_lib.comparison.models import (
    Comparison,
    Difference,
    Flip,
    RunSide,
)
from themis_lib.report.comparison_markdown import (
    missing_lines,
    noise_text,
    run_labels,
)
from themis_lib.report.html import prompt_parts
from themis_lib.report.html_cases import (
    CUTS,
    pack,
    read_tables,
    spread,
)
from themis_lib.report.html_charts import (
    Axis,
    axis_over,
)
from themis_lib.report.html_media import case_images
from themis_lib.report.html_page import render_page
from themis_lib.report.markdown import dollars
from themis_lib.runs.results import RunResult
from themis_lib.runs.summary import ALL_CASES
from themis_lib.stages.endings import Ending

COMPARISON_NAME = "comparison.html"
#: Flips in the browser; of more, so many are chosen evenly over all of them.
MOST_FLIPS = 10_000
_SCRIPTS = ("dom.js", "case.js", "browser.js", "comparison.js")

#: The dataset and the id of a case.
CaseKey = tuple[str, str]


@dataclass(frozen=True)
class DifferencePanel:
    """The differences of one metric, on one axis with zero in the middle."""

    metric_id: str
    axis: Axis
    rows: list[Difference]


@dataclass(frozen=True)
class ShownCases:
    """The cases of a run that are on the page, and the place of each in its columns."""

    tables: Mapping[str, pa.Table]
    places: Mapping[CaseKey, int]


def comparison_html(
    comparison: Comparison,
    runs: Sequence[RunResult],
) -> str:
    """Return the page of a comparison.

    `runs` are those of `comparison.runs`, in the same order. The same comparison gives
    the same page: its dates are those of the runs.
    """
    labels = run_labels(comparison.runs)
    baseline_id = comparison.baseline.run_id
    chosen = []
    for at in spread(len(comparison.flips), MOST_FLIPS):
        chosen.append(comparison.flips[at])
    shown: dict[str, ShownCases] = {}
    tables = {}
    run_facts = []
    for run in runs:
        keys = flipped_cases(
            chosen,
            run_id=run.run_id,
            baseline_id=baseline_id,
        )
        cases = _read_cases(run, keys)
        shown[run.run_id] = cases
        tables[run.run_id] = cases.tables
        facts = {
            "run_id": run.run_id,
            "label": labels[run.run_id],
            "samples": len(run.manifest.seeds),
            "location": run.location,
            "prompt": prompt_parts(run.manifest),
            "images": case_images(run.store, cases.tables["cases"]),
        }
        run_facts.append(facts)
    flip_facts = []
    for flip in chosen:
        facts = facts_of_flip(
            flip,
            baseline=shown[baseline_id],
            candidate=shown[flip.run_id],
        )
        flip_facts.append(facts)
    data, cut = pack(
        tables,
        {
            "runs": run_facts,
            "flips": flip_facts,
        },
    )
    return render_page(
        "comparison.html.jinja",
        scripts=_SCRIPTS,
        data=data,
        cut=cut,
        is_cut=cut < CUTS[0],
        comparison=comparison,
        labels=labels,
        endings=ending_counts(comparison.runs),
        panels=difference_panels(comparison.differences),
        slices=sum(item.slice != ALL_CASES for item in comparison.differences),
        missing=missing_lines,
        noise=noise_text,
        shown=len(chosen),
        dollars=dollars,
        all_cases=ALL_CASES,
        several=len(comparison.runs) > 2,
        tones=TONES,
    )


def write_comparison(
    comparison: Comparison,
    runs: Sequence[RunResult],
) -> str:
    """Write the page of a comparison beside the last run's tables; return its address.

    An earlier page is replaced. Raises `StoreError` where the store refuses it.
    """
    last = runs[-1]
    path = f"runs/{last.run_id}/{COMPARISON_NAME}"
    page = comparison_html(comparison, runs).encode()
    # A full disk or a denied permission becomes a `StoreError`.
    with last.store.refusals():
        last.store.replace(path, page)
    return last.store.uri(path)


def facts_of_flip(
    flip: Flip,
    *,
    baseline: ShownCases,
    candidate: ShownCases,
) -> dict[str, Any]:
    """Return a flip for the scripts of the page.

    `row` and `other` are its places in the columns of baseline and candidate.
    """
    before = flip.dataset_id, flip.case_id
    # The same content may have another id in the candidate.
    after = flip.dataset_id, flip.candidate_case_id
    return {
        "run": flip.run_id,
        "metric": flip.metric_id,
        "row": baseline.places[before],
        "other": candidate.places[after],
        "before": flip.baseline_score,
        "after": flip.candidate_score,
    }


def flipped_cases(
    flips: Sequence[Flip],
    *,
    run_id: str,
    baseline_id: str,
) -> set[CaseKey]:
    """Return the cases of a run that flipped, by the ids that the run itself has."""
    keys = set()
    for flip in flips:
        # Every flip has a case of the baseline and one of its candidate.
        if run_id == baseline_id:
            keys.add((flip.dataset_id, flip.case_id))
        elif run_id == flip.run_id:
            keys.add((flip.dataset_id, flip.candidate_case_id))
    return keys


def _read_cases(
    run: RunResult,
    keys: set[CaseKey],
) -> ShownCases:
    # The rows of a case are found by its place in the table of cases.
    table = run.table(
        "cases",
        columns=["dataset_id", "case_id"],
    )
    dataset_ids = table["dataset_id"].to_pylist()
    case_ids = table["case_id"].to_pylist()
    rows: list[int] = []
    places: dict[CaseKey, int] = {}
    for row, key in enumerate(zip(dataset_ids, case_ids, strict=True)):
        if key in keys:
            # The page holds only these cases, in the order of the run.
            places[key] = len(rows)
            rows.append(row)
    return ShownCases(
        read_tables(run, np.array(rows, np.int64)),
        places,
    )


_ENDINGS = {
    Ending.CUT: "Outputs cut at max_tokens",
    Ending.FILTERED: "Outputs filtered",
    Ending.REFUSED: "Outputs refused",
}


def ending_counts(runs: Sequence[RunSide]) -> dict[str, list[int]]:
    """Return how many outputs of each run ended early, for each way that occurs."""
    counts = {}
    for ending, what in _ENDINGS.items():
        of_runs = [run.endings.get(ending, 0) for run in runs]
        if any(of_runs):
            counts[what] = of_runs
    return counts


# The style of a difference by its conclusion; no colour where there is no clear change.
TONES = {
    "better": "better",
    "worse": "worse",
    "cannot tell": "unsure",
    "same": "unsure",
}


def difference_panels(differences: Sequence[Difference]) -> list[DifferencePanel]:
    """Return a panel for each metric, in the order of the differences."""
    rows_of: dict[str, list[Difference]] = {}
    for row in differences:
        rows_of.setdefault(row.metric_id, []).append(row)
    panels = []
    for metric_id, rows in rows_of.items():
        marks = []
        for row in rows:
            for value in (row.low, row.difference, row.high):
                # What the data cannot tell has no mark.
                if value is not None:
                    marks.append(value)
        # With zero in the middle, rises and falls are always on the same sides.
        axis = axis_over(marks, around=0.0)
        panels.append(DifferencePanel(metric_id, axis, rows))
    return panels
