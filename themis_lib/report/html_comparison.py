"""A comparison of runs as one HTML file: what differs, how surely, and the cases that
flipped, side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from themis_lib.comparison.models import Comparison, Difference, Flip, RunSide
from themis_lib.report.html import prompt_parts
from themis_lib.report.html_cases import CUTS, pack, read_tables, spread
from themis_lib.report.html_charts import Axis, axis_over
from themis_lib.report.html_page import render_page
from themis_lib.report.markdown import dollars
from themis_lib.runs.results import RunResult
from themis_lib.runs.summary import ALL_CASES

#: Flips in the browser; more are shown evenly over all of them.
MOST_FLIPS = 10_000
_SCRIPTS = ("dom.js", "case.js", "browser.js", "comparison.js")

CaseKey = tuple[str, str]


@dataclass(frozen=True)
class DifferencePanel:
    """The differences of one metric, on one axis with zero in the middle."""

    metric_id: str
    axis: Axis
    rows: list[Difference]


def comparison_html(
    comparison: Comparison,
    runs: Sequence[RunResult],
) -> str:
    """The page of a comparison; `runs` are those of `comparison.runs`, in its order.

    The same comparison gives the same page: its dates are those of the runs.
    """
    labels = run_labels(comparison.runs)
    chosen = [comparison.flips[at] for at in spread(len(comparison.flips), MOST_FLIPS)]
    rows = {
        run.run_id: _rows_of(
            _flipped_keys(chosen, run.run_id, comparison.baseline.run_id), run
        )
        for run in runs
    }
    tables = {
        run.run_id: read_tables(
            run, np.array(sorted(rows[run.run_id].values()), np.int64)
        )
        for run in runs
    }
    places = {
        run_id: {row: at for at, row in enumerate(sorted(found.values()))}
        for run_id, found in rows.items()
    }
    facts = {
        "runs": [
            {
                "run_id": run.run_id,
                "label": labels[run.run_id],
                "samples": len(run.manifest.seeds),
                "location": run.location,
                "prompt": prompt_parts(run.manifest),
            }
            for run in runs
        ],
        "flips": [
            _flip_record(
                flip,
                comparison.baseline.run_id,
                rows,
                places,
            )
            for flip in chosen
        ],
    }
    data, cut = pack(tables, facts)
    return render_page(
        "comparison.html.jinja",
        scripts=_SCRIPTS,
        data=data,
        cut=cut,
        is_cut=cut < CUTS[0],
        comparison=comparison,
        labels=labels,
        panels=_make_panels(comparison.differences),
        shown=len(chosen),
        dollars=dollars,
        all_cases=ALL_CASES,
        several=len(comparison.runs) > 2,
        tones=_TONES,
    )


def run_labels(runs: Sequence[RunSide]) -> dict[str, str]:
    """A name for each run that no other bears: the experiment's, and the end of the
    run's id where that needs be.
    """
    names = [run.name for run in runs]
    return {
        run.run_id: run.name
        if names.count(run.name) == 1
        else f"{run.name} {run.run_id.rpartition('-')[2]}"
        for run in runs
    }


#: How a difference is drawn.
_TONES = {
    "better": "better",
    "worse": "worse",
    "cannot tell": "unsure",
    "same": "unsure",
}


def _make_panels(differences: Sequence[Difference]) -> list[DifferencePanel]:
    panels = []
    for metric_id in dict.fromkeys(row.metric_id for row in differences):
        rows = [row for row in differences if row.metric_id == metric_id]
        marks = [
            value
            for row in rows
            for value in (row.low, row.difference, row.high)
            if value is not None
        ]
        panels.append(DifferencePanel(metric_id, axis_over(marks, around=0.0), rows))
    return panels


def _flipped_keys(
    flips: Iterable[Flip],
    run_id: str,
    baseline_id: str,
) -> set[CaseKey]:
    """The cases of a run that flipped."""
    if run_id == baseline_id:
        return {(flip.dataset_id, flip.case_id) for flip in flips}
    return {
        (flip.dataset_id, flip.candidate_case_id)
        for flip in flips
        if flip.run_id == run_id
    }


def _rows_of(
    keys: set[CaseKey],
    run: RunResult,
) -> dict[CaseKey, int]:
    """Where these cases stand in the tables of a run."""
    cases = run.table("cases", columns=["dataset_id", "case_id"])
    every = zip(
        *(_column_texts(cases[name]) for name in ("dataset_id", "case_id")), strict=True
    )
    return {key: row for row, key in enumerate(every) if key in keys}


def _column_texts(column: pa.ChunkedArray) -> list[str]:
    return column.to_pylist()  # type: ignore[no-any-return]


def _flip_record(
    flip: Flip,
    baseline_id: str,
    rows: Mapping[str, Mapping[CaseKey, int]],
    places: Mapping[str, Mapping[int, int]],
) -> dict[str, Any]:
    """A flip as the page has it: `row` and `other` are places in the columns of
    baseline and candidate.
    """
    return {
        "run": flip.run_id,
        "metric": flip.metric_id,
        "row": places[baseline_id][rows[baseline_id][flip.dataset_id, flip.case_id]],
        "other": places[flip.run_id][
            rows[flip.run_id][flip.dataset_id, flip.candidate_case_id]
        ],
        "before": flip.baseline_score,
        "after": flip.candidate_score,
    }
