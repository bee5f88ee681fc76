"""Two answers to one prompt, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from themis_lib.certification.readings import Reading, Token


@dataclass(frozen=True)
class Pair:
    """What two answers to one prompt have in common.

    `first` is the place of the first token that differs, `None` if none does, and
    `tokens_differ` of `tokens` places have different ones. `shifts` are the differences
    of the log-probabilities up to there, `gap` is how much likelier the expected token
    was than the other.
    """

    same_text: bool
    first: int | None
    tokens: int
    tokens_differ: int
    is_rated: bool
    shifts: Sequence[float]
    gap: float | None

    @property
    def same_logprobs(self) -> bool:
        """Whether the log-probabilities are equal to the bit up to where texts part."""
        return not any(self.shifts)


def compared(
    expected: Reading,
    got: Reading,
) -> Pair:
    """Return how an answer differs from the expected one."""
    is_rated = expected.is_rated and got.is_rated
    same_text = expected.text == got.text
    first = None if same_text else _first_difference(expected, got)
    pairs = list(zip_longest(expected.tokens, got.tokens))
    differing = 0
    for at, (one, other) in enumerate(pairs):
        # Texts may be equal where their tokens are not.
        if first is not None and at >= first:
            differing += _text(one) != _text(other)
    shifts = []
    if is_rated:
        # Behind the first token that differs, the tokens have another context.
        until = len(pairs) if first is None else first
        for one, other in zip(
            expected.tokens[:until], got.tokens[:until], strict=False
        ):
            if one.logprob is not None and other.logprob is not None:
                shifts.append(abs(one.logprob - other.logprob))
        shifts += _shifts_at(expected.tokens, got.tokens, first)
    return Pair(
        same_text=same_text,
        first=first,
        tokens=len(pairs),
        tokens_differ=differing,
        is_rated=is_rated,
        shifts=shifts,
        gap=None if first is None else _gap(expected.tokens, got.tokens, first),
    )


def _first_difference(
    expected: Reading,
    got: Reading,
) -> int:
    for at, (one, other) in enumerate(zip_longest(expected.tokens, got.tokens)):
        if _text(one) != _text(other):
            return at
    # The texts differ in what no token shows, such as how an answer ended.
    return max(len(expected.tokens), len(got.tokens))


def _shifts_at(
    expected: Sequence[Token],
    got: Sequence[Token],
    first: int | None,
) -> list[float]:
    """Return the differences where the texts part: the context is still the same."""
    if first is None or first >= min(len(expected), len(got)):
        return []
    one, other = expected[first].likely or {}, got[first].likely or {}
    return [abs(one[text] - other[text]) for text in one if text in other]


def _gap(
    expected: Sequence[Token],
    got: Sequence[Token],
    first: int,
) -> float | None:
    """Return how much likelier the expected token was, in the expected answer."""
    if first >= min(len(expected), len(got)):
        return None
    chosen, other = expected[first], got[first]
    rival = (chosen.likely or {}).get(other.text)
    if chosen.logprob is None or rival is None:
        return None
    return chosen.logprob - rival


def _text(token: Token | None) -> str | None:
    return None if token is None else token.text
