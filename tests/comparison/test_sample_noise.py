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


def test_the_width_of_an_interval_has_parts() -> None:
    """What the samples add to the variance, and what twice of either would leave."""
    draw = np.random.default_rng(0)
    store = InMemoryRunStore()
    before, after = (
        scored((draw.normal(0, 1, (200, 1)) + draw.normal(0, 1, (200, 2))).tolist())
        for _ in range(2)
    )

    (item,) = compare(run_of(store, before), run_of(store, after)).differences

    # Of each case and run: 1 of the case, and 1/2 of its two samples.
    noise = item.noise
    assert 1 / 3 == pytest.approx(noise.sampling_share, abs=0.05)
    assert (item.high - item.low) / 2 == pytest.approx(noise.half_width)
    narrowed = 1 - noise.sampling_share / 2
    assert noise.half_width * narrowed**0.5 == noise.with_twice_the_samples
    assert noise.half_width / 2**0.5 == noise.with_twice_the_cases


@pytest.mark.slow
@pytest.mark.parametrize("by", ["samples", "cases"])
def test_narrower_intervals_are_as_narrow_as_promised(by: str) -> None:
    """Twice the samples, or twice the cases, leave the half width that was stated."""
    draw = np.random.default_rng(1)
    stated = []
    measured = []

    def half_width(cases: int, samples: int) -> tuple[float, float]:
        sides = []
        for _ in range(2):
            scores = draw.normal(0, 1, (cases, 1)) + draw.normal(0, 2, (cases, samples))
            sides.append(run_of(InMemoryRunStore(), scored(scores.tolist())))
        noise = compare(*sides).differences[0].noise
        return noise.half_width, getattr(noise, f"with_twice_the_{by}")

    for _ in range(20):
        stated.append(half_width(100, 2)[1])
        more = (200, 2) if by == "cases" else (100, 4)
        measured.append(half_width(*more)[0])

    assert np.mean(stated) == pytest.approx(np.mean(measured), rel=0.06)


def test_one_sample_a_case_says_nothing_of_the_parts() -> None:
    """The share of the samples is not known, and twice the cases still narrow it."""
    store = InMemoryRunStore()

    (item,) = compare(
        run_of(store, scored([1, 0, 0, 1, 0])),
        run_of(store, scored([1, 1, 0, 1, 1])),
    ).differences

    assert (None, None) == (
        item.noise.sampling_share,
        item.noise.with_twice_the_samples,
    )
    assert item.noise.with_twice_the_cases < item.noise.half_width


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
