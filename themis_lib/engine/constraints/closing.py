"""Completions of a text under a constraint, and how many tokens they may need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from themis_lib.engine.constraints.constraint import Constraint
from themis_lib.engine.constraints.places import (
    ESCAPE,
    OUTSIDE,
    STRING,
    Place,
    advance_json,
)
from themis_lib.engine.constraints.reserves import reserve_of
from themis_lib.engine.constraints.search import EVERY_BYTE, Steps, search_completion

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

# What is tried first, by the place in a JSON text: what closes, then what is short,
# then the rest. Repetitions of a byte are harmless.
_FIRST = {
    None: EVERY_BYTE,
    OUTSIDE: b'}],"0123456789ntf[{-:.+eE' + EVERY_BYTE,
    STRING: b'"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ' + EVERY_BYTE,
    ESCAPE: b"n" + EVERY_BYTE,
}

# Every byte of UTF-8: in a vocabulary that has them, a text of n bytes takes at most n
# tokens.
_UTF_8 = frozenset(range(0xF5)) - {0xC0, 0xC1}

#: Where a search gives up: after about a second where nothing else is known, as no text
#: may satisfy the constraint at all, and after a few milliseconds where a completion is
#: known and another token is merely preferred.
MOST_STATES, FEW_STATES = 10_000, 40
# How long a straight attempt may get: merged into longer tokens, it may still fit.
_STRAIGHT_FACTOR, _STRAIGHT_ALLOWANCE = 4, 16


class Closing:
    """The completions of all texts of one constraint in one vocabulary.

    It never changes, so that all texts share it.
    """

    def __init__(
        self,
        constraint: Constraint,
        tokenizer: LLTokenizer,
    ) -> None:
        self._constraint = constraint
        self._tokenizer = tokenizer
        self._end = tokenizer.eos_tokens[0]
        self._steps = Steps(constraint, tokenizer)
        # A reserve counts bytes, which bound the tokens only if each byte is one.
        self._reserve = None
        if self._steps.byte_tokens.keys() >= _UTF_8:
            self._reserve = reserve_of(constraint)
        self._choices: list[bytes] = []
        if constraint.kind == "choices":
            self._choices = [choice.encode() for choice in constraint.source["value"]]

    def start(self) -> Place:
        """Return the place at which every text begins."""
        if self._constraint.kind == "json_schema":
            return Place(inside=OUTSIDE)
        return Place()

    def after(
        self,
        place: Place,
        token: int,
    ) -> Place:
        """Return the place after one more token."""
        kind = self._constraint.kind
        # A regular expression needs no place: its reserve is the same everywhere.
        if kind == "regex":
            return place
        piece: bytes = self._tokenizer.decode_bytes([token])
        if kind == "choices":
            return Place(text=place.text + piece)
        return advance_json(place, piece)

    def enough(self, place: Place) -> float:
        """Return a number of tokens that completes any text at this place.

        It is infinite where none is known.
        """
        if self._reserve is None:
            return math.inf
        return self._reserve.fixed + self._reserve.a_level * (place.depth + 1)

    def shortest(
        self,
        matcher: LLMatcher,
        place: Place,
        limit: int,
        *,
        most_states: int = MOST_STATES,
    ) -> list[int] | None:
        """Return the tokens of a short completion, or `None` if none was found.

        It has at most `limit` tokens if one of that size was found. `matcher` is not
        changed.
        """
        if matcher.is_accepting():
            return []
        if self._constraint.kind == "choices":
            plan = self._shortest_choice(matcher, place)
        else:
            plan = self._go_straight(matcher, place, limit)
        if plan is not None:
            return plan
        plan = search_completion(
            self._steps,
            matcher,
            limit,
            most_states,
        )
        if plan is None:
            return None
        return self._merge_tokens(matcher, plan)

    def completes(
        self,
        matcher: LLMatcher,
        plan: Sequence[int],
    ) -> bool:
        """Return whether these tokens may come next and the text may end after them."""
        if not plan:
            return bool(matcher.is_accepting())
        ended = [*plan, self._end]
        return bool(matcher.validate_tokens(ended) == len(ended))

    def _shortest_choice(
        self,
        matcher: LLMatcher,
        place: Place,
    ) -> list[int] | None:
        best: list[int] | None = None
        for choice in self._choices:
            if not choice.startswith(place.text):
                continue
            rest = choice[len(place.text) :]
            plan = self._fewest_tokens(
                matcher,
                rest,
                self._steps.spell(rest),
            )
            # The first of the choices wins a tie.
            if plan is not None and (best is None or len(plan) < len(best)):
                best = plan
        return best

    def _go_straight(
        self,
        matcher: LLMatcher,
        place: Place,
        limit: int,
    ) -> list[int] | None:
        """Return a completion that takes the first helpful step each time.

        It is short and quick where only structure is missing; `None` if it does not
        fit into `limit` tokens.
        """
        state = matcher.deep_copy()
        plan: list[int] = []
        longest = _STRAIGHT_FACTOR * limit + _STRAIGHT_ALLOWANCE
        while len(plan) <= longest:
            if state.is_accepting():
                if len(plan) > limit:
                    plan = self._merge_tokens(matcher, plan)
                return plan if len(plan) <= limit else None
            step = self._next_step(state, place, longest)
            if not step or not state.consume_tokens(step):
                return None
            plan.extend(step)
            for token in step:
                place = self.after(place, token)
        return None

    def _next_step(
        self,
        state: LLMatcher,
        place: Place,
        most: int,
    ) -> list[int]:
        """Return what is forced, otherwise a hint, otherwise the first byte allowed."""
        if state.compute_ff_bytes():
            forced: list[int] = state.compute_ff_tokens()[:most]
            if forced:
                return forced
        # A hint ends a string or a text of a regular expression.
        if place.inside != OUTSIDE:
            hint = next(self._steps.valid_hints(state), [])
            if hint:
                return hint
        allowed = self._steps.allowed(state.compute_bitmask(), _FIRST[place.inside])
        return list(islice(allowed, 1))

    def _merge_tokens(
        self,
        matcher: LLMatcher,
        plan: list[int],
    ) -> list[int]:
        """Return the text of a plan in fewer tokens, or the plan if none has fewer."""
        text = self._tokenizer.decode_bytes(plan)
        merged = self._fewest_tokens(matcher, text, plan)
        return plan if merged is None else merged

    def _fewest_tokens(
        self,
        matcher: LLMatcher,
        text: bytes,
        plan: list[int] | None,
    ) -> list[int] | None:
        """Return a text in the tokenizer's tokens if they are fewer, or the plan."""
        tokens: list[int] = self._tokenizer.tokenize_bytes(text)
        if plan is not None and len(tokens) >= len(plan):
            return plan
        # A tokenizer may change a text, and a matcher may not take every spelling.
        if self._tokenizer.decode_bytes(tokens) != text:
            return plan
        if not self.completes(matcher, tokens):
            return plan
        return tokens
