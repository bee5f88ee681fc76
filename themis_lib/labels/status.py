"""How far a run is labelled: by whom, how far people agree, and what went stale."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pyarrow.compute as pc

from themis_lib.identity.digests import canonical_json
from themis_lib.labels.items import RunItems, items_of
from themis_lib.labels.labelled_scores import labelled_scores
from themis_lib.labels.stored_labels import LabelStore
from themis_lib.runs.results import RunResult
from themis_lib.stats.agreement import Agreement, cohens_kappa

#: The values that one labeller gave, by item; `None` is skipped.
Given = Mapping[str, float | None]


@dataclass(frozen=True)
class LabellerStatus:
    """One labeller's labels: of items of the run, and stale ones."""

    labeller: str
    labelled: int
    skipped: int
    stale: int
    last: str

    def cells(self) -> tuple[str, ...]:
        """Return the row of a table: name, counts, and the day of the last label."""
        counts = (f"{self.labelled:,}", f"{self.skipped:,}", f"{self.stale:,}")
        return (self.labeller, *counts, self.last[:10])


@dataclass(frozen=True)
class LabellerAgreement:
    """How far two labellers agree on the items that both have labelled."""

    first: str
    second: str
    agreement: Agreement

    def cells(self) -> tuple[str, ...]:
        """Return the row of a table; a dash where there is no number."""
        found = self.agreement
        observed = "—" if found.observed is None else f"{found.observed:.3f}"
        kappa = "—" if found.kappa is None else f"{found.kappa:.3f}"
        interval = "—"
        if found.low is not None and found.high is not None:
            interval = f"{found.low:.3f} – {found.high:.3f}"
        names = f"{self.first}, {self.second}"
        return (names, f"{found.n:,}", observed, kappa, interval)


@dataclass(frozen=True)
class LabelStatus:
    """The labels of one metric of a run.

    `sampled` counts the labelled items of the largest probability sample. A label is
    stale if it was given to a case of the run whose question, text or reference is
    another in this run.
    """

    run_id: str
    metric_id: str
    items: int
    labelled: int
    sampled: int
    stale: int
    labellers: list[LabellerStatus]
    agreements: list[LabellerAgreement]

    def lines(self) -> list[str]:
        """Return the sums as lines for people."""
        lines = [
            f"{self.metric_id} of run {self.run_id}: {self.labelled:,} of "
            f"{self.items:,} items labelled, {self.sampled:,} of them as a "
            "probability sample"
        ]
        if self.stale:
            lines.append(
                f"{self.stale:,} stale labels: the question, text or reference of the "
                "case is another now"
            )
        return lines


def label_status(
    run: RunResult,
    metric_id: str | None = None,
) -> LabelStatus:
    """Return how far a metric of a run is labelled; `metric_id` as for `items_of`.

    Raise `ConfigError` as that does.
    """
    items = items_of(run, metric_id)
    current = LabelStore(run.store).current().to_pylist()
    table = labelled_scores(run, items.question.metric_id)
    by_labeller: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    stale_of: Counter[str] = Counter()
    cases = _cases(items)
    for row in current:
        if row["item"] in items.contents:
            by_labeller[row["labeller"]].append(row)
        elif row["metric_id"] == items.question.metric_id and row["value"] is not None:
            stale_of[row["labeller"]] += (row["dataset_id"], row["case_id"]) in cases
    names = sorted({*by_labeller, *(name for name, count in stale_of.items() if count)})
    people = [
        _labeller_status(name, by_labeller[name], stale_of[name]) for name in names
    ]
    values = {
        name: {row["item"]: row["value"] for row in rows}
        for name, rows in by_labeller.items()
    }
    drawn = table.filter(pc.is_valid(table["inclusion_probability"]))
    labelled = table.filter(pc.is_valid(table["label"]))
    return LabelStatus(
        run_id=run.run_id,
        metric_id=items.question.metric_id,
        items=len(items.contents),
        labelled=len(pc.unique(labelled["item"])),
        sampled=len(pc.unique(drawn["item"])),
        stale=stale_of.total(),
        labellers=people,
        agreements=list(_agreements(values)),
    )


def _cases(items: RunItems) -> set[tuple[str, str]]:
    rows = items.rows
    return set(
        zip(rows["dataset_id"].to_pylist(), rows["case_id"].to_pylist(), strict=True)
    )


def _labeller_status(
    name: str,
    rows: list[dict[str, Any]],
    stale: int,
) -> LabellerStatus:
    labelled = sum(row["value"] is not None for row in rows)
    last = max((row["labelled_at"] for row in rows), default="—")
    return LabellerStatus(name, labelled, len(rows) - labelled, stale, last)


def _agreements(values: Mapping[str, Given]) -> Iterator[LabellerAgreement]:
    """Yield the agreement of each two labellers who share an item."""
    for first, second in combinations(sorted(values), 2):
        counts: Counter[tuple[str, str]] = Counter()
        for item, value in values[first].items():
            other = values[second].get(item)
            if value is not None and other is not None:
                counts[canonical_json(value), canonical_json(other)] += 1
        if counts:
            yield LabellerAgreement(first, second, cohens_kappa(counts))
