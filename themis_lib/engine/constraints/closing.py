"""How a text under a constraint comes to its end: the tokens that complete it, and how
many could be needed.
"""

from __future__ import annotations

import functools
import heapq
import json
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from themis_lib.engine.constraints.constraint import Constraint
from themis_lib.engine.constraints.patterns import translated
from themis_lib.engine.constraints.reserves import reserve_of

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

_OUTSIDE, _STRING, _ESCAPE = range(3)

_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PLAIN = b"0123456789" + _LETTERS + b" "
_EVERY = _PLAIN + bytes(byte for byte in range(256) if byte not in _PLAIN)
#: What is tried first, by where the text stands: first what closes, then what is short,
#: then the rest.
_FIRST = {
    None: _EVERY,
    _OUTSIDE: b'}],"0123456789ntf[{-:.+eE' + _EVERY,
    _STRING: b'"' + _LETTERS + _EVERY,
    _ESCAPE: b"n" + _EVERY,
}

#: Every byte of UTF-8: in a vocabulary that has them, a text of n bytes takes at most n
#: tokens.
_UTF_8 = frozenset(range(0xF5)) - {0xC0, 0xC1}

#: Where a search gives up: after about a second where nothing else is known, as no text
#: may satisfy the constraint at all, and after a few milliseconds where a completion is
#: known and another token is merely preferred.
MOST_STATES, FEW_STATES = 10_000, 40


class Place(NamedTuple):
    """Where a text stands: the brackets it has open, whether it is in a JSON string,
    and all of it among choices.
    """

    depth: int = 0
    inside: int | None = None
    text: bytes = b""


