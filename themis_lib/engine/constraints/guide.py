"""One text that is written under a constraint, and that always comes to its end in
time.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from themis_lib.engine.constraints.closing import (
    FEW_STATES,
    MOST_STATES,
    Closing,
    Place,
)
from themis_lib.engine.constraints.constraint import Constraint
from themis_lib.engine.constraints.refusals import shortened
from themis_lib.errors import ConfigError, InputError, RowError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer


class Guide:
    """One text under a constraint: whatever is admitted, what remains of the budget
    suffices to complete it.

    Ends of sequence are no text and cost nothing, so that a text of `max_tokens` tokens
    satisfies the constraint. Raises `ConfigError` where no text of that size does. The
    same tokens in give the same tokens out.
    """

    def __init__(
        self,
        constraint: Constraint,
        tokenizer: LLTokenizer,
        *,
        max_tokens: int,
    ) -> None:
        beginning = _begin_constraint(constraint, tokenizer)
        self._closing = beginning.closing
        self._matcher = beginning.matcher.deep_copy()
        self._place: Place = self._closing.start()
        self._plan_completion: list[int] | None = list(
            _plan_completion(constraint, tokenizer, max_tokens)
        )
        self._left = max_tokens
        self._vocabulary_size = tokenizer.vocab_size
        self._ends = beginning.ends
        self._ended = False

    @property
    def finished(self) -> bool:
        """Whether nothing can be added any more: an end was admitted, or the text is
        complete and cannot go on.
        """
        return self._ended or bool(self._matcher.is_stopped())

    def allows(self, token: int) -> bool:
        """Whether this token may come next, without computing the mask; `admit` may
        still prefer another.
        """
        if token in self._ends:
            return self._ended or bool(self._matcher.is_accepting())
        return not self.finished and bool(self._matcher.validate_tokens([token]))

    def mask(self) -> npt.NDArray[np.bool_]:
        """What may come next, a boolean for each token of the vocabulary; ends of
        sequence where the text may end.
        """
        if self.finished:
            allowed = np.zeros(self._vocabulary_size, dtype=np.bool_)
        else:
            bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
            allowed = np.unpackbits(
                bits,
                count=self._vocabulary_size,
                bitorder="little",
            ).view(np.bool_)
            _check_matcher(self._matcher)
        allowed[list(self._ends)] = self._ended or self._matcher.is_accepting()
        return allowed

    def admit(self, token: int) -> int:
        """Take this token, or the next one of a completion where the text would not
        fit; returns the one taken.

        With nothing left of the budget the one taken is an end. Raises `InputError` for
        a token that may not come.
        """
        if token in self._ends and self.allows(token):
            self._ended = True
            return token
        if self.finished or not self._matcher.validate_tokens([token]):
            _check_matcher(self._matcher)
            raise InputError(
                f"token {token} may not come next; choose one that the mask allows"
            )
        left = self._left - 1
        place = self._closing.after(self._place, token)
        if left >= self._closing.enough(place) + _MARGIN:
            self._take_token(token, place, None)
            return token
        plan = self._plan_after(token, place, left) if left >= 0 else None
        if plan is None and (
            self._plan_completion is not None or left < self._closing.enough(place)
        ):
            return self._next_of_plan()
        self._take_token(token, place, plan)
        return token

    def _take_token(
        self,
        token: int,
        place: Place,
        plan: list[int] | None,
    ) -> None:
        self._matcher.consume_token(token)
        self._place, self._plan_completion, self._left = place, plan, self._left - 1

    def _plan_after(
        self,
        token: int,
        place: Place,
        left: int,
    ) -> list[int] | None:
        """A completion of at most `left` tokens after this one, None where none was
        found.
        """
        known = self._plan_completion or []
        if known and known[0] == token:
            return known[1:]
        following = self._matcher.deep_copy()
        following.consume_token(token)
        for skipped in range(min(len(known), _MOST_SKIPPED) + 1):
            rest = known[skipped:]
            if len(rest) <= left and self._closing.completes(following, rest):
                return rest
        most_states = MOST_STATES if self._plan_completion is None else FEW_STATES
        plan = self._closing.shortest(
            following,
            place,
            left,
            most_states=most_states,
        )
        return plan if plan is not None and len(plan) <= left else None

    def _next_of_plan(self) -> int:
        plan = self._plan_completion
        if plan is None:
            plan = self._closing.shortest(self._matcher, self._place, self._left)
        if plan is None or len(plan) > self._left:
            raise RowError(
                f"no completion of {self._left} tokens was found; simplify the constraint"
            )
        if not plan:
            self._ended = True
            return min(self._ends)
        self._take_token(plan[0], self._closing.after(self._place, plan[0]), plan[1:])
        return plan[0]


#: How early before the reserve a completion is looked for, and how many tokens of the
#: old one may be left out of it.
_MARGIN = 8
_MOST_SKIPPED = 3
#: How long a text is looked for to say how much too small a budget is.
_MOST_TOKENS = 4096


class _Beginning(NamedTuple):
    """What all texts of one constraint share."""

    matcher: LLMatcher
    closing: Closing
    ends: frozenset[int]


@functools.lru_cache(maxsize=64)
def _begin_constraint(
    constraint: Constraint,
    tokenizer: LLTokenizer,
) -> _Beginning:
    import llguidance

    matcher = llguidance.LLMatcher(tokenizer, constraint.grammar, log_level=0)
    _check_matcher(matcher)
    return _Beginning(
        matcher, Closing(constraint, tokenizer), frozenset(tokenizer.eos_tokens)
    )


@functools.lru_cache(maxsize=256)
def _plan_completion(
    constraint: Constraint,
    tokenizer: LLTokenizer,
    max_tokens: int,
) -> tuple[int, ...]:
    """A completion of the empty text; raises `ConfigError` where none fits."""
    beginning = _begin_constraint(constraint, tokenizer)
    # The shared matcher is only ever copied: two threads may not ask one matcher at
    # once.
    matcher, closing = beginning.matcher.deep_copy(), beginning.closing
    plan = closing.shortest(matcher, closing.start(), max_tokens)
    if plan is None:
        plan = closing.shortest(
            matcher,
            closing.start(),
            _MOST_TOKENS,
            most_states=0,
        )
    asked = shortened(repr(constraint.source["value"]), 80)
    if plan is None:
        raise ConfigError(
            f"{constraint.kind} {asked}: no text that satisfies it was found; simplify it"
        )
    if len(plan) > max_tokens:
        raise ConfigError(
            f"{constraint.kind} {asked}: the shortest text found that satisfies it takes {len(plan)} tokens; "
            f"max_new_tokens is {max_tokens}, raise it"
        )
    return tuple(plan)


def _check_matcher(matcher: LLMatcher) -> None:
    if matcher.is_error():
        raise RowError(
            f"the constraint cannot be decoded: {shortened(matcher.get_error(), 200)}"
        )
