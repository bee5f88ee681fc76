"""A run as Markdown: for pull requests, and for the orchestrator's page of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import compress

from themis_lib.core.models import TokenUsage
from themis_lib.runs.agreement import AgreementRecord
from themis_lib.runs.manifest import GateRecord, Manifest, StageRecord
from themis_lib.runs.results import RunResult, SummaryRow
from themis_lib.storage.tables import RUN_TABLES

_REASONS = 5
_REASON_CHARS = 160


def markdown_report(result: RunResult) -> str:
    """Status, summary, what was computed against what was found, the commonest errors,
    and where the files are.
    """
    manifest = result.manifest
    parts = [
        f"# {manifest.name}: {result.status.value}",
        f"Run `{result.run_id}`, started {manifest.started_at}, ended {manifest.finished_at}. "
        f"Tables: `{result.location}`",
        "## Summary",
        markdown_table(*summary_table(result.summary)),
        *summary_notes(result),
        *_gate_parts(result),
        *_agreement_parts(result),
        "## Rows",
        markdown_table(
            STAGE_HEADINGS,
            [
                (item.stage, *(f"{count:,}" for count in stage_counts(item)))
                for item in manifest.stages
            ],
        ),
    ]
    money = cost_line(result)
    if money:
        parts += ["## Cost", money]
    reasons = commonest_errors(result)
    if reasons:
        parts += ["## Errors", markdown_table(("stage", "rows", "reason"), reasons)]
    return "\n\n".join(parts) + "\n"


def cost_line(result: RunResult) -> str | None:
    """Dollars paid and saved, then dollars and tokens of each stage that calls a model;
    null where none counts tokens.

    Stages whose price is not known are named: the run's dollars leave them out.
    """
    records = [record for record in result.manifest.stages if record.usage]
    if not records:
        return None
    parts = [
        f"{record.stage}: {_price_text(record)}{_tokens_text(record)}"
        for record in records
    ]
    paid, saved = result.manifest.cost_paid, result.manifest.cost_saved
    if paid is not None and saved is not None:
        parts.insert(
            0,
            f"{dollars(paid)} paid, {dollars(saved)} saved by the store{left_out(result.manifest)}",
        )
    return "; ".join(parts)


def left_out(manifest: Manifest) -> str:
    """What a run's dollars leave out, to be said behind them; empty where they are all."""
    return (
        f" (without {', '.join(manifest.unpriced)}, whose price is not known)"
        if manifest.unpriced
        else ""
    )


def dollars(
    amount: float,
    *,
    leaves_out: Sequence[str] = (),
) -> str:
    """An amount with as many digits as say something, at least that where it leaves out
    stages without a price.

    >>> dollars(12.3456), dollars(0.00123), dollars(0.0)
    ('$12.35', '$0.0012', '$0.00')
    """
    least = "at least " if leaves_out else ""
    return (
        f"{least}${amount:.2f}"
        if amount >= 1 or amount == 0
        else f"{least}${amount:.4f}"
    )


def _price_text(record: StageRecord) -> str:
    if record.cost is None or record.cost_paid is None:
        return "price not known, " if record.lacks_price else ""
    return f"{dollars(record.cost_paid)} of {dollars(record.cost)}, "


def _tokens_text(record: StageRecord) -> str:
    computed, every = (
        record.usage_computed or TokenUsage(),
        record.usage or TokenUsage(),
    )
    counts = [
        f"{getattr(computed, name) or 0:,} of {getattr(every, name):,} {name.partition('_')[0]}"
        for name in (
            "input_tokens",
            "cached_tokens",
            "output_tokens",
            "reasoning_tokens",
        )
        if getattr(every, name) is not None
    ]
    return f"{', '.join(counts)} tokens in this run"


def _agreement_parts(result: RunResult) -> list[str]:
    if not result.agreement:
        return []
    rows = [agreement_cells(record) for record in result.agreement]
    return [
        "## Agreement with labels (Cohen's kappa)",
        markdown_table(AGREEMENT_HEADINGS, rows),
    ]


def _gate_parts(result: RunResult) -> list[str]:
    if not result.manifest.gates:
        return []
    return [
        "## Gates",
        markdown_table(
            GATE_HEADINGS, [gate_cells(record) for record in result.manifest.gates]
        ),
    ]


GATE_HEADINGS = ("gate", "dataset", "slice", "outcome", "why")


def gate_cells(record: GateRecord) -> tuple[str, ...]:
    """How a gate ended as text, under `GATE_HEADINGS`."""
    return (
        record.gate,
        record.dataset_id,
        record.slice,
        record.outcome.value,
        record.reason,
    )


STAGE_HEADINGS = ("stage", "rows", "computed", "cached", "skipped", "failed", "errors")


