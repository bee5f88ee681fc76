"""The scores of a run beside the labels that people gave to the same content."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.labels.draws import inclusion_probabilities
from themis_lib.labels.items import RunItems, items_of
from themis_lib.labels.stored_labels import LabelStore, last_labels
from themis_lib.runs.results import RunResult

#: What `labelled_scores` returns.
LABELLED_SCORES = pa.schema(
    [
        ("dataset_id", pa.string()),
        ("case_id", pa.string()),
        ("sample_index", pa.int32()),
        ("score", pa.float64()),
        ("item", pa.string()),
        ("label", pa.float64()),
        ("labels", pa.map_(pa.string(), pa.float64())),
        ("inclusion_probability", pa.float64()),
    ]
)


def labelled_scores(
    run: RunResult,
    metric_id: str | None = None,
    *,
    labellers: Collection[str] | None = None,
) -> pa.Table:
    """Return every scored sample of a run with the labels of its content.

    One row for each scored case and sample, in the order of the run, under the columns
    of `LABELLED_SCORES`: `score` is the metric's, `label` the mean of the labels on the
    same scale (null without one), `labels` each labeller's, `item` what was labelled:
    rows of one item share their labels. All rows are the population of the mean; rows
    with a score of null are none of it. `labellers` chooses some people's labels.

    `inclusion_probability` is the probability that the item was drawn and labelled, set
    for the labelled rows of one probability sample of this population: of the draws that
    hold all items of the run, the one with the most labels. It is null in every other
    row: a label found by content alone, from a draw that lacks some item of this run or
    from no draw, is true and is no part of a sample. Items that were skipped are taken
    as missing at random, and lower the probability of all others alike.

    Raise `ConfigError` for a metric that the run has not, or if `metric_id` is `None` and
    several could be meant.
    """
    items = items_of(run, metric_id)
    store = LabelStore(run.store)
    # Once: each time takes a listing of the store.
    every_label = store.all()
    given = _given_labels(every_label, labellers)
    probabilities = _probabilities(items, store, every_label, given)
    columns: dict[str, list[Any]] = {"label": [], "labels": [], "probability": []}
    for item in items.rows["item"].to_pylist():
        by_labeller = given.get(item, {})
        known = {
            name: value for name, value in by_labeller.items() if value is not None
        }
        columns["label"].append(float(np.mean(list(known.values()))) if known else None)
        columns["labels"].append(sorted(known.items()) if known else None)
        columns["probability"].append(probabilities.get(item))
    ids = [items.rows[name] for name in LABELLED_SCORES.names[:5]]
    return pa.table([*ids, *columns.values()], schema=LABELLED_SCORES)


def _given_labels(
    every_label: pa.Table,
    labellers: Collection[str] | None,
) -> dict[str, dict[str, float | None]]:
    """Return the value that each labeller gave to each item; `None` is skipped."""
    given: defaultdict[str, dict[str, float | None]] = defaultdict(dict)
    current = last_labels(every_label).select(["item", "labeller", "value"])
    for row in current.to_pylist():
        if labellers is None or row["labeller"] in labellers:
            given[row["item"]][row["labeller"]] = row["value"]
    return given


def _probabilities(
    items: RunItems,
    store: LabelStore,
    every_label: pa.Table,
    given: Mapping[str, Mapping[str, float | None]],
) -> dict[str, float]:
    """Return the inclusion probability of each item of the largest probability sample."""
    population = set(items.rows["item"].to_pylist())
    best: dict[str, float] = {}
    reached = _reached(every_label, given)
    for name in sorted(reached):
        table = store.draw(name)
        if table is None:
            continue
        order = table["item"].to_pylist()
        # A draw that could not have drawn some item is no sample of this population.
        if not population <= set(order):
            continue
        sample = _sample(order, table["weight"].to_numpy(), reached[name], given)
        found = {item: value for item, value in sample.items() if item in population}
        if len(found) > len(best):
            best = found
    return best


def _reached(
    every_label: pa.Table,
    given: Mapping[str, Mapping[str, float | None]],
) -> dict[str, set[str]]:
    """Return the items that each draw put before people, by draw."""
    reached: defaultdict[str, set[str]] = defaultdict(set)
    drawn = every_label.filter(pc.is_valid(every_label["draw"]))
    for row in drawn.to_pylist():
        if row["labeller"] in given.get(row["item"], {}):
            reached[row["draw"]].add(row["item"])
    return reached


def _sample(
    order: list[str],
    weights: Any,
    reached: Collection[str],
    given: Mapping[str, Mapping[str, float | None]],
) -> dict[str, float]:
    """Return the probability of each labelled item up to the last that was reached."""
    last = max((at for at, item in enumerate(order) if item in reached), default=-1)
    if last < 0:
        return {}
    count = last + 1
    labelled = []
    for at, item in enumerate(order[:count]):
        if any(value is not None for value in given.get(item, {}).values()):
            labelled.append(at)
    response = len(labelled) / count
    probabilities = inclusion_probabilities(weights, count)
    return {order[at]: response * float(probabilities[at]) for at in labelled}
