"""Bradley–Terry strengths: published ones, and where there are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from themis_lib.stats.bradley_terry import (
    are_connected,
    components,
    has_maximum,
    strengths,
    win_chances,
)

#: The American League East of 1987: Milwaukee, Detroit, Toronto, New York, Boston,
#: Cleveland, Baltimore (Agresti 2002, Categorical Data Analysis, table 10.10).
BASEBALL = np.array(
    [
        [0, 7, 9, 7, 7, 9, 11],
        [6, 0, 7, 5, 11, 9, 9],
        [4, 6, 0, 7, 7, 8, 12],
        [6, 8, 6, 0, 6, 7, 10],
        [6, 2, 6, 7, 0, 7, 12],
        [4, 4, 5, 6, 6, 0, 6],
        [2, 4, 1, 3, 1, 7, 0],
    ],
    float,
)


def test_strengths_are_those_published_of_baseball() -> None:
    """Relative to Baltimore (Turner and Firth 2012, BradleyTerry2, section 2)."""
    found = strengths(BASEBALL)

    assert [1.5814, 1.4364, 1.2945, 1.2476, 1.1077, 0.6839, 0.0] == pytest.approx(
        (found - found[-1]).tolist(), abs=5e-5
    )
    assert pytest.approx(0.0) == found.sum()


def test_chances_reproduce_the_wins() -> None:
    """Where the likelihood is greatest, each has as many wins as expected."""
    games = BASEBALL + BASEBALL.T

    expected = (games * win_chances(strengths(BASEBALL))).sum(axis=1)

    assert BASEBALL.sum(axis=1) == pytest.approx(expected)


def test_many_tables_are_fitted_as_one_by_one() -> None:
    """Those without finite strengths among them."""
    random = np.random.default_rng(0)
    tables = random.integers(0, 4, size=(50, 4, 4)) * (1 - np.eye(4))
    tables = tables[are_connected(tables + np.swapaxes(tables, 1, 2))]
    assert 0 < has_maximum(tables).sum() < len(tables)

    found = strengths(tables)

    assert np.stack([strengths(table) for table in tables]) == pytest.approx(found)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[0, 3], [0, 0]], np.log(3.5 / 0.5)),
        ([[0, 2], [2, 0]], 0.0),
    ],
    ids=["one always wins", "all are ties"],
)
def test_perfect_winner_has_half_a_win_against_it(points: Any, expected: float) -> None:
    """Half a win for each side keeps the strengths finite, and only then."""
    first, second = strengths(np.array(points, float))

    assert expected == pytest.approx(first - second)


def test_players_without_a_common_scale_are_refused() -> None:
    """Two pairs that never met each other."""
    points = np.zeros((4, 4))
    points[0, 1] = points[1, 0] = points[2, 3] = points[3, 2] = 1.0

    assert [[0, 1], [2, 3]] == components(points + points.T)
    with pytest.raises(ValueError, match="no common scale"):
        strengths(points)


def test_strengths_are_those_of_evalica() -> None:
    """Ties as half a win, where the library is installed."""
    evalica = pytest.importorskip("evalica")
    names = list("ABCD")
    random = np.random.default_rng(2)
    left, right, winners = [], [], []
    points = np.zeros((4, 4))
    for _ in range(400):
        one, other = random.choice(4, 2, replace=False).tolist()
        left.append(names[one])
        right.append(names[other])
        outcome = int(random.integers(0, 3))
        winners.append(
            [evalica.Winner.X, evalica.Winner.Y, evalica.Winner.Draw][outcome]
        )
        points[one, other] += (1.0, 0.0, 0.5)[outcome]
        points[other, one] += (0.0, 1.0, 0.5)[outcome]

    published = evalica.bradley_terry(
        left, right, winners, tolerance=1e-12, limit=10_000
    )

    logs = np.log([published.scores[name] for name in names])
    assert (logs - logs.mean()).tolist() == pytest.approx(
        strengths(points).tolist(), abs=1e-5
    )