class Closing:
    """The ends of the texts of one constraint in one vocabulary; shared by all of them,
    it never changes.
    """

    def __init__(
        self,
        constraint: Constraint,
        tokenizer: LLTokenizer,
    ) -> None:
        self._constraint = constraint
        self._tokenizer = tokenizer
        self._end = tokenizer.eos_tokens[0]
        self._bytes = _byte_tokens(tokenizer)
        self._reserve = reserve_of(constraint) if self._bytes.keys() >= _UTF_8 else None
        self._pattern_hints = _pattern_hints(constraint, self._bytes)
        self._choices = (
            [choice.encode() for choice in constraint.source["value"]]
            if constraint.kind == "choices"
            else []
        )

    def start(self) -> Place:
        """Where every text begins."""
        return Place(
            inside=_OUTSIDE if self._constraint.kind == "json_schema" else None
        )

    def after(
        self,
        place: Place,
        token: int,
    ) -> Place:
        """Where a text stands after one more token."""
        kind = self._constraint.kind
        if kind == "regex":
            return place
        piece: bytes = self._tokenizer.decode_bytes([token])
        if kind == "choices":
            return Place(text=place.text + piece)
        quiet = place.inside == _STRING and b'"' not in piece and b"\\" not in piece
        return place if quiet else _advance_place(place, piece)

    def enough(self, place: Place) -> float:
        """A number of tokens that completes any text that stands here, infinite where
        none is known.
        """
        return (
            math.inf
            if self._reserve is None
            else self._reserve.fixed + self._reserve.a_level * (place.depth + 1)
        )

    def shortest(
        self,
        matcher: LLMatcher,
        place: Place,
        limit: int,
        *,
        most_states: int = MOST_STATES,
    ) -> list[int] | None:
        """The tokens of a short completion, of at most `limit` of them wherever one is
        found, None without any.
        """
        if matcher.is_accepting():
            return []
        if self._constraint.kind == "choices":
            return self._shortest_choice(
                matcher,
                place,
                limit,
                most_states,
            )
        plan = self._close_straight(matcher, place, limit)
        return (
            plan
            if plan is not None
            else self._search_shortest(matcher, limit, most_states)
        )

    def completes(
        self,
        matcher: LLMatcher,
        plan: Sequence[int],
    ) -> bool:
        """Whether these tokens may come next and the text may end after them."""
        if not plan:
            return bool(matcher.is_accepting())
        return bool(matcher.validate_tokens([*plan, self._end]) == len(plan) + 1)

    def _shortest_choice(
        self,
        matcher: LLMatcher,
        place: Place,
        limit: int,
        most_states: int,
    ) -> list[int] | None:
        best: list[int] | None = None
        for text in self._choices:
            if not text.startswith(place.text):
                continue
            rest = text[len(place.text) :]
            singly = (
                [self._bytes[byte] for byte in rest]
                if self._bytes.keys() >= set(rest)
                else None
            )
            plan = self._merge_tokens(matcher, singly, rest)
            if plan is not None and (best is None or len(plan) < len(best)):
                best = plan
        return (
            best
            if best is not None
            else self._search_shortest(matcher, limit, most_states)
        )

    def _close_straight(
        self,
        matcher: LLMatcher,
        place: Place,
        limit: int,
    ) -> list[int] | None:
        """Always take the first byte that helps: short where nothing but structure is
        missing, and quick.
        """
        state, plan = matcher.deep_copy(), list[int]()
        while len(plan) <= 4 * limit + 16:
            if state.is_accepting():
                return (
                    plan
                    if len(plan) <= limit
                    else self._close_within(limit, matcher, plan)
                )
            step = (
                state.compute_ff_tokens()[: 4 * limit + 16]
                if state.compute_ff_bytes()
                else []
            )
            if not step and place.inside != _OUTSIDE:
                step = next(self._valid_hints(state), [])
            if not step:
                step = list(
                    islice(
                        self._allowed_bytes(
                            state.compute_bitmask(), _FIRST[place.inside]
                        ),
                        1,
                    )
                )
            if not step or not state.consume_tokens(step):
                return None
            plan.extend(step)
            for token in step:
                place = self.after(place, token)
        return None

    def _close_within(
        self,
        limit: int,
        matcher: LLMatcher,
        plan: list[int],
    ) -> list[int] | None:
        merged = self._merge_tokens(matcher, plan, self._tokenizer.decode_bytes(plan))
        return merged if merged is not None and len(merged) <= limit else None

    def _search_shortest(
        self,
        matcher: LLMatcher,
        limit: int,
        most_states: int,
    ) -> list[int] | None:
        """The fewest single bytes first; states of one length that allow the same are
        taken for one.
        """
        states: list[tuple[int, int, LLMatcher, int | None, _Trail | None]] = [
            (0, 0, matcher.deep_copy(), None, None)
        ]
        seen: set[tuple[int, bytes, str]] = set()
        serial, farthest = 0, 16 * limit + 256
        for _ in range(most_states):
            if not states or states[0][0] > farthest:
                return None
            length, _, state, token, trail = heapq.heappop(states)
            if token is not None:
                state = state.deep_copy()
                if not state.consume_token(token):
                    continue
                trail = _Trail([token], trail)
            if state.is_accepting():
                plan = _trail_tokens(trail)
                return self._merge_tokens(
                    matcher, plan, self._tokenizer.decode_bytes(plan)
                )
            forced = self._forced_tokens(state, farthest + 1)
            if forced:
                state.consume_tokens(forced)
                serial += 1
                heapq.heappush(
                    states,
                    (length + len(forced), serial, state, None, _Trail(forced, trail)),
                )
                continue
            mask = state.compute_bitmask()
            hints = list(self._valid_hints(state))
            if (length, mask, str(hints)) in seen:
                continue
            seen.add((length, mask, str(hints)))
            for hint in hints[:1]:
                ahead = state.deep_copy()
                ahead.consume_tokens(hint)
                serial += 1
                heapq.heappush(
                    states,
                    (length + len(hint), serial, ahead, None, _Trail(hint, trail)),
                )
            for following in self._allowed_bytes(mask, _EVERY):
                serial += 1
                heapq.heappush(states, (length + 1, serial, state, following, trail))
        return None

    def _forced_tokens(
        self,
        matcher: LLMatcher,
        most: int,
    ) -> list[int]:
        """What has to come next, in single bytes where they are tokens."""
        forced = matcher.compute_ff_bytes()[:most]
        if self._bytes.keys() >= set(forced):
            return [self._bytes[byte] for byte in forced]
        return matcher.compute_ff_tokens()[:most]

    def _valid_hints(self, matcher: LLMatcher) -> Iterator[list[int]]:
        """The ends of the patterns' examples that may come next, the shortest first."""
        for hint in self._pattern_hints:
            if matcher.validate_tokens(hint) == len(hint):
                yield hint

    def _allowed_bytes(
        self,
        mask: bytes,
        order: bytes,
    ) -> Iterator[int]:
        """The single bytes a mask allows, in this order; where none is a token, the
        shortest tokens it allows.
        """
        allowed = [
            byte for byte in order if self._mask_allows(mask, self._bytes.get(byte))
        ]
        # One letter of ASCII stands for all the others: most classes have thousands.
        bytes_tried = [byte for byte in allowed if byte < 0x80] or allowed
        if bytes_tried:
            yield from (self._bytes[byte] for byte in bytes_tried)
        else:
            bits = np.unpackbits(np.frombuffer(mask, dtype=np.uint8), bitorder="little")
            yield from sorted(map(int, np.flatnonzero(bits)), key=self._token_length)[
                :64
            ]

    @staticmethod
    def _mask_allows(
        mask: bytes,
        token: int | None,
    ) -> bool:
        return token is not None and bool(mask[token >> 3] >> (token & 7) & 1)

    def _token_length(self, token: int) -> tuple[int, int]:
        return len(self._tokenizer.decode_bytes([token])), token

    def _merge_tokens(
        self,
        matcher: LLMatcher,
        plan: list[int] | None,
        text: bytes,
    ) -> list[int] | None:
        """The same text in fewer tokens, where the tokenizer has such and the matcher
        takes them.
        """
        tokens = self._tokenizer.tokenize_bytes(text)
        fewer = (
            plan is None or len(tokens) < len(plan)
        ) and self._tokenizer.decode_bytes(tokens) == text
        return tokens if fewer and self.completes(matcher, tokens) else plan


