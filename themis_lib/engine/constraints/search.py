"""Search for a completion of a text: which steps are possible, and a short way out."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from themis_lib.engine.constraints.constraint import Constraint
from themis_lib.engine.constraints.hints import byte_tokens, completion_hints

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PLAIN = b"0123456789" + _LETTERS + b" "
_UNUSUAL = bytes(byte for byte in range(256) if byte not in _PLAIN)
#: Every byte, in the order in which they are tried where nothing else is known.
EVERY_BYTE = _PLAIN + _UNUSUAL
# Tokens to try where no single byte is one: a mask may allow the whole vocabulary.
_MOST_TOKENS = 64
# A text of more bytes than this hardly fits the limit, even in longer tokens.
_LENGTH_FACTOR, _LENGTH_ALLOWANCE = 16, 256


class Steps:
    """What may follow a text in one vocabulary, in single bytes where they are tokens.

    It never changes, so that all texts of a constraint share it.
    """

    def __init__(
        self,
        constraint: Constraint,
        tokenizer: LLTokenizer,
    ) -> None:
        self.tokenizer = tokenizer
        self.byte_tokens = byte_tokens(tokenizer)
        self._hints = completion_hints(constraint, self.byte_tokens)

    def spell(self, text: bytes) -> list[int] | None:
        """Return the bytes of a text as one token each, or `None` if one has none."""
        if self.byte_tokens.keys() >= set(text):
            return [self.byte_tokens[byte] for byte in text]
        return None

    def forced(
        self,
        matcher: LLMatcher,
        most: int,
    ) -> list[int]:
        """Return the tokens that have to come next, at most `most` of them."""
        spelled = self.spell(matcher.compute_ff_bytes()[:most])
        if spelled is not None:
            return spelled
        # Cut where the text would be too long anyway.
        forced: list[int] = matcher.compute_ff_tokens()[:most]
        return forced

    def valid_hints(self, matcher: LLMatcher) -> Iterator[list[int]]:
        """Yield the hints that may come next, the shortest first."""
        for hint in self._hints:
            if matcher.validate_tokens(hint) == len(hint):
                yield hint

    def allowed(
        self,
        mask: bytes,
        order: bytes,
    ) -> Iterator[int]:
        """Yield the tokens of the single bytes that a mask allows, in this order.

        Where no single byte is a token, yield the shortest tokens that it allows.
        `mask` has a bit for each token, the lowest first.
        """
        allowed: list[int] = []
        for byte in order:
            token = self.byte_tokens.get(byte)
            if token is not None and mask[token >> 3] >> (token & 7) & 1:
                allowed.append(byte)
        # One letter of ASCII stands for all the others: most classes have thousands.
        ascii_only = [byte for byte in allowed if byte < 0x80]
        if allowed:
            for byte in ascii_only or allowed:
                yield self.byte_tokens[byte]
            return
        bits = np.unpackbits(np.frombuffer(mask, dtype=np.uint8), bitorder="little")
        by_size: list[tuple[int, int]] = []
        for token in map(int, np.flatnonzero(bits)):
            by_size.append((len(self.tokenizer.decode_bytes([token])), token))
        for _, token in sorted(by_size)[:_MOST_TOKENS]:
            yield token


def search_completion(
    steps: Steps,
    matcher: LLMatcher,
    limit: int,
    most_states: int,
) -> list[int] | None:
    """Return the completion of the fewest single bytes, or `None` if none was found.

    It is looked for among texts not much longer than `limit` tokens, and in at most
    `most_states` states. `matcher` is not changed.
    """
    farthest = _LENGTH_FACTOR * limit + _LENGTH_ALLOWANCE
    frontier = _Frontier(matcher.deep_copy())
    seen: set[tuple[int, bytes, str]] = set()
    for _ in range(most_states):
        if not frontier.has_text_within(farthest):
            return None
        length, state, trail = frontier.pop()
        if state is None:
            continue
        if state.is_accepting():
            return [] if trail is None else trail.all_tokens()
        forced = steps.forced(state, farthest + 1)
        if forced:
            state.consume_tokens(forced)
            frontier.push(
                length + len(forced),
                state,
                _Trail(forced, trail),
            )
            continue
        mask = state.compute_bitmask()
        # All copies of a matcher share its lexer: no other state would get further.
        if state.is_error():
            return None
        hints = list(steps.valid_hints(state))
        # States of one length that allow the same are taken for one, as a matcher
        # cannot be compared. Otherwise the search would grow with every letter.
        key = (length, mask, str(hints))
        if key in seen:
            continue
        seen.add(key)
        if hints:
            ahead = state.deep_copy()
            ahead.consume_tokens(hints[0])
            frontier.push(
                length + len(hints[0]),
                ahead,
                _Trail(hints[0], trail),
            )
        for token in steps.allowed(mask, EVERY_BYTE):
            frontier.push(
                length + 1,
                state,
                trail,
                token,
            )
    return None


class _Trail(NamedTuple):
    """The tokens that led to a state, the last ones first."""

    # Linked, not copied: the states of a search share most of their tokens.
    tokens: list[int]
    before: _Trail | None

    def all_tokens(self) -> list[int]:
        """Return the tokens of the whole trail, the first ones first."""
        parts: list[list[int]] = []
        trail: _Trail | None = self
        while trail is not None:
            parts.append(trail.tokens)
            trail = trail.before
        tokens: list[int] = []
        for part in reversed(parts):
            tokens.extend(part)
        return tokens


class _Frontier:
    """States of a search that are still to be visited, those of short texts first."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._states: list[tuple[int, int, LLMatcher, _Trail | None, int | None]] = []
        self._serial = 0
        self.push(0, matcher, None)

    def push(
        self,
        length: int,
        state: LLMatcher,
        trail: _Trail | None,
        token: int | None = None,
    ) -> None:
        """Add a state; a `token` is consumed only when the state is visited."""
        # The serial number breaks ties by arrival, and matchers are never compared.
        heapq.heappush(
            self._states,
            (
                length,
                self._serial,
                state,
                trail,
                token,
            ),
        )
        self._serial += 1

    def has_text_within(self, farthest: int) -> bool:
        """Return whether a state is left whose text is at most so long."""
        return bool(self._states) and self._states[0][0] <= farthest

    def pop(self) -> tuple[int, LLMatcher | None, _Trail | None]:
        """Remove the state of the shortest text; no matcher means impossible."""
        length, _, state, trail, token = heapq.heappop(self._states)
        if token is None:
            return length, state, trail
        # Copied only here: most states that are added are never visited.
        state = state.deep_copy()
        if not state.consume_token(token):
            return length, None, trail
        return length, state, _Trail([token], trail)
