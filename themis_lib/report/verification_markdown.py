"""A verification as text: cells of tables, lines of what was found, and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from themis_lib.inert import markdown_text
from themis_lib.report.markdown import markdown_table
from themis_lib.verification.models import (
    CASES_LABEL,
    KEY_COLUMN,
    CellDifference,
    ModelCheck,
    StageCheck,
    Verification,
)

STAGE_HEADINGS = ("stage", "rows", "looked at", "differ", "at most", "how")
MODEL_HEADINGS = ("stage", "model", "compares", "cases", "effect", "p", "verdict")
#: Differences of a stage that are listed; `--json` has more.
_SHOWN_DIFFERENCES = 10
_SHOWN_CASES = 3
_VALUE_CHARACTERS = 60


def stage_rows(verification: Verification) -> list[tuple[str, ...]]:
    """Return a row of text for each stage, under `STAGE_HEADINGS`."""
    rows: list[tuple[str, ...]] = []
    for check in verification.stages:
        rows.append(
            (
                check.stage,
                f"{check.rows:,}",
                f"{check.sampled:,}",
                f"{check.differing:,}",
                _at_most(check),
                _how(check),
            )
        )
    return rows


def _at_most(check: StageCheck) -> str:
    """Return how many rows of a stage can differ, and their share."""
    if not check.rows:
        return "—"
    share = check.most_differing / check.rows
    return f"{check.most_differing:,} ({share:.2%})"


def _how(check: StageCheck) -> str:
    if check.is_computed:
        return "computed again"
    if check.stage == CASES_LABEL:
        return "compared with the run's record"
    return "keys and copies compared"


def model_rows(verification: Verification) -> list[tuple[str, ...]]:
    """Return a row of text for each test of a model, under `MODEL_HEADINGS`."""
    rows: list[tuple[str, ...]] = []
    for check in verification.models:
        for test in check.tests:
            has_changed = test.p_holm < check.alpha
            rows.append(
                (
                    check.stage,
                    check.model or "—",
                    test.compares,
                    f"{test.cases:,}",
                    f"{test.effect:+.4f}",
                    f"{test.p_holm:.2g}",
                    "changed" if has_changed else "no change found",
                )
            )
    return rows


def stage_lines(verification: Verification) -> list[str]:
    """Return what differs in the rows, and what is the likely cause."""
    lines = []
    for check in verification.stages:
        shown = check.differences[:_SHOWN_DIFFERENCES]
        lines += [difference_line(cell) for cell in shown]
        if check.differing > len(shown):
            lines.append(f"{check.stage}: {check.differing:,} rows differ in all")
        why = "likely cause: " if check.differing else ""
        lines += [f"{check.stage}: {why}{cause}" for cause in check.causes]
    return lines


def difference_line(cell: CellDifference) -> str:
    """Return where a cell is, and its values."""
    place = f"{cell.stage}, {cell.row}"
    if cell.column == KEY_COLUMN:
        file = f" ({cell.file} was changed)" if cell.file else ""
        return f"{place}: what it reads is not what it read when it was stored{file}"
    copies = [f"stored {_short(cell.stored)}"]
    if cell.recorded is not None:
        copies.append(f"in the run {_short(cell.recorded)}")
    if cell.computed is not None:
        copies.append(f"computed now {_short(cell.computed)}")
    file = f" ({cell.file})" if cell.file and "run" not in cell.differs_in else ""
    return f"{place}, column {cell.column}: {', '.join(copies)}{file}"


def model_lines(verification: Verification) -> list[str]:
    """Return what was drawn of each model, and where it differs most."""
    lines = []
    for check in verification.models:
        name = f"{check.stage} ({check.model})" if check.model else check.stage
        if check.reason is not None:
            lines.append(f"{name}: not tested: {check.reason}")
        if check.calls:
            lines.append(f"{name}: {_draws(check)}")
        if check.has_changed:
            lines.append(
                f"{name}: the model behind this name has changed, at the level "
                f"{check.alpha:g}"
            )
            for case in check.most_changed[:_SHOWN_CASES]:
                lines.append(
                    f"{name}: {case.dataset_id}/{case.case_id}: stored "
                    f"{_short(case.stored[0])}, now {_short(case.drawn[0])}"
                )
    return lines


def _draws(check: ModelCheck) -> str:
    failed = f", {check.failed:,} failed" if check.failed else ""
    greedy = ", at temperature 0" if check.is_greedy else ""
    return (
        f"{check.calls:,} calls on {check.cases:,} cases{failed}{greedy}; "
        f"{check.equal:,} of {check.drawn:,} new texts are equal to a stored one"
    )


def note_lines(verification: Verification) -> list[str]:
    """Return what else there is to know: what is not as it was, and the seed."""
    lines = [f"not as in the run: {line}" for line in verification.environment]
    lines += [f"data: {line}" for line in verification.data]
    for check in verification.stages:
        if check.lost:
            lines.append(
                f"{check.stage}: {check.lost:,} row(s) are no longer in the store; the "
                "run's table has them"
            )
        if check.failed_now:
            lines.append(
                f"{check.stage}: {check.failed_now:,} row(s) could not be computed now, "
                "and count as not looked at"
            )
    rows = "all rows"
    if verification.sample is not None:
        rows = f"{verification.sample:,} rows of each stage, seed {verification.seed}"
    lines.append(
        f"{rows}; `at most` holds with 95 %, by the hypergeometric distribution"
    )
    return lines


def verification_markdown(verification: Verification) -> str:
    """Return a verification as Markdown."""
    parts = [
        f"# {markdown_text(verification.name)}: {markdown_text(verification.verdict)}",
        f"Run {verification.run_id}, verified {verification.verified_at}.",
        markdown_table(STAGE_HEADINGS, stage_rows(verification)),
    ]
    if verification.models:
        rows = model_rows(verification)
        parts += [markdown_table(MODEL_HEADINGS, rows)] if rows else []
    for lines in (
        stage_lines(verification),
        model_lines(verification),
        note_lines(verification),
    ):
        if lines:
            parts.append(_bullets(lines))
    return "\n\n".join(parts) + "\n"


def _short(text: str | None) -> str:
    if text is None:
        return "nothing"
    one_line = " ".join(text.split())
    if len(one_line) > _VALUE_CHARACTERS:
        one_line = one_line[: _VALUE_CHARACTERS - 1] + "…"
    return f"`{one_line}`"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {markdown_text(line)}" for line in lines)
