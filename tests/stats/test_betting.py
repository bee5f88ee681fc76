"""Evidence and confidence sequences by betting: against closed forms, scipy and
enumeration, and simulations of what they promise at every look.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.runs.random_order import look_ends
from themis_lib.stats.betting import (
    BoundedScores,
    confidence_sequence,
    could_refute,
    e_value,
)
from themis_lib.stats.expected_stops import simulated_evidence
from themis_lib.stats.paired import mcnemar_exact

SHARES = st.lists(st.integers(0, 8).map(lambda number: number / 8), max_size=30)
BETWEEN = st.floats(0.05, 0.95)
RUNS = 2_000


def differences(rises: int, falls: int, ties: int = 0) -> np.ndarray:
    return np.repeat([1.0, -1.0, 0.0], [rises, falls, ties])


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_evidence_of_pairs_is_the_beta_mixture(
    rises: int, falls: int, ties: int
) -> None:
    """Of pairs of 0 and 1 it is B(1 + r, 1 + f) / B(1, 1) · 2^(r + f); ties count for
    nothing.
    """
    found = e_value(differences(rises, falls, ties), 0.0, lowest=-1, highest=1)

    expected = scipy.special.betaln(1 + rises, 1 + falls)
    expected -= scipy.special.betaln(1, 1)
    expected += (rises + falls) * math.log(2)
    assert math.exp(expected) == pytest.approx(found, rel=1e-9)


@given(st.integers(0, 200), st.integers(0, 200), BETWEEN)
def test_evidence_of_scores_of_0_and_1_is_a_ratio_of_scipys_probabilities(
    right: int, wrong: int, mean: float
) -> None:
    """It is the beta-binomial probability of the scores by their binomial one."""
    scores = np.repeat([1.0, 0.0], [right, wrong])

    found = BoundedScores.of(scores, 0, 1).log_e_value(mean)

    total = right + wrong
    mixture = scipy.stats.betabinom.logpmf(right, total, 1, 1)
    assert mixture - scipy.stats.binom.logpmf(right, total, mean) == pytest.approx(
        found, abs=1e-7
    )


@given(SHARES, BETWEEN)
def test_evidence_of_bounded_scores_is_the_mean_capital_of_all_bets(
    scores: list[float], mean: float
) -> None:
    """It is the integral over the bets λ of ∏ (1 + λ·(x − m)), as Waudby-Smith and
    Ramdas write the capital, by scipy.
    """
    least, most = -1 / (1 - mean), 1 / mean

    def capital(bet: float) -> float:
        return math.prod(1 + bet * (score - mean) for score in scores)

    integral, _ = scipy.integrate.quad(capital, least, most, epsabs=0, epsrel=1e-10)
    found = e_value(np.array(scores), mean, lowest=0, highest=1)

    assert integral / (most - least) == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize(
    ("values", "probabilities"),
    [
        ((0.0, 1.0), (0.3, 0.7)),
        ((-1.0, 0.0, 1.0), (0.25, 0.5, 0.25)),
        ((-1.0, 0.0, 1.0), (0.1, 0.6, 0.3)),
        ((0.0, 0.3, 1.0), (0.5, 0.3, 0.2)),
    ],
)
def test_evidence_is_a_martingale_under_its_hypothesis(
    values: tuple[float, ...], probabilities: tuple[float, ...]
) -> None:
    """Over all sequences its expected value is 1 at every length, and after each
    sequence the expected next value is the one it has: by enumeration, not simulation.
    """
    mean = float(np.dot(values, probabilities))
    chance_of = dict(zip(values, probabilities, strict=True))
    ends = {"lowest": values[0], "highest": values[-1]}

    for length in range(6):
        total = 0.0
        for scores in product(values, repeat=length):
            now = e_value(np.array(scores), mean, **ends)
            following = [
                chance_of[value] * e_value(np.array([*scores, value]), mean, **ends)
                for value in values
            ]
            assert now == pytest.approx(math.fsum(following), rel=1e-9)
            total += math.prod(chance_of[score] for score in scores) * now
        assert 1.0 == pytest.approx(total, rel=1e-9)


@given(SHARES, st.floats(0.001, 0.5))
def test_a_confidence_sequence_is_the_means_that_are_not_refuted(
    scores: list[float], alpha: float
) -> None:
    """Its ends are at 1/α or at the end of the range; between them the evidence is
    less, beyond more.
    """
    bounded = BoundedScores.of(np.array(scores), 0, 1)
    limit = -math.log(alpha)

    low, high = confidence_sequence(np.array(scores), lowest=0, highest=1, alpha=alpha)

    for share in (0.001, 0.3, 0.7, 0.999):
        assert bounded.log_e_value(low + share * (high - low)) < limit
    for end, beyond in ((low, low / 2), (high, (1 + high) / 2)):
        if 0 < end < 1:
            assert limit == pytest.approx(bounded.log_e_value(end), abs=1e-6)
            assert bounded.log_e_value(beyond) > limit
    if scores:
        assert low <= np.mean(scores) <= high


@given(SHARES.filter(bool), st.floats(-3, 3), st.floats(0.5, 9))
def test_units_of_scores_do_not_matter(
    scores: list[float], shift: float, scale: float
) -> None:
    """Scores on another scale have the same sequence on that scale."""
    plain = confidence_sequence(np.array(scores), lowest=0, highest=1)
    moved = np.clip(np.array(scores) * scale + shift, shift, shift + scale)

    found = confidence_sequence(moved, lowest=shift, highest=shift + scale)

    assert [end * scale + shift for end in plain] == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("scores", [(), (1.0, -1.0), (1.0, 1.0, 0.0), (0.0,) * 4])
@pytest.mark.parametrize("mean", [0.0, -0.4])
@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_what_could_be_refuted_is_what_some_continuation_refutes(
    scores: tuple[float, ...], mean: float, alpha: float
) -> None:
    """By trying all continuations of up to seven scores, half ones included."""
    observed = np.array(scores)
    ends = {"lowest": -1.0, "highest": 1.0}
    for left in (1, 4, 7):
        reached = False
        for length in range(1, left + 1):
            for more in product((-1.0, 0.0, 1.0), repeat=length):
                every = np.array([*scores, *more])
                reached |= e_value(every, mean, **ends) >= 1 / alpha

        found = could_refute(observed, mean, left=left, alpha=alpha, **ends)

        # A mean that is refuted already can be refuted.
        assert (any(found)) == reached


@pytest.mark.parametrize("scores", [[0.5, 1.5], [-0.1], [math.nan]])
def test_a_score_outside_its_range_is_refused(scores: list[float]) -> None:
    """The promise would not hold."""
    with pytest.raises(ValueError, match="is not within 0 to 1"):
        confidence_sequence(np.array(scores), lowest=0, highest=1)


@pytest.mark.slow
@pytest.mark.parametrize("discordant", [0.1, 0.4, 0.8])
def test_false_alarms_are_rarer_than_the_level_at_every_look(discordant: float) -> None:
    """Of 2,000 runs of 1,319 cases on sides with the same rates, at most 5 % are ever
    decided (Ville 1939), looking as often as a run does. McNemar's test at 5 %, looked
    at every 25 cases, is significant at some time in about 25 % and more.
    """
    chances = (discordant / 2, 1 - discordant, discordant / 2)
    values = (-1.0, 0.0, 1.0)
    looks = look_ends(1319)
    evidence = simulated_evidence(
        values, chances, 0.0, looks=looks, repetitions=RUNS, seed=1
    )
    alarms = (evidence >= math.log(20)).any(axis=1).mean()

    random = np.random.default_rng(2)
    fixed_looks = np.arange(25, 1320, 25)
    naive = 0
    for _ in range(RUNS):
        drawn = random.choice(values, 1319, p=chances)
        rises = np.cumsum(drawn > 0)[fixed_looks - 1]
        falls = np.cumsum(drawn < 0)[fixed_looks - 1]
        pairs = set(zip(rises.tolist(), falls.tolist(), strict=True))
        naive += any(mcnemar_exact(*pair) < 0.05 for pair in pairs)

    assert alarms <= 0.05
    assert naive / RUNS > 0.15


def draws(kind: str, random: np.random.Generator) -> tuple[np.ndarray, float]:
    """400 scores from 0 to 1, and their true mean."""
    if kind == "0 and 1":
        return (random.random(400) < 0.8).astype(float), 0.8
    if kind == "beta":
        return random.beta(2, 1, 400), 2 / 3
    # A metric that is mostly 0, at times a little more.
    return np.where(random.random(400) < 0.1, random.random(400), 0.0), 0.05


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["0 and 1", "beta", "mostly 0"])
def test_confidence_sequences_cover_at_every_look(kind: str) -> None:
    """In at least 95 % of 2,000 repetitions the true mean is inside at every look."""
    random = np.random.default_rng(3)
    looks = look_ends(400)
    covered = 0
    for _ in range(RUNS):
        scores, mean = draws(kind, random)
        limit = math.log(20)
        logs = [
            BoundedScores.of(scores[:look], 0, 1).log_e_value(mean) for look in looks
        ]
        covered += max(logs) < limit

    assert covered / RUNS >= 0.95


@pytest.mark.slow
def test_cases_without_replacement_are_no_worse() -> None:
    """The cases of a finite data set in random order, half of the discordant pairs
    either way, raise no more alarms than new draws would.
    """
    random = np.random.default_rng(4)
    population = differences(80, 80, 240)
    looks = look_ends(len(population))
    alarms = 0
    for _ in range(RUNS):
        ordered = random.permutation(population)
        logs = [
            BoundedScores.of(ordered[:look], -1, 1).log_e_value(0.0) for look in looks
        ]
        alarms += max(logs) >= math.log(20)

    assert alarms / RUNS <= 0.05
