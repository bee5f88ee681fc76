"""Drawn orders: every beginning of one is a sample with known probabilities."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.support.labelling import (
    RUBRIC,
    cases,
    grading_judge,
    judged_run,
)
from themis_lib import ConfigError, InMemoryRunStore
from themis_lib.labels.draws import (
    MOST_SEED,
    draw_items,
    inclusion_probabilities,
    uncertainties,
)
from themis_lib.labels.items import RunItems, items_of


def _words(text: str) -> str:
    """Return 1 to 5 words that no other sum has."""
    number = int(text.split()[2])
    return " ".join(["word"] * (number % 5) + [f"word{number}"])


def graded(count: int) -> RunItems:
    """Items whose answers of 1 to 5 words have grades of 1 to 5."""
    run = judged_run(
        InMemoryRunStore(),
        dataset=cases(count),
        metric={**RUBRIC, "reference": False},
        judge=grading_judge,
        model=_words,
    )
    return items_of(run)


def test_a_draw_is_the_same_each_time() -> None:
    """A draw follows from its method, its seed and the items, not from their order."""
    store = InMemoryRunStore()
    items = items_of(judged_run(store, count=8))
    reordered = items_of(judged_run(store, dataset=cases(8)[::-1]))

    assert draw_items(items).name == draw_items(reordered).name
    assert draw_items(items).items != draw_items(items, seed=1).items
    assert sorted(draw_items(items).items) == sorted(draw_items(items, seed=1).items)


@pytest.mark.parametrize(
    ("drawing", "message"),
    [
        ({"method": "activ"}, "sample 'activ': did you mean 'active'"),
        ({"seed": -1}, "seed -1"),
        # As a float of a browser it would be another one.
        ({"seed": MOST_SEED + 2}, f"to {MOST_SEED}"),
    ],
)
def test_a_wrong_drawing_is_refused(drawing: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        draw_items(graded(3), **drawing)


def test_uncertain_scores_come_first() -> None:
    """Where a score in the middle is the least certain, it is labelled more often, and
    no item is out of reach.
    """
    items = graded(20)
    scores = {row["item"]: row["score"] for row in items.rows.to_pylist()}
    firsts: Counter[float] = Counter()
    for seed in range(200):
        drawn = draw_items(items, method="active", seed=seed).items
        firsts.update(scores[item] for item in drawn[:4])

    assert firsts[0.5] > firsts[0.25] > firsts[0.0] > 0
    assert firsts[0.5] > firsts[0.75] > firsts[1.0] > 0


@pytest.mark.parametrize("method", ["uniform", "active"])
def test_items_are_drawn_as_often_as_their_probabilities_say(method: str) -> None:
    """Over many seeds each item is among the first k with its probability."""
    items = graded(20)
    rounds, count = 2000, 6
    draws = [draw_items(items, method=method, seed=seed) for seed in range(rounds)]  # type: ignore[arg-type]
    seen: Counter[str] = Counter()
    for draw in draws:
        seen.update(draw.items[:count])
    first = draws[0]
    expected = inclusion_probabilities(first.weights, count)
    observed = np.array([seen[item] / rounds for item in first.items])

    # Three standard errors of a share of 2,000, and the order is of a fixed size.
    np.testing.assert_allclose(observed, expected, atol=3 * 0.5 / np.sqrt(rounds))
    assert count == pytest.approx(expected.sum())


def test_probabilities_of_heavy_weights_end_at_one() -> None:
    """Weights that would exceed 1 are certain, and the others share what is left."""
    weights = np.array([100.0, 40.0, 1.0, 1.0, 2.0])

    for count in range(1, 6):
        probabilities = inclusion_probabilities(weights, count)
        assert count == pytest.approx(probabilities.sum())
        assert probabilities.max() <= 1

    assert [1.0, 1.0, 0.25, 0.25, 0.5] == inclusion_probabilities(weights, 3).tolist()


def test_a_panel_in_disagreement_is_uncertain() -> None:
    """Votes say how uncertain a score is: 2 of 3 for it is √(2/9), 3 of 3 is certain."""
    panel = [
        {"use": "tests.support.labelling:contains_judge", "id": "a"},
        {"use": "tests.support.labelling:contains_judge", "id": "b"},
        {"use": "tests.support.labelling:strict_judge", "id": "c"},
    ]
    items = items_of(judged_run(InMemoryRunStore(), judge=panel))
    by_item = uncertainties(items)
    scores = {row["item"]: row["score"] for row in items.rows.to_pylist()}

    for item, score in scores.items():
        assert by_item[item] == pytest.approx(np.sqrt(2 / 9) if score else 0.0)


def test_certain_scores_are_drawn_uniformly() -> None:
    """Where every score is 0 or 1 by one judge, an active draw has equal weights."""
    items = items_of(judged_run(InMemoryRunStore()))

    assert {1.0} == set(draw_items(items, method="active").weights)
