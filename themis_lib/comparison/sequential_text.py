"""How a run was decided, in words: for gates, terminals, Markdown and pages."""

from __future__ import annotations

from themis_lib.runs.manifest import Manifest
from themis_lib.runs.sequential import SequentialLook, SequentialQuestion

#: Below comparisons with a run that stopped when decided.
STOPPED_NOTE = (
    "stopped when it was decided, on {used:,} of {cases:,} cases: intervals and p-values "
    "for a number of cases fixed before do not keep their level there; its own record "
    "has the confidence sequence. Run it without --until-decided for all cases"
)


def sequential_lines(manifest: Manifest) -> list[str]:
    """Return how a run that was to stop when decided was decided; else nothing.

    A line for each question, and one for the order of the cases.
    """
    record = manifest.sequential
    if record is None:
        return []
    lines = []
    for item in record.questions:
        place = f"{item.metric_id} on {item.dataset_id}"
        if item.gate is not None:
            place = f"gate {item.gate!r} on {item.dataset_id}"
        lines.append(f"{place}: {question_text(item)}")
    used, cases = sum(record.used.values()), sum(record.cases.values())
    lines.append(
        f"{used:,} of {cases:,} cases used, in the random order of seed "
        f"{record.order_seed}; confidence sequences hold at every look"
    )
    return lines


def question_text(item: SequentialQuestion) -> str:
    """Return how a question was decided, its confidence sequence, and the evidence."""
    look = item.last
    if look is None:
        return f"undecided: stopped before the first look at its {item.cases:,} cases"
    cases = f"{look.n:,} of {item.cases:,} cases"
    if item.verdict == "undecided":
        head = f"undecided after {cases}: {_why_undecided(item, look)}"
        return f"{head}; {_finding(item, look)} ({_interval(item, look)})"
    head = f"decided after {cases}: {_finding(item, look)} ({_interval(item, look)})"
    # The evidence is against no difference at all, which `same` does not refute.
    return head if item.verdict == "same" else f"{head}, E = {_short(look.e_value)}"


def stopped_note(manifest: Manifest) -> str | None:
    """Return the note on a run that has only the cases it needed; else `None`."""
    record = manifest.sequential
    if record is None or not record.is_partial:
        return None
    used, cases = sum(record.used.values()), sum(record.cases.values())
    return f"run {manifest.run_id} {STOPPED_NOTE.format(used=used, cases=cases)}"


def _why_undecided(
    item: SequentialQuestion,
    look: SequentialLook,
) -> str:
    left = item.cases - look.n
    if item.ended == "futile":
        return f"whatever the other {left:,} score, it cannot become decided"
    if item.ended == "budget":
        return "the budget does not pay for the cases that could decide it"
    return "there are no more cases" if not left else "the run went no further"


def _finding(
    item: SequentialQuestion,
    look: SequentialLook,
) -> str:
    if look.estimate is None:
        return "no case has a score"
    if item.baseline is None:
        words = {"pass": "passes, mean", "fail": "fails, mean"}
        return f"{words.get(item.verdict, 'mean')} {look.estimate:.4f}"
    amount = f"{abs(look.estimate):.4g}"
    if _has_points(item):
        amount = f"{abs(look.estimate) * 100:.1f} points"
    than = f"run {item.baseline}"
    if item.verdict in ("better", "worse"):
        return f"{item.verdict} than {than} by {amount}"
    sign = "-" if look.estimate < 0 else "+"
    difference = f"difference {sign}{amount} from {than}"
    words = {"same": "the same within delta", "pass": "passes", "fail": "fails"}
    word = words.get(item.verdict)
    return difference if word is None else f"{word}, {difference}"


def _interval(
    item: SequentialQuestion,
    look: SequentialLook,
) -> str:
    level = f"{100 * (1 - item.alpha):.4g}"
    ends = f"{look.low:.4f} to {look.high:.4f}"
    if item.baseline is not None and _has_points(item):
        ends = f"{100 * look.low:.1f} to {100 * look.high:.1f} points"
    return f"{level} % confidence sequence {ends}"


def _has_points(item: SequentialQuestion) -> bool:
    """Return whether differences are points of a hundred: scores from 0 to 1."""
    return item.highest - item.lowest == 1


def _short(e_value: float) -> str:
    """Return an e-value with three digits.

    >>> _short(27.318), _short(123456.0)
    ('27.3', '1.23e+05')
    """
    return f"{e_value:.3g}"