class _Trail(NamedTuple):
    """The tokens that led to a state, the last ones first."""

    tokens: list[int]
    before: Any


def _trail_tokens(trail: _Trail | None) -> list[int]:
    parts: list[list[int]] = []
    while trail is not None:
        parts.append(trail.tokens)
        trail = trail.before
    return [token for part in reversed(parts) for token in part]


@functools.lru_cache(maxsize=8)
def _byte_tokens(tokenizer: LLTokenizer) -> dict[int, int]:
    """The first token of each single byte that has one."""
    found: dict[int, int] = {}
    for token in range(tokenizer.vocab_size):
        piece = tokenizer.decode_bytes([token])
        if len(piece) == 1 and not tokenizer.is_special_token(token):
            found.setdefault(piece[0], token)
    return found


_FORMAT_EXAMPLES = {
    "duration": "P1D",
    "email": "a@b",
    "hostname": "a",
    "ipv4": "0.0.0.0",
    "ipv6": "::",
    "uri": "a:",
    "uuid": "00000000-0000-0000-0000-000000000000",
}
_MOST_HINTS = 24


def _pattern_hints(
    constraint: Constraint,
    byte_tokens: dict[int, int],
) -> list[list[int]]:
    """The ends of texts that a pattern of the constraint matches, in bytes: what may
    complete any of its texts.
    """
    if constraint.kind == "choices":
        return []
    if constraint.kind == "regex":
        examples, quote = translated(constraint.source["value"]).examples, False
    else:
        examples, quote = (
            tuple(
                _schema_examples(
                    json.loads(constraint.grammar)["grammars"][0]["json_schema"]
                )
            ),
            True,
        )
    ends = sorted(
        {example[start:] for example in examples for start in range(len(example))},
        key=_by_length,
    )
    chosen = sorted({*ends[:_MOST_HINTS], *examples}, key=_by_length)
    texts = [
        json.dumps(end, ensure_ascii=False)[1:] if quote else end for end in chosen
    ]
    hints = [
        [byte_tokens.get(byte, -1) for byte in text.encode()] for text in texts if text
    ]
    return [hint for hint in hints if -1 not in hint]


def _by_length(text: str) -> tuple[int, str]:
    return len(text), text


def _schema_examples(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _schema_examples(item)
    elif isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield from translated(node["pattern"], search=True).examples
        if isinstance(node.get("format"), str):
            yield _FORMAT_EXAMPLES.get(node["format"], "")
        for pattern in node.get("patternProperties", ()):
            yield from translated(pattern, search=True).examples
        for value in node.values():
            yield from _schema_examples(value)


def _advance_place(
    place: Place,
    piece: bytes,
) -> Place:
    """Where a JSON text stands after these bytes.

    >>> _advance_place(Place(inside=0), b'{"a')
    Place(depth=1, inside=1, text=b'')
    """
    depth, inside = place.depth, place.inside
    for byte in piece:
        if inside == _ESCAPE:
            inside = _STRING
        elif byte == _QUOTE:
            inside = _OUTSIDE if inside == _STRING else _STRING
        elif inside == _STRING:
            inside = _ESCAPE if byte == _BACKSLASH else _STRING
        elif byte in _OPENING:
            depth += 1
        elif byte in _CLOSING:
            depth -= 1
    return Place(depth, inside)


_QUOTE, _BACKSLASH, _OPENING, _CLOSING = ord('"'), ord("\\"), b"[{", b"]}"
