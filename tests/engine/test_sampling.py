"""A draw depends on seed and place alone, and has the frequencies of a reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from scipy.stats import chisquare

from themis_lib.engine.sampling import (
    LARGEST_SEED,
    Draws,
    Sampling,
    check_seed,
    log_probabilities,
    most_likely,
    penalized,
    pick,
)
from themis_lib.errors import ConfigError

MANY = settings(max_examples=300, derandomize=True)
SEEDS = st.integers(0, LARGEST_SEED)

#: Few values, so that ties are common.
LOGITS = st.lists(
    st.sampled_from([-4.0, -1.5, -1.0, 0.0, 0.5, 1.0, 2.0, 7.25]),
    min_size=1,
    max_size=40,
)
SAMPLINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.5]),
    top_k=st.sampled_from([0, 0, 1, 2, 5, 100]),
    top_p=st.sampled_from([1.0, 1.0, 0.05, 0.5, 0.9, 0.999]),
    min_p=st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0]),
)


def row(logits: Any) -> np.ndarray:
    return np.array(logits, dtype=np.float32)


def reference(logits: list[float], sampling: Sampling) -> list[tuple[int, float]]:
    """Return the tokens that may come with their unnormalised probabilities.

    They are by rank if a cut ranks them, else by id.
    """
    ranked = sorted(range(len(logits)), key=lambda token: (-logits[token], token))
    if sampling.top_k:
        ranked = ranked[: sampling.top_k]
    best = logits[ranked[0]]
    weight = {
        token: math.exp((logits[token] - best) / sampling.temperature)
        for token in ranked
    }
    if sampling.top_p < 1:
        whole = math.fsum(weight.values())
        before = [
            math.fsum(weight[one] for one in ranked[:rank])
            for rank in range(len(ranked))
        ]
        if any(
            abs(reached - sampling.top_p * whole) < 1e-9 * whole for reached in before
        ):
            return []  # rounding decides
        ranked = [
            token
            for token, reached in zip(ranked, before, strict=True)
            if reached < sampling.top_p * whole
        ]
    ranked = [
        token
        for token in ranked
        if weight[token] >= sampling.min_p * max(weight.values())
    ]
    order = ranked if sampling.top_k or sampling.top_p < 1 else sorted(ranked)
    return [(token, weight[token]) for token in order]


def philox(seed: int, place: int) -> float:
    """Return the number of one place, computed from nothing else.

    Philox 4x64-10 as published (Salmon et al. 2011, section 4).
    """
    counter, key = [place // 4 + 1, 0, 0, 0], [seed, 0]  # NumPy counts before it draws
    for _ in range(10):
        first, second = counter[0] * 0xD2E7470EE14C6C93, counter[2] * 0xCA5A826395121157
        counter = [
            (second >> 64) ^ counter[1] ^ key[0],
            second % 2**64,
            (first >> 64) ^ counter[3] ^ key[1],
            first % 2**64,
        ]
        key = [
            (key[0] + 0x9E3779B97F4A7C15) % 2**64,
            (key[1] + 0xBB67AE8584CAA73B) % 2**64,
        ]
    return (counter[place % 4] >> 11) * 2.0**-53


def test_draws_are_recorded_for_ever() -> None:
    """A text of today is the text of any later day."""
    recorded = {
        0: [0.011546754286331562, 0.24154919656271812, 0.519317446058697],
        42: [0.8201981478608876, 0.18924562408645496, 0.589296951104616],
        LARGEST_SEED: [0.23494158814525556, 0.7173107484541781, 0.9755105069617316],
    }
    assert recorded == {
        seed: [Draws(seed).at(place) for place in (0, 1, 300)] for seed in recorded
    }


@MANY
@given(SEEDS, st.integers(0, 2000))
def test_draws_are_those_of_philox(seed, place) -> None:
    """The generator as its paper gives it, keyed by the seed and counted by the
    place.
    """
    assert philox(seed, place) == Draws(seed).at(place)


@MANY
@given(SEEDS, st.lists(st.integers(0, 700), min_size=1, max_size=8))
def test_a_draw_depends_on_its_seed_and_its_place_alone(seed, places) -> None:
    """In whatever order places are asked for, and however many draws were made
    before.
    """
    draws = Draws(seed)
    assert [Draws(seed).at(place) for place in places] == [
        draws.at(place) for place in places
    ]
    assert all(0 <= draws.at(place) < 1 for place in places)


def test_neighbouring_seeds_and_places_have_unrelated_draws() -> None:
    """Over the first place of 4,000 seeds, and over 4,000 places of one seed.

    Uniform in sixteen classes.
    """
    for draws in (
        [Draws(seed).at(0) for seed in range(4000)],
        [Draws(7).at(place) for place in range(4000)],
    ):
        counts = np.bincount((np.array(draws) * 16).astype(int), minlength=16)
        assert chisquare(counts).pvalue > 0.01
        assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.05


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1),
        Sampling(temperature=0.5),
        Sampling(temperature=3),
        Sampling(temperature=1, top_k=4),
        Sampling(temperature=1, top_p=0.8),
        Sampling(temperature=1, min_p=0.2),
        Sampling(temperature=1.5, top_k=6, top_p=0.9, min_p=0.05),
    ],
    ids=str,
)
def test_frequencies_are_those_of_the_softmax_that_the_cuts_leave(sampling) -> None:
    """Chi-square over 20,000 draws of fixed seeds; nothing that was cut ever comes."""
    logits = [0.1, 2.0, -1.0, 1.2, 0.7, -0.3, 1.9, -2.0]
    kept = reference(logits, sampling)
    draws = Draws(12)
    counts = np.bincount(
        [pick(row(logits), sampling, draws.at(place)) for place in range(20_000)],
        minlength=8,
    )
    expected = np.zeros(8)
    for token, weight in kept:
        expected[token] = weight
    expected *= 20_000 / expected.sum()
    assert 0 == counts[expected == 0].sum()
    assert chisquare(counts[expected > 0], expected[expected > 0]).pvalue > 0.01


def test_without_cuts_frequencies_are_the_softmax_of_scipy() -> None:
    """The exact share of [0, 1) that selects each token."""
    logits = row([0.1, 2.0, -1.0, 1.2])
    picked = [
        pick(logits, Sampling(temperature=0.7), (place + 0.5) / 50_000)
        for place in range(50_000)
    ]
    assert softmax(logits / 0.7).tolist() == pytest.approx(
        np.bincount(picked) / 50_000, abs=3e-5
    )


@MANY
@given(LOGITS, SAMPLINGS)
def test_a_pick_is_that_of_a_plain_reference(logits, sampling) -> None:
    """Each token that may come has its stretch of [0, 1); greedy has no draw."""
    if sampling.temperature == 0:
        assert logits.index(max(logits)) == pick(row(logits), sampling, 0.5)
        return
    kept = reference(logits, sampling)
    assume(kept)
    edges = np.cumsum([0.0, *(weight for _, weight in kept)])
    edges /= edges[-1]
    wide = [
        (token, (low + high) / 2)
        for (token, _), low, high in zip(kept, edges, edges[1:], strict=False)
        if high > low
    ]
    assert [token for token, _ in wide] == [
        pick(row(logits), sampling, float(draw)) for _, draw in wide
    ]
    assert {kept[0][0]} == {pick(row(logits), sampling, 0.0)}
    assert pick(row(logits), sampling, 1 - 2**-53) in dict(kept)


def test_ties_at_the_border_of_a_cut_go_to_the_smaller_id() -> None:
    """By top_p half of two equal tokens is one; by top_k the smaller ids are kept."""
    last = 1 - 2**-53
    assert 0 == pick(row([1.0, 1.0]), Sampling(temperature=1, top_p=0.5), last)
    assert 1 == pick(row([1.0, 1.0]), Sampling(temperature=1, top_p=0.51), last)
    assert 2 == pick(row([0.0, 1.0, 1.0, 1.0]), Sampling(temperature=1, top_k=2), last)
    assert 1 == pick(row([0.0, 1.0, 1.0, 1.0]), Sampling(), last)


def test_a_token_that_must_not_come_never_does() -> None:
    """A logit of minus infinity has no weight, at any temperature and for any draw."""
    logits = row([-np.inf, 1.0, -np.inf, 0.5, -np.inf])
    for sampling in (
        Sampling(),
        Sampling(temperature=100),
        Sampling(temperature=1, top_k=5, top_p=0.999, min_p=0),
    ):
        assert {1, 3} >= {
            pick(logits, sampling, draw) for draw in (0.0, 0.3, 0.7, 1 - 2**-53)
        }


def test_a_cut_by_top_p_looks_beyond_the_first_thousand() -> None:
    """Of a flat distribution over 5,000 tokens top_p=0.9 keeps the first 4,500."""
    logits = np.zeros(5000, dtype=np.float32)
    sampling = Sampling(temperature=1, top_p=0.9)
    assert 0 == pick(logits, sampling, 0.0)
    assert 4499 == pick(logits, sampling, 1 - 2**-53)


@MANY
@given(LOGITS, st.integers(0, 50))
def test_the_most_likely_are_sorted_and_ties_go_to_the_smaller_id(
    logits, count
) -> None:
    """As a stable sort of all of them gives."""
    ranked = sorted(range(len(logits)), key=lambda token: (-logits[token], token))
    assert ranked[:count] == most_likely(row(logits), count).tolist()


@MANY
@given(LOGITS, st.data())
def test_log_probabilities_are_those_of_scipy(logits, data) -> None:
    """To rounding in double precision."""
    tokens = data.draw(
        st.lists(st.integers(0, len(logits) - 1), min_size=1, max_size=5)
    )
    expected = log_softmax(np.array(logits, dtype=np.float64))[tokens]
    assert expected == pytest.approx(
        log_probabilities(row(logits), np.array(tokens)), abs=1e-12
    )


def test_log_probabilities_of_far_logits_are_finite() -> None:
    """Nothing overflows, and one sure token has a log-probability of 0."""
    found = log_probabilities(row([3e38, -3e38]), np.array([0, 1]))
    assert 0 == found[0]
    assert np.isfinite(found).all()


def test_log_probabilities_do_not_depend_on_the_tokens_asked_for_together() -> None:
    """Bit for bit."""
    logits = np.random.default_rng(0).standard_normal(2000).astype(np.float32)
    together = log_probabilities(logits, np.arange(2000))
    assert [
        float(log_probabilities(logits, np.array([t]))[0]) for t in range(2000)
    ] == together.tolist()


@MANY
@given(LOGITS, st.data(), st.sampled_from([0.5, 1.0, 1.3, 5.0]))
def test_a_penalty_divides_positive_logits_and_multiplies_the_others(
    logits, data, penalty
) -> None:
    """Those of tokens seen before (Keskar et al. 2019), once each, in a copy."""
    seen = data.draw(st.sets(st.integers(0, len(logits) - 1)))
    given_row = row(logits)
    found = penalized(given_row, seen, penalty)
    expected = [
        (logit / penalty if logit > 0 else logit * penalty) if token in seen else logit
        for token, logit in enumerate(logits)
    ]
    assert found.tolist() == pytest.approx(expected, rel=1e-6)
    assert logits == given_row.tolist()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 101),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("temperature", "1"),
        ("temperature", None),
        ("temperature", True),
        ("top_k", -1),
        ("top_k", 1.5),
        ("top_k", 2**31 + 1),
        ("top_p", 0),
        ("top_p", 1.01),
        ("top_p", -1),
        ("top_p", math.nan),
        ("min_p", -0.1),
        ("min_p", 1.1),
        ("repetition_penalty", 0),
        ("repetition_penalty", -1),
        ("repetition_penalty", 101),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_name(name, value) -> None:
    """With the value that was given."""
    with pytest.raises(ConfigError, match=name):
        Sampling(**{name: value})


def test_numbers_of_numpy_are_settings_too() -> None:
    """As whatever computes settings gives them."""
    assert Sampling(temperature=1.0, top_k=3) == Sampling(
        temperature=np.float64(1), top_k=np.int64(3)
    )


@pytest.mark.parametrize(
    "seed", [-1, LARGEST_SEED + 1, 1.0, "1", None, True, math.nan, np.float64(1)]
)
def test_a_seed_that_is_no_whole_number_from_0_to_the_largest_is_refused(seed) -> None:
    """With what to write."""
    with pytest.raises(ConfigError, match="seed="):
        check_seed(seed)


@pytest.mark.parametrize(
    "seed", [0, 1, 2**32, LARGEST_SEED, np.uint64(LARGEST_SEED), np.int8(5)]
)
def test_a_seed_is_a_python_integer(seed) -> None:
    """Zero and the largest included."""
    assert int(seed) == check_seed(seed)
    assert int is type(check_seed(seed))
