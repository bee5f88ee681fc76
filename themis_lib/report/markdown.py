"""A run as Markdown, for pull requests and the orchestrator's page of the run.

The headings and cells here are shared with the terminal and the HTML pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import (
    Iterable,
    Sequence,
)
from itertools import compress
from typing import TYPE_CHECKING

from themis_lib.certification.records import certifications
from themis_lib.comparison.sequential_text import sequential_lines
from themis_lib.core.models import TokenUsage
from themis_lib.inert import markdown_code, markdown_text
from themis_lib.labels.corrected_scores import CorrectedScore, corrected_scores
from themis_lib.report.corrected_table import (
    CORRECTED_HEADINGS,
    corrected_cells,
    corrected_notes,
)
from themis_lib.report.cost_table import COST_HEADINGS, cost_rows, price_note
from themis_lib.report.figures import fixed, interval_text
from themis_lib.runs.agreement import AgreementRecord
from themis_lib.runs.manifest import (
    GateRecord,
    Manifest,
    StageRecord,
)
from themis_lib.runs.results import (
    RunResult,
    SummaryRow,
)
from themis_lib.stages.endings import Ending
from themis_lib.storage.tables import RUN_TABLES

if TYPE_CHECKING:
    from themis_lib.certification.models import Certification
    from themis_lib.verification.models import Verification

# Distinct reasons shown for each stage.
_REASONS = 5
_REASON_CHARS = 160


def import_lines(manifest: Manifest) -> list[str]:
    """Return where an imported run is from, and what its log lacks; else nothing."""
    record = manifest.imported
    if record is None:
        return []
    tool = f"{record.tool} {record.tool_version or '(version not logged)'}"
    source = (
        f"Imported from {markdown_code(record.file)} (sha256 `{record.sha256[:12]}…`): "
        f"{markdown_text(tool)}, task {markdown_text(record.task)}, model "
        f"{markdown_text(record.variant or record.model or 'not logged')}, evaluated "
        f"{markdown_text(record.created_at or 'at a time that is not logged')}."
    )
    return [source, *map(markdown_note, record.notices)]


def stored_verifications(result: RunResult) -> Sequence[Verification]:
    """Return what is on record of a run that was verified."""
    # Late: a run that ends now cannot have been.
    from themis_lib.verification.records import verifications

    return verifications(result)


def verified_lines(verified: Sequence[Verification]) -> list[str]:
    """Return what the last verification of a run found; nothing without one."""
    return [
        f"Verified {last.verified_at}: {markdown_text(last.verdict)}."
        for last in verified[-1:]
    ]


def certified_lines(certified: Sequence[Certification]) -> list[str]:
    """Return what is certified of the model that a run asked; nothing without that."""
    lines = []
    for one in certified:
        day = one.certified_at.partition("T")[0]
        lines.append(f"The model was certified on {day}: {one.counts}.")
    return lines


def markdown_report(
    result: RunResult,
    *,
    corrected: Sequence[CorrectedScore] | None = None,
    verified: Sequence[Verification] | None = None,
    certified: Sequence[Certification] | None = None,
) -> str:
    """Return a run as Markdown.

    Its parts: status, summary, means corrected by labels, rows computed and rows
    reused, cost, the commonest errors, and where its record is. `corrected` are its
    `corrected_scores`, `verified` its `verifications` and `certified` its
    `certifications`, read if they are not given.
    """
    manifest = result.manifest
    if verified is None:
        verified = stored_verifications(result)
    parts = [
        f"# {markdown_text(manifest.name)}: {result.status.value}",
        f"Run `{result.run_id}`, started {manifest.started_at}, "
        f"ended {manifest.finished_at}. Record: {markdown_code(result.location)}",
        *import_lines(manifest),
        *verified_lines(verified),
        *certified_lines(certifications(result) if certified is None else certified),
        "## Summary",
        markdown_table(*summary_table(result.summary)),
        *map(markdown_note, summary_notes(result)),
    ]
    if manifest.sequential is not None:
        decided = map(markdown_text, sequential_lines(manifest))
        parts += ["## Stopped when decided", *decided]
    if manifest.gates:
        gates = markdown_table(
            GATE_HEADINGS,
            map(gate_cells, manifest.gates),
        )
        parts += ["## Gates", gates]
    if result.agreement:
        rows = map(agreement_cells, result.agreement)
        parts += [
            "## Agreement with labels (Cohen's kappa)",
            markdown_table(AGREEMENT_HEADINGS, rows),
        ]
    if corrected is None:
        corrected = corrected_scores(result)
    parts += _corrected_parts(corrected)
    stage_rows = []
    for record in [*manifest.stages, *manifest.steps]:
        cells = [record.stage]
        for count in stage_counts(record):
            cells.append(f"{count:,}")
        stage_rows.append(cells)
    parts += [
        "## Rows",
        markdown_table(STAGE_HEADINGS, stage_rows),
    ]
    money = cost_line(result)
    if money:
        table = markdown_table(COST_HEADINGS, cost_rows(manifest))
        parts += ["## Cost", markdown_text(money), table]
    reasons = commonest_errors(result)
    if reasons:
        parts += [
            "## Errors",
            markdown_table(("stage", "rows", "reason"), reasons),
        ]
    # Markdown needs an empty line between a heading and a table.
    return "\n\n".join(parts) + "\n"


def _corrected_parts(corrected: Sequence[CorrectedScore]) -> list[str]:
    if not corrected:
        return []
    return [
        "## Corrected by labels",
        markdown_table(CORRECTED_HEADINGS, map(corrected_cells, corrected)),
        *map(markdown_note, corrected_notes(corrected)),
    ]


def markdown_note(note: str) -> str:
    r"""Return a note as Markdown; what it has between backticks is code.

    >>> print(markdown_note("of *all* (`errors: zero`)"))
    of \*all\* (`errors: zero`)
    """
    parts = []
    for position, part in enumerate(note.split("`")):
        is_code = position % 2 == 1
        # The spaces around code are a part of the note.
        before = " " if part.startswith(" ") and not is_code else ""
        after = " " if part.endswith(" ") and part.strip() and not is_code else ""
        shown = markdown_code(part) if is_code else markdown_text(part)
        parts.append(f"{before}{shown}{after}")
    return "".join(parts)


def cost_line(result: RunResult) -> str | None:
    """Return the dollars paid and saved, then dollars and tokens of each stage.

    `None` where no stage counts tokens. Stages whose price is not known are named: the
    run's dollars leave them out.
    """
    manifest = result.manifest
    parts = []
    for record in [*manifest.stages, *manifest.steps]:
        # Stages that call no model have no tokens to state.
        if record.counts_tokens:
            parts.append(f"{record.stage}: {_stage_cost(record)}")
    if not parts:
        return None
    if manifest.cost_paid is not None and manifest.cost_saved is not None:
        whole = (
            f"{dollars(manifest.cost_paid)} paid, {dollars(manifest.cost_saved)} saved "
            f"by the store{left_out(manifest)}{price_note(manifest)}"
        )
        parts.insert(0, whole)
        if manifest.cache_savings:
            saved = dollars(manifest.cache_savings)
            parts.insert(1, f"{saved} saved by the provider's prompt cache")
    return "; ".join(parts)


def left_out(manifest: Manifest) -> str:
    """Return what a run's dollars leave out, to follow them; empty where they are all."""
    if not manifest.unpriced:
        return ""
    return f" (without {', '.join(manifest.unpriced)}, whose price is not known)"


