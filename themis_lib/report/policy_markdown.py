"""The verdict of a policy as Markdown, for a comment and the summary of a job.

Every line is whole in itself, so that a text that is too long can end behind any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from themis_lib.comparison.policy_verdict import (
    PolicyGate,
    PolicyRun,
    PolicyVerdict,
)
from themis_lib.inert import markdown_text
from themis_lib.report.markdown import (
    GATE_HEADINGS,
    commonest_errors,
    dollars,
    gate_cells,
    markdown_table,
)
from themis_lib.runs.manifest import GateOutcome
from themis_lib.runs.results import RunResult

#: What is worst comes first: it is what a reader looks for.
_ORDER = [GateOutcome.FAIL, GateOutcome.UNDERPOWERED, GateOutcome.PASS]
_RUN_HEADINGS = (
    "experiment",
    "run",
    "status",
    "cases",
    "rows computed",
    "rows cached",
    "rows failed",
    "paid",
)
_METHOD = (
    "Each gate is decided by its own interval, required or not; a result that is "
    "missing fails."
)
_CUT = "\n(The rest is left out: it is too long for this place.)\n"


def policy_markdown(
    verdict: PolicyVerdict,
    results: Mapping[str, RunResult],
) -> str:
    """Return a verdict as Markdown: its gates, runs and the commonest errors.

    `results` are the runs by the name of their experiment.
    """
    parts = [
        f"# {markdown_text(verdict.policy)}: {verdict.outcome.value}",
        verdict_line(verdict),
    ]
    for title, gates in (
        ("Required", verdict.required),
        ("Advisory", verdict.advisory),
    ):
        if gates:
            parts += [f"## {title} gates", _gate_table(gates)]
    parts += ["## Runs", markdown_table(_RUN_HEADINGS, map(_run_cells, verdict.runs))]
    problems = [run for run in verdict.runs if run.problem is not None]
    for run in problems:
        problem = f"{run.experiment}: {run.problem}"
        parts.append(f"- {markdown_text(problem)}")
    errors: list[tuple[str, ...]] = []
    for name, result in results.items():
        errors += [(name, *row) for row in commonest_errors(result)]
    if errors:
        headings = ("experiment", "stage", "rows", "reason")
        parts += ["## Errors", markdown_table(headings, errors)]
    parts.append(_METHOD)
    # Markdown needs an empty line between a heading and a table.
    return "\n\n".join(parts) + "\n"


def problem_markdown(
    name: str,
    problem: str,
) -> str:
    """Return Markdown for a policy that could not be judged, and why."""
    return f"# {markdown_text(name)}: not judged\n\n{markdown_text(problem)}\n"


def verdict_line(verdict: PolicyVerdict) -> str:
    """Return how many gates of each kind ended how, as one line."""
    parts = [f"{len(verdict.required):,} required: {_count_text(verdict.required)}"]
    if verdict.advisory:
        count = len(verdict.advisory)
        parts.append(f"{count:,} advisory: {_count_text(verdict.advisory)}")
    return "; ".join(parts)


def _count_text(gates: Sequence[PolicyGate]) -> str:
    outcomes = [gate.record.outcome for gate in gates]
    texts = []
    for outcome in _ORDER:
        count = outcomes.count(outcome)
        if count:
            texts.append(f"{count:,} {outcome.value}")
    return ", ".join(texts)


def cut_lines(
    text: str,
    most: int,
) -> str:
    """Return a text of whole lines with at most so many bytes of UTF-8.

    >>> cut_lines("one\\ntwo\\n", 1000)
    'one\\ntwo\\n'
    """
    if len(text.encode()) <= most:
        return text
    room = most - len(_CUT.encode())
    kept: list[str] = []
    for line in text.splitlines(keepends=True):
        room -= len(line.encode())
        if room < 0:
            break
        kept.append(line)
    return "".join(kept) + _CUT


def _gate_table(gates: Iterable[PolicyGate]) -> str:
    rows = []
    # The sort is stable: gates that ended alike keep the policy's order.
    for gate in sorted(gates, key=lambda gate: _ORDER.index(gate.record.outcome)):
        rows.append((gate.experiment, *gate_cells(gate.record)))
    return markdown_table(("experiment", *GATE_HEADINGS), rows)


def _run_cells(run: PolicyRun) -> tuple[str, ...]:
    return (
        run.experiment,
        run.run_id or "—",
        run.status or "missing",
        run.case_count,
        f"{run.computed:,}",
        f"{run.cached:,}",
        f"{run.failed:,}",
        "—" if run.cost_paid is None else dollars(run.cost_paid),
    )
