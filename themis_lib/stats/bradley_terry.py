"""Bradley–Terry strengths: who beats whom how often, from pairwise comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from themis_lib.stats.clusters import Floats

#: Newton's method doubles its digits at each step: it ends after some ten of them.
_MOST_STEPS = 100
_TOLERANCE = 1e-10
#: Longer steps than this leave the region where the curvature says anything.
_LONGEST_STEP = 2.0
#: Wins that each side of a compared pair is given where no finite strengths fit best.
ADDED_WINS = 0.5


def strengths(points: Floats) -> Floats:
    """Return the log-strengths of players, of mean 0, with the greatest likelihood.

    `points[…, i, j]` counts the wins of i over j, a tie as half a win for both (the
    axes before the last two are as many data sets). The chance that i beats j is
    `win_chances` of the strengths (Bradley and Terry 1952; Zermelo 1929). Where a group
    of players never lost to the others, no finite strengths have the greatest
    likelihood (Ford 1957): then each side of a compared pair is given half a win more.
    Raise `ValueError` where players are not connected by comparisons: see `components`.

    >>> strengths(np.array([[0.0, 3.0], [1.0, 0.0]])).round(4)
    array([ 0.5493, -0.5493])
    """
    points = np.asarray(points, np.float64)
    games = points + np.swapaxes(points, -1, -2)
    if not are_connected(games).all():
        raise ValueError("players that no comparison connects have no common scale")
    lacks_maximum = ~has_maximum(points)
    added = ADDED_WINS * (games > 0)
    points = points + added * lacks_maximum[..., None, None]
    return _greatest_likelihood(points)


def win_chances(log_strengths: Floats) -> Floats:
    """Return the chance that each player (row) beats each other one (column).

    >>> win_chances(np.array([0.5493, -0.5493])).round(2)
    array([[0.5 , 0.75],
           [0.25, 0.5 ]])
    """
    from scipy.special import expit

    differences = log_strengths[..., :, None] - log_strengths[..., None, :]
    chances: Floats = expit(differences)
    return chances


def components(games: Floats) -> list[list[int]]:
    """Return the groups of players that comparisons connect, each by number."""
    from scipy.sparse.csgraph import connected_components

    count, group_of = connected_components(games > 0, directed=False)
    return [np.flatnonzero(group_of == group).tolist() for group in range(count)]


def has_maximum(points: Floats) -> npt.NDArray[np.bool_]:
    """Return whether finite strengths have the greatest likelihood (Ford 1957).

    They do if each player can be reached from each other one by points won.
    """
    return _reach_all(points > 0)


def are_connected(games: Floats) -> npt.NDArray[np.bool_]:
    """Return whether comparisons connect all players, by how often each two met."""
    return _reach_all(games > 0)


def _reach_all(ways: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    players = ways.shape[-1]
    reach = ways | np.eye(players, dtype=bool)
    # Twice as long ways at each step.
    for _ in range(max(players - 1, 1).bit_length()):
        reach = np.matmul(reach, reach)
    return np.asarray(reach.all(axis=(-1, -2)))


def _greatest_likelihood(points: Floats) -> Floats:
    games = points + np.swapaxes(points, -1, -2)
    won = points.sum(axis=-1)
    found = np.zeros(won.shape)
    for _ in range(_MOST_STEPS):
        chances = win_chances(found)
        gradient = won - (games * chances).sum(axis=-1)
        information = games * chances * (1 - chances)
        curvature = _with_diagonal(-information, information.sum(axis=-1))
        # The likelihood does not change where all strengths rise: any scale does.
        step = np.linalg.solve(curvature + 1.0, gradient[..., None])[..., 0]
        longest = np.abs(step).max(axis=-1, keepdims=True, initial=0.0)
        step = step / np.maximum(longest / _LONGEST_STEP, 1.0)
        found = found + step
        if not longest.size or longest.max() < _TOLERANCE:
            break
    centred: Floats = found - found.mean(axis=-1, keepdims=True)
    return centred


def _with_diagonal(
    matrix: Floats,
    diagonal: Any,
) -> Floats:
    players = np.arange(matrix.shape[-1])
    matrix = matrix.copy()
    matrix[..., players, players] += diagonal
    return matrix
