"""A comparison of runs as Markdown, for pull requests, and the lines and cells that
other displays share with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from themis_lib.comparison.models import (
    Comparison,
    Difference,
    Flip,
    RunSide,
    Unmatched,
)
from themis_lib.report.markdown import dollars, fixed, markdown_table
from themis_lib.runs.summary import ALL_CASES

_FLIPS_EACH_WAY = 5
_NAMES = 20
_POLICIES = {
    "exclude": "cases without a score in either run are left out (errors: exclude)",
    "fail": "a run that lacks a score has no numbers (errors: fail)",
    "zero": "cases without a score count 0 (errors: zero)",
}


def comparison_markdown(comparison: Comparison) -> str:
    """Runs side by side, differences with their verdicts, what the data can show,
    flips, and what else differs.
    """
    parts = [
        f"# {comparison.baseline.name}: {verdict_line(comparison)}",
        markdown_table(SIDE_HEADINGS, map(side_cells, comparison.runs)),
        "## Differences",
        markdown_table(
            DIFFERENCE_HEADINGS, map(difference_cells, comparison.differences)
        ),
        "## Tests and power",
        markdown_table(TEST_HEADINGS, map(test_cells, comparison.differences)),
        _list_lines(method_lines(comparison)),
        _list_lines(power_lines(comparison)),
        *_section("What differs", list(identity_lines(comparison))),
        *_section(
            "Cases in one run only",
            [unmatched_line(item) for item in comparison.unmatched],
        ),
    ]
    if comparison.flips:
        shown = markdown_table(FLIP_HEADINGS, map(flip_cells, shown_flips(comparison)))
        parts += ["## Flips", flips_line(comparison), shown]
    return "\n\n".join(parts) + "\n"


def _section(
    title: str,
    lines: Sequence[str],
) -> list[str]:
    return [f"## {title}", _list_lines(lines)] if lines else []


def _list_lines(lines: Sequence[str] | Iterator[str]) -> str:
    """Lines as a list; what is in them is text."""
    return "\n".join(f"- {markdown_text(line)}" for line in lines)


def markdown_text(text: str) -> str:
    """Text that Markdown takes for nothing else.

    >>> markdown_text('prefix: "*a*" → "<b>"')
    'prefix: "\\\\*a\\\\*" → "\\\\<b\\\\>"'
    """
    escaped = "".join(
        f"\\{character}" if character in "\\`*_[]<>|#" else character
        for character in text
    )
    return " ".join(escaped.split())


def verdict_line(comparison: Comparison) -> str:
    """How many differences came out which way."""
    verdicts = [item.verdict for item in comparison.differences]
    counts = (
        (verdicts.count(name), name)
        for name in ("better", "worse", "same", "cannot tell")
    )
    return ", ".join(f"{count} {name}" for count, name in counts if count)


SIDE_HEADINGS = (
    "run",
    "experiment",
    "status",
    "cases",
    "cost",
    "paid",
    "input tokens",
    "output tokens",
    "latency mean",
    "p50",
    "p95",
)


def side_cells(side: RunSide) -> tuple[str, ...]:
    """A run as text, under `SIDE_HEADINGS`."""
    costs = (side.cost, side.cost_paid)
    tokens = (side.input_tokens, side.output_tokens)
    latencies = (side.latency_mean_s, side.latency_p50_s, side.latency_p95_s)
    return (
        side.run_id,
        side.name,
        side.status,
        f"{side.cases:,}",
        *(
            "—" if amount is None else dollars(amount, leaves_out=side.unpriced)
            for amount in costs
        ),
        *("—" if count is None else f"{count:,}" for count in tokens),
        *("—" if seconds is None else f"{seconds:.3f} s" for seconds in latencies),
    )


DIFFERENCE_HEADINGS = (
    "run",
    "dataset",
    "slice",
    "metric",
    "baseline",
    "run's",
    "difference",
    "95 % interval",
    "verdict",
)


def difference_cells(item: Difference) -> tuple[str, ...]:
    """A difference as text, under `DIFFERENCE_HEADINGS`."""
    return (
        item.run_id,
        item.dataset_id,
        item.slice,
        item.metric_id,
        fixed(item.baseline_mean),
        fixed(item.candidate_mean),
        _signed_number(item.difference),
        _interval_text(item),
        item.verdict,
    )


TEST_HEADINGS = (
    "run",
    "dataset",
    "slice",
    "metric",
    "n",
    "no score",
    "rose",
    "fell",
    "p",
    "Holm's p",
    "detectable",
    "needed",
)


def test_cells(item: Difference) -> tuple[str, ...]:
    """The test of a difference as text, under `TEST_HEADINGS`; cases without a score as
    baseline + run.
    """
    return (
        item.run_id,
        item.dataset_id,
        item.slice,
        item.metric_id,
        f"{item.n:,}",
        f"{item.baseline_errors:,} + {item.candidate_errors:,}",
        f"{item.improved:,}",
        f"{item.worsened:,}",
        p_text(item.p_value),
        p_text(item.p_adjusted),
        fixed(item.detectable),
        "—" if item.cases_needed is None else f"{item.cases_needed:,}",
    )


def p_text(p_value: float | None) -> str:
    """A p-value with the digits that say something.

    >>> p_text(0.03), p_text(3.7159e-05), p_text(None)
    ('0.0300', '3.7e-05', '—')
    """
    if p_value is None:
        return "—"
    return f"{p_value:.4f}" if p_value >= 0.001 else f"{p_value:.1e}"


def method_lines(comparison: Comparison) -> list[str]:
    """How the numbers came about."""
    tests = dict.fromkeys(item.test for item in comparison.differences if item.test)
    methods = dict.fromkeys(
        item.interval_method for item in comparison.differences if item.interval_method
    )
    lines = [
        f"paired by case; test: {' / '.join(tests) or 'none'}; interval: {' / '.join(methods) or 'none'}; verdicts by "
        f"Holm's p over {len(comparison.differences):,} difference(s)"
    ]
    policies = {
        item.error_policy
        for item in comparison.differences
        if item.baseline_errors or item.candidate_errors
    }
    lines += [_POLICIES[policy] for policy in sorted(policies)]
    if comparison.cluster_by is not None:
        counts = " / ".join(
            dict.fromkeys(
                f"{item.clusters:,}" for item in comparison.differences if item.clusters
            )
        )
        lines.append(
            f"cases with one {comparison.cluster_by!r} count as dependent: {counts} clusters"
        )
    return lines


def power_lines(comparison: Comparison) -> list[str]:
    """What the data could have shown: for whole datasets, and for slices that cannot
    tell.
    """
    several = len(comparison.runs) > 2
    return [
        f"{item.run_id} " * several + power_line(item)
        for item in comparison.differences
        if item.slice == ALL_CASES or item.verdict == "cannot tell"
    ]


def power_line(item: Difference) -> str:
    """The smallest difference that such data show, and what it takes to show the one in
    question.
    """
    place = (
        item.dataset_id
        if item.slice == ALL_CASES
        else f"{item.dataset_id} {item.slice}"
    )
    start = f"{place} {item.metric_id}: {item.verdict}; {item.n:,} case(s) like these"
    if item.detectable is None:
        return f"{start} do not say what they could show"
    line = f"{start} show a difference of {item.detectable:.4f} or more in 4 of 5 comparisons"
    if item.delta is None or item.cases_needed is None:
        return line
    line += f"; {item.delta:.4f} takes {item.cases_needed:,} cases"
    return (
        line
        if item.samples_needed is None
        else f"{line}, or {item.samples_needed:,} samples of each"
    )


def identity_lines(comparison: Comparison) -> Iterator[str]:
    """The settings in which each run differs from the baseline."""
    several = len(comparison.runs) > 2
    for run_id, lines in comparison.identity.items():
        yield from (
            f"{run_id} " * several + line for line in lines or ["no setting differs"]
        )


def unmatched_line(item: Unmatched) -> str:
    """How many cases only one run has, and which."""
    sides = (("baseline", item.only_in_baseline), (item.run_id, item.only_in_candidate))
    parts = [
        f"{len(ids):,} only in {name} ({_name_some(ids)})" for name, ids in sides if ids
    ]
    return f"{item.dataset_id}: {', '.join(parts)}"


def _name_some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_NAMES]) + (", …" if len(ids) > _NAMES else "")


def flips_line(comparison: Comparison) -> str:
    """How many scores rose and fell."""
    rose = sum(flip.candidate_score > flip.baseline_score for flip in comparison.flips)
    return f"{rose:,} score(s) rose, {len(comparison.flips) - rose:,} fell; the widest of each:"


FLIP_HEADINGS = ("run", "dataset", "metric", "case", "baseline", "run's")


def flip_cells(flip: Flip) -> tuple[str, ...]:
    """A flip as text, under `FLIP_HEADINGS`."""
    names = (
        flip.case_id
        if flip.case_id == flip.candidate_case_id
        else f"{flip.case_id} = {flip.candidate_case_id}"
    )
    return (
        flip.run_id,
        flip.dataset_id,
        flip.metric_id,
        names,
        fixed(flip.baseline_score),
        fixed(flip.candidate_score),
    )


def shown_flips(comparison: Comparison) -> list[Flip]:
    """A few of the widest falls, then of the widest rises."""
    falls = [
        flip for flip in comparison.flips if flip.candidate_score < flip.baseline_score
    ]
    rises = [
        flip for flip in comparison.flips if flip.candidate_score > flip.baseline_score
    ]
    widest = [
        sorted(flips, key=lambda flip: -abs(flip.candidate_score - flip.baseline_score))
        for flips in (falls, rises)
    ]
    return widest[0][:_FLIPS_EACH_WAY] + widest[1][:_FLIPS_EACH_WAY]


def _signed_number(value: float | None) -> str:
    return "—" if value is None else f"{value:+.4f}"


def _interval_text(item: Difference) -> str:
    return (
        "—"
        if item.low is None or item.high is None
        else f"{item.low:.4f} to {item.high:.4f}"
    )