def dollars(
    amount: float,
    *,
    leaves_out: Sequence[str] = (),
) -> str:
    """Return an amount with two decimals, or four below one dollar.

    It is a lower bound where it leaves out stages without a price.

    >>> dollars(12.3456), dollars(0.00123), dollars(0.0)
    ('$12.35', '$0.0012', '$0.00')
    """
    least = "at least " if leaves_out else ""
    if amount < 0:
        return f"-{dollars(-amount, leaves_out=leaves_out)}"
    # Calls cost fractions of a cent; with two digits most would show as nothing.
    if amount >= 1 or amount == 0:
        return f"{least}${amount:.2f}"
    return f"{least}${amount:.4f}"


def _stage_cost(record: StageRecord) -> str:
    """Return the dollars and tokens of a stage, those of this run and those of all."""
    if record.cost is not None and record.cost_paid is not None:
        price = f"{dollars(record.cost_paid)} of {dollars(record.cost)}, "
    elif record.lacks_price:
        price = "price not known, "
    else:
        # A stage may have no price because it calls nothing that is charged.
        price = ""
    saved = ""
    if record.saved_by_batch and record.cost is not None:
        live = record.cost + record.saved_by_batch
        saved = f"; {dollars(live)} without batches"
    return f"{price}{_token_counts(record)} tokens in this run{saved}"


