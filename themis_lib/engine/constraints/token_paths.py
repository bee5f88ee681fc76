"""Tokens of one vocabulary that complete a text of an expression within a limit.

A best-first search over residuals: a step is a token, and what misses the fewest bytes
goes first.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from themis_lib.engine.constraints.derivatives import (
    Derivatives,
    Residual,
    Residuals,
    residual_size,
)

if TYPE_CHECKING:
    from llguidance import LLTokenizer

# Tokens tried before the search gives up, after about a second: a wildcard takes each
# token of the vocabulary.
_MOST_TRIED = 200_000


class Vocabulary(NamedTuple):
    """The tokens that write text, in the order of their bytes.

    `shared` says how many bytes each has in common with the one before it.
    """

    pieces: list[bytes]
    tokens: list[int]
    shared: list[int]
    longest: int


# Cached for the process: a pass over a vocabulary costs much more than a text, and few
# models are loaded at a time. No caller changes the result.
@functools.lru_cache(maxsize=8)
def sort_vocabulary(tokenizer: LLTokenizer) -> Vocabulary:
    """Return the tokens of a vocabulary by their bytes, the first of each text."""
    first: dict[bytes, int] = {}
    ends = frozenset(tokenizer.eos_tokens)
    for token in range(tokenizer.vocab_size):
        if token not in ends and not tokenizer.is_special_token(token):
            first.setdefault(tokenizer.decode_bytes([token]), token)
    first.pop(b"", None)
    pieces = sorted(first)
    shared = [0]
    for before, piece in itertools.pairwise(pieces):
        size = 0
        while piece[: size + 1] == before[: size + 1]:
            size += 1
        shared.append(size)
    return Vocabulary(
        pieces=pieces,
        tokens=[first[piece] for piece in pieces],
        shared=shared,
        longest=max(map(len, pieces), default=1),
    )


class _Step(NamedTuple):
    """A token, and the step before it that it follows."""

    token: int
    before: _Step | None


def tokens_within(
    limit: int,
    derivatives: Derivatives,
    residuals: Residuals,
    vocabulary: Vocabulary,
) -> list[int] | None:
    """Return at most `limit` tokens that complete a text with these residuals.

    `None` if there are none, or if none were found among the tokens tried.
    """
    tried = 0
    # It breaks ties by arrival, and residuals are never compared.
    serials = itertools.count()
    frontier: list[tuple[int, int, int, Residual | None, _Step | None]] = []
    known: dict[Residual | None, int] = {}

    def push(
        residual: Residual | None,
        count: int,
        step: _Step | None,
    ) -> None:
        missing = residual_size(residual)
        # What is missing takes at least as many tokens of the longest size.
        if count - (-missing // vocabulary.longest) > limit:
            return
        if known.get(residual, limit + 1) > count:
            known[residual] = count
            entry = (missing, count, next(serials), residual, step)
            heapq.heappush(frontier, entry)

    for residual in residuals:
        push(residual, 0, None)
    while frontier and tried < _MOST_TRIED:
        _, count, _, residual, step = heapq.heappop(frontier)
        if residual is None:
            return _tokens_of(step)
        if known[residual] < count:
            continue
        for index, following in _steps_from(derivatives, residual, vocabulary):
            tried += 1
            for one in following:
                push(one, count + 1, _Step(vocabulary.tokens[index], step))
    return None


def _steps_from(
    derivatives: Derivatives,
    residual: Residual,
    vocabulary: Vocabulary,
) -> Iterator[tuple[int, Residuals]]:
    """Yield the places of the tokens that may come next, and what they leave."""
    pieces = vocabulary.pieces
    # The residuals after each byte of the token before: neighbours share their beginning.
    trail: list[Residuals] = [(residual,)]
    index = 0
    while index < len(pieces):
        piece = pieces[index]
        del trail[vocabulary.shared[index] + 1 :]
        for place in range(len(trail) - 1, len(piece)):
            left = derivatives.after(trail[-1], piece[place : place + 1])
            if not left:
                index = _first_after(pieces, piece[: place + 1], index)
                break
            trail.append(left)
        else:
            yield index, trail[-1]
            index += 1


def _first_after(
    pieces: list[bytes],
    prefix: bytes,
    start: int,
) -> int:
    """Return the place of the first piece behind all that begin with a prefix."""
    # A byte more than 255 at its end would come next; bytes end there, so one is taken
    # from before them.
    kept = prefix.rstrip(b"\xff")
    if not kept:
        return len(pieces)
    behind = kept[:-1] + bytes([kept[-1] + 1])
    return bisect_left(pieces, behind, start)


def _tokens_of(step: _Step | None) -> list[int]:
    tokens: list[int] = []
    while step is not None:
        tokens.append(step.token)
        step = step.before
    tokens.reverse()
    return tokens
