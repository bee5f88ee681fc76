"""Corrected means as text: the headings, cells and notes that all reports share."""

from __future__ import annotations

from collections.abc import Sequence

from themis_lib.labels.corrected_scores import CorrectedScore
from themis_lib.report.figures import fixed, interval_text
from themis_lib.runs.summary import ALL_CASES
from themis_lib.stats.prediction_powered import FEWEST_LABELS
from themis_lib.stats.sensitivity import Rate

CORRECTED_HEADINGS = (
    "dataset",
    "slice",
    "metric",
    "raw mean",
    "raw interval",
    "corrected",
    "95 % interval",
    "labels",
    "worth",
    "sensitivity",
    "specificity",
    "kappa",
)


def corrected_cells(item: CorrectedScore) -> tuple[str, ...]:
    """Return a corrected mean as text, under `CORRECTED_HEADINGS`."""
    worth = "—" if item.labels_worth is None else f"{item.labels_worth:,.0f}"
    return (
        item.dataset_id,
        item.slice,
        item.metric_id,
        fixed(item.raw_mean),
        interval_text(item.raw_low, item.raw_high),
        fixed(item.mean),
        interval_text(item.low, item.high),
        f"{item.labels:,}",
        worth,
        rate_text(item.trust.sensitivity),
        rate_text(item.trust.specificity),
        fixed(item.trust.agreement.kappa, 3),
    )


def rate_text(rate: Rate | None) -> str:
    """Return a rate and its interval, or an em dash.

    >>> rate_text(Rate(50, 0.9, 0.7864, 0.9565)), rate_text(None)
    ('0.90 (0.79 – 0.96)', '—')
    """
    if rate is None or rate.rate is None:
        return "—"
    return f"{rate.rate:.2f} ({interval_text(rate.low, rate.high, 2)})"


def trust_lines(items: Sequence[CorrectedScore]) -> list[str]:
    """Return how far each judge says what people say, over whole datasets."""
    lines = []
    for item in items:
        if item.slice != ALL_CASES or not item.labels:
            continue
        kappa = item.trust.agreement
        ends = interval_text(kappa.low, kappa.high, 2)
        parts = [f"weighted kappa {fixed(kappa.kappa, 2)} ({ends})"]
        if item.trust.sensitivity is not None:
            rates = (
                f"sensitivity {rate_text(item.trust.sensitivity)}",
                f"specificity {rate_text(item.trust.specificity)}",
            )
            parts = [*rates, *parts]
        lines.append(
            f"{item.metric_id} against people on {item.dataset_id}: {', '.join(parts)}"
        )
    return lines


def corrected_notes(items: Sequence[CorrectedScore]) -> list[str]:
    """Return what a reader has to know of corrected means, over whole datasets.

    Few labels, labels that are left out, and how far labellers agree.
    """
    notes = []
    for item in items:
        if item.slice != ALL_CASES:
            continue
        if item.labels < FEWEST_LABELS:
            notes.append(
                f"{item.metric_id}: {item.labels:,} labels drawn from this run are few; "
                f"label at least {FEWEST_LABELS} before you go by the corrected mean."
            )
        if item.outside:
            notes.append(
                f"{item.metric_id}: {item.outside:,} samples have a label that was not "
                "drawn from this run; nothing says what others they stand for, and they "
                "are left out."
            )
        alpha = item.trust.labellers
        if alpha is not None and alpha.alpha is not None:
            notes.append(
                f"{item.metric_id}: labellers agree with Krippendorff's alpha "
                f"{alpha.alpha:.3f} ({interval_text(alpha.low, alpha.high, 3)}) on "
                f"{alpha.units:,} items that two or more labelled."
            )
    return notes