def stage_counts(record: StageRecord) -> tuple[int, ...]:
    """The counts of a stage under `STAGE_HEADINGS`."""
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
    "errors",
    "mean",
    "std. error",
    "95 % interval",
    "method",
    "clusters",
    "var. between",
    "var. within",
)
#: Columns that are left out where no row says anything.
_OPTIONAL = ("clusters", "var. between", "var. within")
_POLICIES = {
    "exclude": "Cases without a score are left out of the mean (`errors: exclude`).",
    "zero": "Cases without a score count 0 in the mean (`errors: zero`).",
}


def summary_cells(row: SummaryRow) -> tuple[str, ...]:
    """A row of the summary as text; an em dash where there is no number."""
    return (
        row.dataset_id,
        row.slice,
        row.metric_id,
        f"{row.n:,}",
        f"{row.errors:,}",
        fixed(row.mean),
        fixed(row.standard_error),
        _interval_text(row.low, row.high),
        row.interval_method or "—",
        "—" if row.clusters is None else f"{row.clusters:,}",
        fixed(row.between_variance),
        fixed(row.within_variance),
    )


def summary_table(
    rows: Sequence[SummaryRow],
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings and cells of the summary, without columns for clusters or samples where
    there are none.
    """
    cells = [summary_cells(row) for row in rows]
    said = [
        name not in _OPTIONAL or any(row[at] != "—" for row in cells)
        for at, name in enumerate(SUMMARY_HEADINGS)
    ]
    return tuple(compress(SUMMARY_HEADINGS, said)), [
        tuple(compress(row, said)) for row in cells
    ]


def summary_notes(result: RunResult) -> list[str]:
    """What is to be said below the summary: why scores that are missing fail the run,
    or what they are to the mean.
    """
    if result.failure:
        return [f"Failed: {result.failure}."]
    policies = {row.error_policy for row in result.summary if row.errors}
    return [_POLICIES[policy] for policy in sorted(policies) if policy in _POLICIES]


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
    """How far a metric agrees with labels as text, under `AGREEMENT_HEADINGS`."""
    return (
        record.dataset_id,
        record.metric_id,
        record.label,
        f"{record.n:,}",
        f"{record.errors:,}",
        f"{record.unlabelled:,}",
        fixed(record.observed, 3),
        fixed(record.kappa, 3),
        _interval_text(record.low, record.high, 3),
    )


def commonest_errors(result: RunResult) -> list[tuple[str, str, str]]:
    """The commonest reasons of each table, with the stage they come from and the rows
    they hold for.
    """
    found: list[tuple[str, str, str]] = []
    failing = {
        record.stage.partition("[")[0]
        for record in result.manifest.stages
        if record.errors
    }
    for name, stage in STAGE_OF.items():
        if stage not in failing:
            continue
        table = result.table(name, columns=["key", "error"])
        own = table.filter(table["key"].is_valid())[
            "error"
        ].drop_null()  # without a key: an earlier stage's error
        known = {reason for _, _, reason in found}
        reasons = Counter(map(short, own.to_pylist()))
        common = [
            (reason, count)
            for reason, count in reasons.most_common(2 * _REASONS)
            if _is_new(reason, known)
        ]
        found += [(stage, f"{count:,}", reason) for reason, count in common[:_REASONS]]
    return found


def _is_new(
    reason: str,
    known: set[str],
) -> bool:
    """Whether no earlier stage gave this reason: what a reducer found no score for, it
    was told why.
    """
    return reason not in known and reason.partition(": ")[2] not in known


#: The stage that writes each table of a run.
STAGE_OF = dict(
    zip(
        list(RUN_TABLES)[1:6],
        ("generate", "parse", "judge", "score", "reduce"),
        strict=True,
    )
)


def markdown_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
) -> str:
    """A Markdown table; cells are text, whatever characters they hold.

    >>> print(markdown_table(("a", "b"), [("1", "x|y")]))
    | a | b |
    | --- | --- |
    | 1 | x\\|y |
    """
    lines = [
        headings,
        ["---"] * len(headings),
        *([_escape_cell(text) for text in row] for row in rows),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _escape_cell(text: str) -> str:
    escaped = (
        text.replace("\\", "\\\\")
        .replace("|", "\\|")
        .replace("<", "&lt;")
        .replace("`", "\\`")
    )
    return " ".join(escaped.split())


def short(text: str) -> str:
    """A reason cut to what fits a cell."""
    return text if len(text) <= _REASON_CHARS else text[: _REASON_CHARS - 1] + "…"


def _interval_text(
    low: float | None,
    high: float | None,
    digits: int = 4,
) -> str:
    return (
        "—" if low is None or high is None else f"{low:.{digits}f} – {high:.{digits}f}"
    )


def fixed(
    value: float | None,
    digits: int = 4,
) -> str:
    """A number with so many digits behind the point; an em dash for none."""
    return "—" if value is None else f"{value:.{digits}f}"
