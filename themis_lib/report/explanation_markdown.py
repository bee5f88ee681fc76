"""An explanation of a difference as text: cells of tables, and the whole as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from themis_lib.comparison.explanation import ExplainedScore, Explanation, FactorShare
from themis_lib.inert import markdown_text
from themis_lib.report.markdown import markdown_table

SHARE_HEADINGS = ("factor", "share", "95 % interval", "raised", "lowered", "moved most")
#: The ids of cases in a cell.
_SHOWN_CASES = 3
_LAST_DIGIT = Decimal("0.0001")


def share_rows(score: ExplainedScore) -> list[tuple[str, ...]]:
    """Return a row of text for each factor, under `SHARE_HEADINGS`."""
    shown = rounded_shares(score)
    rows: list[tuple[str, ...]] = []
    for share, text in zip(score.shares, shown, strict=True):
        interval = "—"
        if share.low is not None and share.high is not None:
            interval = f"{share.low:+.4f} to {share.high:+.4f}"
        counts = (f"{share.raised:,}", f"{share.lowered:,}")
        rows.append((share.factor, text, interval, *counts, _moved_most(share)))
    return rows


def rounded_shares(score: ExplainedScore) -> list[str]:
    """Return the shares with four decimals, which sum to the rounded difference.

    Where rounding alone would leave a unit too many or too few, it goes to the shares
    whose rounding was the coarsest (the method of the largest remainder).
    """
    exact = [Decimal(share.share) / _LAST_DIGIT for share in score.shares]
    rounded = [each.to_integral_value(ROUND_HALF_EVEN) for each in exact]
    whole = Decimal(score.difference or 0.0) / _LAST_DIGIT
    missing = int(whole.to_integral_value(ROUND_HALF_EVEN) - sum(rounded))
    step = 1 if missing > 0 else -1
    lost = [step * (old - new) for old, new in zip(exact, rounded, strict=True)]
    coarsest = sorted(range(len(exact)), key=lambda at: (-lost[at], at))
    for at in coarsest[: abs(missing)]:
        rounded[at] += step
    return [f"{each * _LAST_DIGIT:+.4f}" for each in rounded]


def score_line(score: ExplainedScore) -> str:
    """Return what is explained: the means of a metric and their difference."""
    place = f"{score.metric_id} on {score.dataset_id}"
    if score.difference is None:
        return f"{place}: no case has a score in every cell"
    left_out = (
        f", {score.left_out:,} left out without a score" if score.left_out else ""
    )
    return (
        f"{place}: {score.baseline_mean:.4f} → {score.candidate_mean:.4f}, difference "
        f"{score.difference:+.4f} over {score.n:,} cases{left_out}"
    )


def how_lines(explanation: Explanation) -> list[str]:
    """Return how the shares were computed, and what it took."""
    orders = "all orders of the factors"
    if explanation.sampled_orders is not None:
        orders = (
            f"{explanation.sampled_orders} random orders and their reverses "
            f"(seed {explanation.seed})"
        )
    counts = []
    for stage, count in explanation.computed.items():
        counts.append(f"{count:,} of {stage}")
    lines = [
        f"Shapley shares over {orders}, {explanation.cells} cells; rows computed: "
        f"{', '.join(counts) or 'none'}; intervals of shares: {_methods(explanation)}"
    ]
    if explanation.unpaired:
        lines.append(f"{explanation.unpaired:,} case(s) are in one run only")
    return lines


def factor_lines(explanation: Explanation) -> list[str]:
    """Return a line for each value that a factor sets differently."""
    lines = []
    for factor, changes in explanation.factors.items():
        lines += [f"{factor}: {change}" for change in changes]
    return lines


def explanation_markdown(explanation: Explanation) -> str:
    """Return an explanation as Markdown."""
    names = explanation.baseline_name, explanation.candidate_name
    parts = [
        f"# Why {markdown_text(names[1])} differs from {markdown_text(names[0])}",
        f"Runs {explanation.baseline} and {explanation.candidate}.",
    ]
    for score in explanation.scores:
        parts += [
            f"## {markdown_text(score_line(score))}",
            markdown_table(SHARE_HEADINGS, share_rows(score)),
        ]
    parts += ["## What differs", _bullets(factor_lines(explanation))]
    parts.append(_bullets(how_lines(explanation)))
    return "\n\n".join(parts) + "\n"


def _moved_most(share: FactorShare) -> str:
    shown = [case.case_id for case in share.cases[:_SHOWN_CASES]]
    more = share.raised + share.lowered - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _methods(explanation: Explanation) -> str:
    # A dict as a set that keeps the order.
    methods: dict[str, None] = {}
    for score in explanation.scores:
        for share in score.shares:
            if share.interval_method is not None:
                methods[share.interval_method] = None
    return " / ".join(methods) or "none"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {markdown_text(line)}" for line in lines)
