"""A certification as text: cells of its table, lines of what was found, and Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from themis_lib.certification.models import (
    ArrangementCheck,
    Certification,
    ScoreEffect,
    TextDifference,
    score_half_width,
)
from themis_lib.inert import markdown_text
from themis_lib.report.markdown import markdown_table

CHECK_HEADINGS = (
    "asked",
    "rows",
    "failed",
    "compared",
    "texts differ",
    "tokens differ",
    "first at",
    "gap there",
    "log-probs differ",
    "largest shift",
)
#: The cases that a score's interval is told for.
SCORED_CASES = 1000
_SHOWN_DIFFERENCES = 5
_TEXT_CHARACTERS = 40


def check_rows(certification: Certification) -> list[tuple[str, ...]]:
    """Return a row of text for each way of asking, under `CHECK_HEADINGS`."""
    return [_check_row(check) for check in certification.checks]


def _check_row(check: ArrangementCheck) -> tuple[str, ...]:
    counts = (check.arrangement, f"{check.rows:,}", f"{check.failed:,}")
    if check.compared_with is None:
        return (*counts, *["—"] * (len(CHECK_HEADINGS) - len(counts)))
    logprobs = f"{check.logprobs_differ:,}" if check.rated else "—"
    return (
        *counts,
        f"{check.compared:,}",
        f"{check.texts_differ:,} ({share(check.texts_differ, check.compared)})",
        share(check.tokens_differ, check.tokens),
        number(check.first_token, ".3g"),
        number(check.gap, ".2g"),
        logprobs,
        number(check.largest_shift, ".2g"),
    )


def share(part: int, whole: int) -> str:
    """Return a share in per cent; an em dash of nothing.

    >>> share(1, 8), share(0, 0)
    ('12.5%', '—')
    """
    return f"{part / whole:.1%}" if whole else "—"


def number(value: float | None, form: str) -> str:
    """Return a number in a format; an em dash for `None`."""
    return "—" if value is None else f"{value:{form}}"


def found_lines(certification: Certification) -> list[str]:
    """Return what the certification says of prompts and of scores."""
    lines = []
    if certification.prompts_compared:
        low, high = certification.differ_low or 0.0, certification.differ_high or 0.0
        lines.append(
            f"{certification.prompts_differ:,} of {certification.prompts_compared:,} "
            f"prompts have another text in some way of asking; of all such prompts "
            f"{low:.1%} to {high:.1%} do, with 95 % (Wilson)"
        )
    lines.append(score_line(certification))
    return [*lines, *map(effect_line, certification.scores)]


def score_line(certification: Certification) -> str:
    """Return what the differences can do to a score's interval."""
    noise = certification.noise
    if noise is None:
        return "nothing can be said of scores: no prompt has two answers"
    if noise.variance == 0:
        return "this adds nothing to a score's interval: no text differed"
    alone, whole = noise.half_width(SCORED_CASES), score_half_width(SCORED_CASES)
    return (
        f"a score of 50 % over {SCORED_CASES:,} cases has an interval of ±{whole:.1%}; "
        f"this alone makes at most ±{alone:.1%}, {noise.share:.0%} of its variance, and "
        f"two runs can differ by ±{math.sqrt(2) * alone:.1%}"
    )


def effect_line(effect: ScoreEffect) -> str:
    """Return what the ways of asking do to a metric."""
    if effect.mean is None:
        return f"no answer has a score by {effect.metric_id}"
    interval = ""
    if effect.low is not None and effect.high is not None:
        interval = f" ({effect.low:.4f} to {effect.high:.4f})"
    line = (
        f"the mean of {effect.metric_id} is {effect.mean:.4f}{interval} over "
        f"{effect.cases:,} cases, of which {effect.moved:,} have more than one score"
    )
    if effect.half_width is None or effect.share is None:
        return line
    return (
        f"{line}: this alone makes ±{effect.half_width:.4f}, {effect.share:.0%} of the "
        "variance"
    )


def difference_lines(certification: Certification) -> list[str]:
    """Return the first texts that differ, from where they do."""
    return [
        difference_line(item, certification.unit)
        for item in certification.differences[:_SHOWN_DIFFERENCES]
    ]


def difference_line(
    item: TextDifference,
    unit: str,
) -> str:
    """Return where a text differs, and how both go on."""
    gap = ""
    if item.gap is not None:
        gap = f" (gap {item.gap:.2g})"
    return (
        f"{item.arrangement}, {item.dataset_id}/{item.case_id}, {unit} {item.token}: "
        f"{_short(item.expected)} became {_short(item.got)}{gap}"
    )


def failure_lines(certification: Certification) -> list[str]:
    """Return why rows have no answer."""
    lines = []
    for check in certification.checks:
        for reason, count in check.errors.items():
            lines.append(f"{check.arrangement}: {count:,} failed: {reason}")
    if lines:
        lines.append(
            "run it again, without --again, to ask for the rows that failed and no others"
        )
    return lines


def how_line(certification: Certification) -> str:
    """Return what was compared, and when it was sampled."""
    first = min(check.sampled_at for check in certification.checks)
    return (
        f"{certification.prompts:,} prompts, seed {certification.seed}; sampled from "
        f"{_time(first)} to {_time(certification.certified_at)}; `first at` is the median place of "
        f"the first {certification.unit} that differs, `gap there` how much likelier "
        "the expected one was"
    )


def _time(written: str) -> str:
    """Return a time of a record to the second."""
    return written.replace("T", " ")[:19]


def certification_markdown(certification: Certification) -> str:
    """Return a certification as Markdown."""
    model = (
        f", model {markdown_text(certification.model)}" if certification.model else ""
    )
    parts = [
        f"# {markdown_text(certification.target)}: {markdown_text(certification.verdict)}",
        f"Certified {_time(certification.certified_at)} UTC{model}.",
        markdown_table(CHECK_HEADINGS, check_rows(certification)),
    ]
    for lines in (
        found_lines(certification),
        difference_lines(certification),
        failure_lines(certification),
        [*certification.notes, how_line(certification)],
    ):
        if lines:
            parts.append(_bullets(lines))
    return "\n\n".join(parts) + "\n"


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    if not one_line:
        return "nothing" if not text else "white space"
    if len(one_line) > _TEXT_CHARACTERS:
        one_line = one_line[: _TEXT_CHARACTERS - 1] + "…"
    return f"`{one_line}`"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {markdown_text(line)}" for line in lines)