def _token_counts(record: StageRecord) -> str:
    computed = record.usage_computed or TokenUsage()
    every = record.usage or TokenUsage()
    kinds = (
        ("input", computed.input_tokens, every.input_tokens),
        ("cached", computed.cached_tokens, every.cached_tokens),
        ("cache write", computed.cache_write_tokens, every.cache_write_tokens),
        ("output", computed.output_tokens, every.output_tokens),
        ("reasoning", computed.reasoning_tokens, every.reasoning_tokens),
    )
    counts = []
    for name, in_this_run, in_all in kinds:
        # Most providers do not count every kind.
        if in_all is not None or in_this_run is not None:
            counts.append(f"{in_this_run or 0:,} of {in_all or 0:,} {name}")
    return ", ".join(counts)


GATE_HEADINGS = ("gate", "dataset", "slice", "outcome", "why")


def gate_cells(record: GateRecord) -> tuple[str, ...]:
    """Return the outcome of a gate as text, under `GATE_HEADINGS`."""
    return (
        record.title,
        record.dataset_id,
        record.slice,
        record.outcome.value,
        record.reason,
    )


STAGE_HEADINGS = ("stage", "rows", "computed", "cached", "skipped", "failed", "errors")


def stage_counts(record: StageRecord) -> tuple[int, ...]:
    """Return the counts of a stage, under `STAGE_HEADINGS` after the first."""
    return (
        record.rows,
        record.computed,
        record.cached,
        record.skipped,
        record.failed,
        record.errors,
    )


SUMMARY_HEADINGS = (
    "dataset",
    "slice",
    "metric",
    "n",
    "no answer",
    "failed",
    "mean",
    "std. error",
    "95 % interval",
    "method",
    "clusters",
    "var. between",
    "var. within",
)
# Columns that are left out where no row has a value.
_OPTIONAL = ("clusters", "var. between", "var. within")
_ERROR_POLICIES = {
    "exclude": "Failed cases are left out of the mean (`errors: exclude`).",
    "zero": "Failed cases count 0 in the mean (`errors: zero`).",
}


CORPUS_NOTE = (
    "A metric marked (corpus) gives one score of all cases together, in the column of "
    "the means; its interval is by resampling them."
)


def summary_cells(row: SummaryRow) -> tuple[str, ...]:
    """Return a row of the summary as text, with an em dash where there is no number."""
    clusters = "—" if row.clusters is None else f"{row.clusters:,}"
    return (
        row.dataset_id,
        row.slice,
        row.metric_title,
        f"{row.n:,}",
        # Version 0.1.0 counted them among the errors.
        "—" if row.no_answer_policy is None else f"{row.no_answer:,}",
        f"{row.errors:,}",
        fixed(row.mean),
        fixed(row.standard_error),
        interval_text(row.low, row.high),
        row.interval_method or "—",
        clusters,
        fixed(row.between_variance),
        fixed(row.within_variance),
    )


