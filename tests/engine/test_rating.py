"""A rating is settled once, when each token of each continuation has a log-probability.

The numbers themselves are compared bit for bit in `test_engine.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from themis_lib.engine.rating import Rated, Rating
from themis_lib.engine.sampling import log_probabilities

#: The logits after the prompt, and those after each further token.
ROWS = np.random.default_rng(0).standard_normal((5, 12)).astype(np.float32)


def logprob(step: int, token: int) -> float:
    return float(log_probabilities(ROWS[step], np.array([token]))[0])


def rated(steps: list[int], tokens: list[int]) -> Rated:
    """What a continuation of these tokens has, each at its step."""
    pairs = list(zip(steps, tokens, strict=True))
    return Rated(
        logprobs=tuple(logprob(step, token) for step, token in pairs),
        is_greedy=all(ROWS[step].argmax() == token for step, token in pairs),
    )


def test_continuations_of_one_token_are_rated_from_the_row_after_the_prompt() -> None:
    rating = Rating([1, 2, 3], [[4], [], [0]])

    assert [] == rating.begin(ROWS[0])
    assert [
        rated([0], [4]),
        rated([], []),
        rated([0], [0]),
    ] == rating.future.result(timeout=0)


def test_continuation_is_greedy_if_each_token_was_the_likeliest() -> None:
    """One of no tokens is; one that leaves the likeliest text anywhere is not."""
    best = int(ROWS[0].argmax())
    other = (best + 1) % 12
    rating = Rating([1, 2, 3], [[best], [other], []])
    rating.begin(ROWS[0])

    assert [True, False, True] == [
        one.is_greedy for one in rating.future.result(timeout=0)
    ]


def test_no_continuations_are_rated_at_once() -> None:
    rating = Rating([1, 2, 3], [])

    assert [] == rating.begin(ROWS[0])
    assert [] == rating.future.result(timeout=0)


def test_longer_continuations_are_advanced_a_token_at_a_time() -> None:
    """The rating is settled by the last of them, in the order that was asked for."""
    rating = Rating([1, 2, 3], [[4, 5, 6], [7], [8, 9]])
    first, second = rating.begin(ROWS[0])
    seen: list[Any] = [(first.position, first.newest)]
    seen.append(first.advance(ROWS[1], 0))
    seen.append((first.position, first.newest))
    seen.append(second.advance(ROWS[1], 0))
    seen.append(rating.future.done())
    seen.append(first.advance(ROWS[2], 0))

    assert [(3, 4), False, (4, 5), True, False, True] == seen
    assert [
        rated([0, 1, 2], [4, 5, 6]),
        rated([0], [7]),
        rated([0, 1], [8, 9]),
    ] == rating.future.result(timeout=0)


def test_continuations_share_the_future_of_their_rating() -> None:
    """To cancel it gives all of them up."""
    rating = Rating([1, 2, 3], [[4, 5], [6, 7]])
    first, second = rating.begin(ROWS[0])
    rating.future.cancel()

    assert first.future is second.future
    assert second.future.cancelled()


def test_a_continuation_that_fails_fails_its_rating_once() -> None:
    """A batch that fails, fails all its continuations: the first error counts."""
    rating = Rating([1, 2, 3], [[4, 5], [6, 7]])
    first, second = rating.begin(ROWS[0])
    first.fail(KeyError("first"))
    second.fail(KeyError("second"))

    with pytest.raises(KeyError, match="first"):
        rating.future.result(timeout=0)
