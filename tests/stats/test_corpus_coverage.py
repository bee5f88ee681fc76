"""How often the intervals of scores of a data set hold the truth, simulated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.scored_corpora import labelled, statistics, summed
from themis_lib.builtins.classification import CorpusF1, Matthews
from themis_lib.components.build import build
from themis_lib.identity.digests import canonical_json
from themis_lib.runs.corpus_cases import CorpusCases, corpus_rows
from themis_lib.runs.corpus_scores import values_of
from themis_lib.stats.bradley_terry import strengths
from themis_lib.stats.resampling import Resampled, resampled, shifted_p_value

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_RUNS = 500
_RESAMPLES = 400


def values(metric: Any, named: Any, wanted: Any) -> Any:
    """The score of a data set as a function of how often each case counts."""
    lines = [
        f"[[true,{canonical_json(row)}]]" for row in statistics(metric, named, wanted)
    ]
    built = build("metric", metric, where="test")
    return values_of(corpus_rows(CorpusCases(tuple(lines), None), "zero"), built)


def interval(metric: Any, named: Any, wanted: Any) -> Resampled:
    """The score with its interval."""
    of_counts = values(metric, named, wanted)
    return resampled(of_counts, len(named), resamples=_RESAMPLES)


@pytest.mark.parametrize(
    ("metric", "shares", "right"),
    [
        (CorpusF1(), (0.5, 0.3, 0.2), 0.75),
        (CorpusF1(average="micro"), (0.5, 0.5), 0.6),
        (Matthews(), (0.4, 0.3, 0.2, 0.1), 0.7),
    ],
    ids=["macro F1", "micro F1", "matthews"],
)
def test_bootstrap_covers_scores_of_a_classification(
    metric: Any, shares: Any, right: float
) -> None:
    """93 to 97 times of 100, with 300 cases."""
    random = np.random.default_rng(0)
    many = labelled(random, 400_000, shares=shares, right=right)
    truth = metric.corpus_score([summed(statistics(metric, *many))])

    held = 0
    for _ in range(_RUNS):
        drawn = labelled(random, 300, shares=shares, right=right)
        found = interval(metric, *drawn)
        held += found.low <= truth <= found.high

    assert 0.93 <= held / _RUNS <= 0.97


def test_paired_bootstrap_keeps_its_level() -> None:
    """Of two equal models one seems better in 3 to 7 of 100 comparisons."""
    random = np.random.default_rng(1)
    metric = CorpusF1()
    false = 0
    for _ in range(_RUNS):
        named, wanted = labelled(random, 200)
        other = [
            it if random.random() < 0.6 else labelled(random, 1)[0][0] for it in wanted
        ]
        # Which of the two is the baseline is a coin: on the mean they are equal.
        swap = random.random(200) < 0.5
        before = np.where(swap, named, other).tolist()
        after = np.where(swap, other, named).tolist()
        old, new = values(metric, before, wanted), values(metric, after, wanted)

        def difference(counts: Any, old: Any = old, new: Any = new) -> Any:
            return new(counts) - old(counts)

        found = resampled(difference, 200, resamples=_RESAMPLES)
        false += shifted_p_value(found.drawn, found.estimate) < 0.05

    assert 0.03 <= false / _RUNS <= 0.07


def test_intervals_of_strengths_cover() -> None:
    """Of three models on 200 cases, each right by its own chance."""
    random = np.random.default_rng(2)
    rates = np.array([0.7, 0.6, 0.45])

    def table(right: Any, counts: Any) -> Any:
        points = np.zeros((len(counts), 3, 3))
        for one in range(3):
            for other in range(3):
                won = right[:, one] > right[:, other]
                tied = right[:, one] == right[:, other]
                points[:, one, other] = counts @ (won + 0.5 * tied)
        points[:, range(3), range(3)] = 0
        return points

    chance = rates[:, None] * (1 - rates) + 0.5 * (
        rates[:, None] * rates + (1 - rates[:, None]) * (1 - rates)
    )
    np.fill_diagonal(chance, 0)
    truth = strengths(chance)
    held = np.zeros(3)
    for _ in range(_RUNS):
        right = random.random((200, 3)) < rates
        counts = random.multinomial(200, np.full(200, 1 / 200), size=_RESAMPLES)
        low, high = np.quantile(strengths(table(right, counts)), (0.025, 0.975), axis=0)
        held += (low <= truth) & (truth <= high)

    assert (0.93 * _RUNS <= held).all()
    assert (held <= 0.97 * _RUNS).all()