def summary_table(
    rows: Sequence[SummaryRow],
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the headings and cells of the summary.

    Columns for clusters and for samples are left out where no row has a value.
    """
    every_row = list(map(summary_cells, rows))
    is_shown = []
    for at, name in enumerate(SUMMARY_HEADINGS):
        has_values = any(cells[at] != "—" for cells in every_row)
        is_shown.append(has_values or name not in _OPTIONAL)
    headings = tuple(compress(SUMMARY_HEADINGS, is_shown))
    shown_cells = []
    for cells in every_row:
        shown_cells.append(tuple(compress(cells, is_shown)))
    return headings, shown_cells


def summary_notes(result: RunResult) -> list[str]:
    """Return the notes below the summary.

    They say why missing scores fail the run, or how the mean treats them, and which
    outputs ended early.
    """
    if result.failure:
        return [f"Failed: {result.failure}.", *ending_notes(result.manifest)]
    task_notes = [f"{note[:1].upper()}{note[1:]}." for note in result.manifest.notes]
    # Dicts as sets that keep the order of the summary.
    notes: dict[str, None] = {}
    for row in result.summary:
        if row.is_corpus:
            notes[CORPUS_NOTE] = None
    for row in result.summary:
        if row.no_answer and row.no_answer_policy != "fail":
            notes[no_answer_note(row)] = None
    for row in result.summary:
        # `fail` has no note: a run that fails by it states the failure above.
        if row.errors and row.error_policy in _ERROR_POLICIES:
            notes[_ERROR_POLICIES[row.error_policy]] = None
    return [*notes, *task_notes, *ending_notes(result.manifest)]


def _corpus_no_answer_note(row: SummaryRow) -> str:
    if row.no_answer_policy == "zero":
        return (
            f"In {row.metric_id}, cases without an answer count as an answer that says "
            "nothing (`no_answer: zero`)."
        )
    return f"Cases without an answer are left out of {row.metric_id}."


def no_answer_note(row: SummaryRow) -> str:
    """Return what cases without an answer are to the mean of a row."""
    if row.is_corpus:
        return _corpus_no_answer_note(row)
    if row.no_answer_policy == "exclude":
        return (
            "Cases without an answer are left out of the mean (`no_answer: exclude`)."
        )
    if row.no_answer_policy == "unknown":
        return (
            f"Cases without an answer are left out of the mean of {row.metric_id}: which "
            "of its scores is the worst is not known. Declare its `score_range`."
        )
    counted = "0"
    if row.no_answer_score:
        counted = f"{row.no_answer_score:g}, the worst score of {row.metric_id},"
    return f"Cases without an answer count {counted} in the mean (`no_answer: zero`)."


_ENDINGS = {
    Ending.CUT: "cut at max_tokens",
    Ending.FILTERED: "stopped by a content filter",
    Ending.REFUSED: "refused by the model",
}


def ending_notes(manifest: Manifest) -> list[str]:
    """Return a note for each way in which outputs of a run ended early."""
    notes = []
    for record in manifest.stages:
        what = "outputs" if record.name == "generate" else f"replies of {record.stage}"
        for ending, count in record.endings.items():
            note = f"{count:,} of {record.rows:,} {what} were {_ENDINGS[ending]}"
            if ending is Ending.CUT and record.max_tokens_setting is not None:
                note += f"; `{record.max_tokens_setting}` sets the limit"
            notes.append(f"{note}.")
    return notes


AGREEMENT_HEADINGS = (
    "dataset",
    "metric",
    "label",
    "n",
    "errors",
    "no label",
    "agree",
    "kappa",
    "95 % interval",
)


def agreement_cells(record: AgreementRecord) -> tuple[str, ...]:
    """Return a metric's agreement with labels, under `AGREEMENT_HEADINGS`."""
    return (
        record.dataset_id,
        record.metric_id,
        record.label,
        f"{record.n:,}",
        f"{record.errors:,}",
        f"{record.unlabelled:,}",
        fixed(record.observed, 3),
        fixed(record.kappa, 3),
        interval_text(record.low, record.high, 3),
    )


def commonest_errors(result: RunResult) -> list[tuple[str, str, str]]:
    """Return the commonest reasons of each stage: stage, number of rows, reason."""
    failing = set()
    for record in result.manifest.stages:
        if record.errors:
            # The stage of one metric is `score[METRIC]`; its table is that of all.
            failing.add(record.name)
    found: list[tuple[str, str, str]] = []
    known: set[str] = set()
    for name, stage in STAGE_OF.items():
        # Reading a table of a large run is slow, so only where something failed.
        if stage not in failing:
            continue
        table = result.table(name, columns=["key", "error"])
        # A row without a key was not computed: its error is an earlier stage's.
        is_own = table["key"].is_valid()
        errors = table.filter(is_own)["error"].drop_null()
        counts = Counter(map(short, errors.to_pylist()))
        common = []
        for reason, count in counts.most_common(2 * _REASONS):
            # A reducer repeats, after its own words, why the scores are missing.
            _, _, cause = reason.partition(": ")
            if reason not in known and cause not in known:
                common.append((stage, f"{count:,}", reason))
        for row in common[:_REASONS]:
            found.append(row)
            known.add(row[2])
    return found


#: The stage that writes each table of a run.
STAGE_OF = dict(
    zip(
        # `cases` comes first; the tables after `results` are not a stage's rows.
        list(RUN_TABLES)[1:6],
        ("generate", "parse", "judge", "score", "reduce"),
        strict=True,
    )
)


def markdown_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
) -> str:
    """Return a Markdown table; cells are text, whatever characters they hold.

    >>> print(markdown_table(("a", "b"), [("1", "x|y")]))
    | a | b |
    | --- | --- |
    | 1 | x\\|y |
    """
    lines: list[Sequence[str]] = [headings, ["---"] * len(headings)]
    for row in rows:
        lines.append([markdown_text(cell) for cell in row])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def short(text: str) -> str:
    """Return a reason, cut to what fits a cell."""
    if len(text) <= _REASON_CHARS:
        return text
    return text[: _REASON_CHARS - 1] + "…"
