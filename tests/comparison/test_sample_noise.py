"""The luck of the samples: what is known of it, and what it says of more samples."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.compared_runs import run_of, scored
from themis_lib import InMemoryRunStore, compare
from themis_lib.comparison.sample_noise import sample_noise
from themis_lib.comparison.scored_cases import scored_cases


def test_noise_is_the_variance_of_each_case_s_samples() -> None:
    """Samples 0 and 1 vary by 0.5; with two drawn, half of that is left."""
    result = run_of(InMemoryRunStore(), scored([[0, 1], [1, 0]]))

    noise = sample_noise(result, scored_cases(result))["m"]

    assert [0.5, 0.5] == noise.variances.tolist()
    assert (0.5, 0.25) == noise.of(np.array([0, 1]), np.array([0.5, 0.5]))


def test_noise_is_unknown_for_scores_that_are_not_means() -> None:
    """The best of two samples is no mean, so their variance is not its noise."""
    result = run_of(InMemoryRunStore(), scored([[0, 1], [1, 0]]))

    noise = sample_noise(result, scored_cases(result))["m"]

    assert noise.of(np.array([0, 1]), np.array([1.0, 1.0])) is None


def test_one_sample_a_case_shows_no_noise() -> None:
    """Nothing is known of the luck of a single draw."""
    result = run_of(InMemoryRunStore(), scored([0, 1]))

    assert {} == sample_noise(result, scored_cases(result))


def test_different_numbers_of_samples_are_compared_case_by_case() -> None:
    """One sample against two is compared by the cases' scores."""
    store = InMemoryRunStore()

    (item,) = compare(
        run_of(store, scored([1, 0, 0])),
        run_of(store, scored([[1, 1], [1, 0], [0, 0]])),
    ).differences

    assert (3, pytest.approx(1 / 6), None) == (
        item.n,
        item.difference,
        item.samples_needed,
    )


def test_samples_that_would_settle_a_difference() -> None:
    """Where runs drew several samples, it is said how many would show a difference, or
    that none would.
    """
    store, draw = InMemoryRunStore(), np.random.default_rng(0)
    noisy = [scored(draw.normal(0.5, 1.0, size=(60, 4)).tolist()) for _ in range(2)]
    varied = [
        scored(
            (draw.normal(0, 2, size=(60, 1)) + draw.normal(0, 0.1, (60, 4))).tolist()
        )
        for _ in range(2)
    ]
    by_samples, by_cases = (
        compare(*(run_of(store, cases) for cases in pair), delta=0.2)
        for pair in (noisy, varied)
    )

    assert 4 < by_samples.differences[0].samples_needed < 20
    assert by_samples.differences[0].cases_needed > 60
    assert by_cases.differences[0].samples_needed is None
    assert by_cases.differences[0].cases_needed > 1_000


def test_samples_are_not_promised_where_the_score_is_not_their_mean() -> None:
    """Another reducer may not gain from samples; nothing is said of them."""
    store = InMemoryRunStore()
    before, after = (
        scored([[0, 1], [1, 0], [0, 0]] * 4),
        scored([[1, 1], [1, 1], [0, 0]] * 4),
    )
    for at, cases in enumerate((before, after)):
        for number, item in enumerate(cases):
            cases[number] = item.model_copy(
                update={"input": f"q{number}", "case_id": f"{at}-{number}"}
            )

    best = compare(
        *(
            run_of(store, cases, reducer="builtin/best_of_n")
            for cases in (before, after)
        )
    )

    assert best.differences[0].samples_needed is None
