"""Completions under a regular expression or choices, which always exist and are found."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from themis_lib.engine.constraints.closing import MOST_STATES, Closing
from themis_lib.engine.constraints.constraint import Constraint
from themis_lib.engine.constraints.derivatives import (
    Derivatives,
    nearest_end,
    residual_size,
    shortest_text,
)
from themis_lib.engine.constraints.expressions import Expression, alternatives, literal
from themis_lib.engine.constraints.patterns import translate
from themis_lib.engine.constraints.places import Place
from themis_lib.engine.constraints.token_paths import sort_vocabulary, tokens_within

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer


class ExactClosing(Closing):
    """The completions of all texts of one expression in one vocabulary.

    They come from the derivatives of the expression, where `Closing` searches.
    """

    def __init__(
        self,
        constraint: Constraint,
        tokenizer: LLTokenizer,
    ) -> None:
        super().__init__(constraint, tokenizer)
        self._derivatives = Derivatives(_expression_of(constraint))

    @property
    def tells_places_apart(self) -> bool:
        """Whether all texts at one place may go on alike."""
        return not self._derivatives.has_left_out

    @staticmethod
    def covers(constraint: Constraint) -> bool:
        """Return whether a constraint is an expression."""
        return constraint.kind in ("regex", "choices")

    def start(self) -> Place:
        """Return the place at which every text begins."""
        return Place(residuals=self._derivatives.start)

    def after(
        self,
        place: Place,
        token: int,
    ) -> Place:
        """Return the place after one more token."""
        piece: bytes = self._tokenizer.decode_bytes([token])
        return Place(residuals=self._derivatives.after(place.residuals, piece))

    def enough(self, place: Place) -> float:
        """Return a number of tokens that completes any text at this place.

        It is infinite in a vocabulary that does not have every byte, and where the
        derivatives have left out how the text goes on.
        """
        if self._reserve is None or not place.residuals:
            return math.inf
        return residual_size(nearest_end(place.residuals))

    def shortest(
        self,
        matcher: LLMatcher,
        place: Place,
        limit: int,
        *,
        most_states: int = MOST_STATES,
    ) -> list[int] | None:
        """Return the tokens of a short completion, or `None` if none is known.

        It has at most `limit` tokens if some of that number were found. With fewer
        states than `MOST_STATES`, it is always a text of the fewest bytes.
        """
        if not place.residuals:
            return None
        text = shortest_text(nearest_end(place.residuals))
        plan = self._steps.spell(text)
        if plan is not None:
            plan = self._fewest_tokens(matcher, text, plan)
        if plan is not None and len(plan) <= limit:
            return plan
        if most_states < MOST_STATES:
            return plan
        fitting = self._tokens_within(limit, matcher, place)
        return plan if fitting is None else fitting

    def fewest(
        self,
        matcher: LLMatcher,
        more_than: int,
    ) -> list[int] | None:
        """Return the fewest tokens found that complete the empty text, or `None`.

        `shortest` has found that `more_than` of them do not suffice.
        """
        plan = self.shortest(matcher, self.start(), 0)
        while plan and len(plan) > more_than + 1:
            fitting = self._tokens_within(len(plan) - 1, matcher, self.start())
            if fitting is None:
                break
            plan = fitting
        return plan

    def _tokens_within(
        self,
        limit: int,
        matcher: LLMatcher,
        place: Place,
    ) -> list[int] | None:
        found = tokens_within(
            limit,
            self._derivatives,
            place.residuals,
            sort_vocabulary(self._tokenizer),
        )
        if found is None or not self.completes(matcher, found):
            return None
        return found


def _expression_of(constraint: Constraint) -> Expression:
    value = constraint.source["value"]
    if constraint.kind == "choices":
        return alternatives([literal(choice) for choice in value])
    return translate(value).expression
