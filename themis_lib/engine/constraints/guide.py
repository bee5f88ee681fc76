"""Guide for one text under a constraint: the text always ends within its budget."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from themis_lib.engine.constraints.closing import FEW_STATES, MOST_STATES, Closing
from themis_lib.engine.constraints.constraint import Constraint
from themis_lib.engine.constraints.exact_closing import ExactClosing
from themis_lib.engine.constraints.places import Place
from themis_lib.engine.constraints.refusals import shorten
from themis_lib.errors import ConfigError, InputError, RowError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

# How early before the reserve a completion is looked for.
_MARGIN = 8
# How many tokens of the old completion may be left out of the new one.
_MOST_SKIPPED = 3
# How long a text is looked for to say how much too small a budget is.
_MOST_TOKENS = 4096


class Guide:
    """One text under a constraint that can be completed within its budget at any time.

    Ends of sequence are not part of the text and cost nothing, so that a text of
    `max_tokens` tokens can satisfy the constraint. Raises `ConfigError` if no text of
    that size does. The same tokens given to `admit` return the same tokens.
    """

    def __init__(
        self,
        constraint: Constraint,
        tokenizer: LLTokenizer,
        *,
        max_tokens: int,
    ) -> None:
        beginning = _prepare_beginning(constraint, tokenizer)
        empty = _plan_empty_text(
            constraint,
            tokenizer,
            max_tokens,
        )
        self._beginning = beginning
        self._root = beginning.matcher
        self._matcher = self._root.deep_copy()
        self._closing = empty.closing
        self._place: Place = self._closing.start()
        # Where tokens are left in plenty no completion is known, and this is `None`.
        self._plan: list[int] | None = list(empty.tokens)
        self._written: list[int] = []
        # The place of the first so many of these tokens in the derivatives, if any.
        self._exact_place = Place()
        if beginning.exact is not None:
            self._exact_place = beginning.exact.start()
        self._followed = 0
        self._left = max_tokens
        self._vocabulary_size = tokenizer.vocab_size
        self._ends = beginning.ends
        self._ended = False

    @property
    def finished(self) -> bool:
        """Whether nothing can be added any more.

        Either an end was admitted, or the text is complete and cannot go on.
        """
        return self._ended or bool(self._matcher.is_stopped())

    def allows(self, token: int) -> bool:
        """Return whether this token may come next, without computing the mask.

        `admit` may still prefer another token.
        """
        self._use_root()
        if token in self._ends:
            return self._ended or bool(self._matcher.is_accepting())
        return not self.finished and bool(self._matcher.validate_tokens([token]))

    def mask(self) -> npt.NDArray[np.bool_]:
        """Return what may come next: a boolean for each token of the vocabulary.

        Ends of sequence are allowed where the text may end.
        """
        self._use_root()
        if self.finished:
            # A stopped matcher has no mask.
            allowed = np.zeros(self._vocabulary_size, dtype=np.bool_)
        else:
            bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
            # Of 0 and 1, a view as booleans costs no copy.
            allowed = np.unpackbits(
                bits,
                count=self._vocabulary_size,
                bitorder="little",
            ).view(np.bool_)
            _raise_matcher_error(self._matcher)
        allowed[list(self._ends)] = self._ended or self._matcher.is_accepting()
        return allowed

    def admit(self, token: int) -> int:
        """Add this token if the text still fits, otherwise the next of a completion.

        Returns the token that was added. With nothing left of the budget it is an end.
        Raises `InputError` for a token that may not come next.
        """
        self._use_root()
        if token in self._ends and self.allows(token):
            self._ended = True
            return token
        if self.finished or not self._matcher.validate_tokens([token]):
            _raise_matcher_error(self._matcher)
            raise InputError(
                f"token {token} may not come next; choose one that the mask allows"
            )
        left = self._left - 1
        place = self._closing.after(self._place, token)
        enough = self._closing.enough(place)
        # The usual case: far from the end of the budget no completion is computed.
        if left >= enough + _MARGIN:
            self._add_token(token, place, None)
            return token
        plan: list[int] | None = None
        if left >= 0:
            plan = self._plan_after(token, place, left)
        # Without a plan the token is only safe within the reserve. A known completion
        # is followed even there: to leave it would need a new one at once.
        is_safe = self._plan is None and left >= enough
        if plan is None and not is_safe:
            return self._follow_plan()
        self._add_token(token, place, plan)
        return token

    def _use_root(self) -> None:
        """Move to the matcher that all texts begin with, if it was renewed."""
        if self._root is not self._beginning.matcher:
            self._root = self._beginning.matcher
            self._matcher = self._root.deep_copy()
            self._matcher.consume_tokens(self._written)

    def _shortest(
        self,
        matcher: LLMatcher,
        place: Place,
        limit: int,
        *,
        most_states: int = MOST_STATES,
        token: int | None = None,
    ) -> list[int] | None:
        """Return what the closing finds behind the text and perhaps one more token."""
        beginning = self._beginning
        if most_states == MOST_STATES and self._closing is beginning.closing:
            return beginning.search(
                matcher,
                place,
                limit,
                functools.partial(self._follow_text, token),
            )
        plan = self._closing.shortest(
            matcher,
            place,
            limit,
            most_states=most_states,
        )
        # It may have used up the lexer.
        beginning.renew_if_used_up()
        return plan

    def _follow_text(self, token: int | None = None) -> Place | None:
        """Return the place in the derivatives of the text and perhaps one more token.

        It is computed only here, since most texts need none.
        """
        exact = self._beginning.exact
        if exact is None:
            return None
        for written in self._written[self._followed :]:
            self._exact_place = exact.after(self._exact_place, written)
        self._followed = len(self._written)
        if token is None:
            return self._exact_place
        return exact.after(self._exact_place, token)

    def _add_token(
        self,
        token: int,
        place: Place,
        plan: list[int] | None,
    ) -> None:
        # A search for a plan may have used up the lexer.
        self._use_root()
        self._matcher.consume_token(token)
        self._written.append(token)
        self._place = place
        self._plan = plan
        self._left -= 1

    def _plan_after(
        self,
        token: int,
        place: Place,
        left: int,
    ) -> list[int] | None:
        """Return a completion of at most `left` tokens after this one, or `None`."""
        known = self._plan or []
        if known and known[0] == token:
            return known[1:]
        following = self._matcher.deep_copy()
        following.consume_token(token)
        # The new token may replace some of the old completion, whose end still fits.
        for skipped in range(min(len(known), _MOST_SKIPPED) + 1):
            rest = known[skipped:]
            if len(rest) <= left and self._closing.completes(following, rest):
                return rest
        # With a completion known, this token is only preferred: a short search will do.
        # Within the reserve, the derivatives are sure to find one.
        is_exact = isinstance(self._closing, ExactClosing)
        is_known = self._plan is not None or is_exact
        most_states = FEW_STATES if is_known else MOST_STATES
        plan = self._shortest(
            following,
            place,
            left,
            most_states=most_states,
            token=token,
        )
        if plan is None or len(plan) > left:
            return None
        return plan

    def _follow_plan(self) -> int:
        plan = self._plan
        if plan is None:
            plan = self._shortest(
                self._matcher,
                self._place,
                self._left,
            )
        if plan is None or len(plan) > self._left:
            plan = self._plan_exactly()
        if plan is None or len(plan) > self._left:
            raise RowError(
                f"no completion of {self._left} tokens was found; "
                "simplify the constraint"
            )
        if not plan:
            self._ended = True
            # The lowest of several ends, so that the order of a set plays no part.
            return min(self._ends)
        place = self._closing.after(self._place, plan[0])
        self._add_token(plan[0], place, plan[1:])
        return plan[0]

    def _plan_exactly(self) -> list[int] | None:
        """Return the completion that a search did not find, and search no further."""
        exact = self._beginning.exact
        place = self._follow_text()
        if exact is None or place is None or self._closing is exact:
            return None
        self._use_root()
        self._closing = exact
        self._place = place
        return exact.shortest(
            self._matcher,
            self._place,
            self._left,
        )


@dataclass(slots=True)
class _Beginning:
    """What all texts of one constraint share.

    `exact` is `None` where only a search can tell how a text may end. `futile` has
    places in its derivatives at which the search finds no completion of so many tokens,
    nor of fewer.
    """

    compile: Callable[[], LLMatcher]
    matcher: LLMatcher
    closing: Closing
    exact: ExactClosing | None
    ends: frozenset[int]
    futile: dict[Place, int] = field(default_factory=dict)

    def search(
        self,
        matcher: LLMatcher,
        place: Place,
        limit: int,
        find_exact_place: Callable[[], Place | None],
    ) -> list[int] | None:
        """Return what a search finds, and `None` where it is known to find nothing.

        To find nothing takes up to a second, and behind a wildcard many texts are at one
        place of the derivatives.
        """
        if self.futile and self._is_futile(find_exact_place(), limit):
            return None
        plan = self.closing.shortest(
            matcher,
            place,
            limit,
        )
        used_up = self.renew_if_used_up()
        # Other texts may have used up most of the lexer: a new one may suffice.
        if (plan is None or len(plan) > limit) and not used_up:
            self.note_futile(find_exact_place(), limit)
        return plan

    def note_futile(
        self,
        exact_place: Place | None,
        limit: int,
    ) -> None:
        """Remember that a search finds no completion of so many tokens at a place."""
        if exact_place is not None and self._tells_places_apart:
            self.futile[exact_place] = max(limit, self.futile.get(exact_place, 0))

    def renew_if_used_up(self) -> bool:
        """Compile the matcher anew if a search has used up its lexer, and say so.

        All copies share one lexer, which takes no more than a number of states.
        """
        copy = self.matcher.deep_copy()
        copy.compute_bitmask()
        used_up = bool(copy.is_error())
        if used_up:
            self.matcher = self.compile()
        return used_up

    def _is_futile(
        self,
        exact_place: Place | None,
        limit: int,
    ) -> bool:
        if exact_place is None or not self._tells_places_apart:
            return False
        return limit <= self.futile.get(exact_place, -1)

    @property
    def _tells_places_apart(self) -> bool:
        return self.exact is not None and self.exact.tells_places_apart


# Cached for the process: a grammar takes far longer to compile than to copy, and all
# rows of a run share one. Matchers are only copied.
@functools.lru_cache(maxsize=64)
def _prepare_beginning(
    constraint: Constraint,
    tokenizer: LLTokenizer,
) -> _Beginning:
    # llguidance is an extra: without it, importing this module still works.
    import llguidance

    compile_matcher = functools.partial(
        llguidance.LLMatcher,
        tokenizer,
        constraint.grammar,
        log_level=0,
    )
    matcher = compile_matcher()
    _raise_matcher_error(matcher)
    exact = None
    if ExactClosing.covers(constraint):
        exact = ExactClosing(constraint, tokenizer)
    return _Beginning(
        compile=compile_matcher,
        matcher=matcher,
        closing=Closing(constraint, tokenizer),
        exact=exact,
        ends=frozenset(tokenizer.eos_tokens),
    )


class _EmptyText(NamedTuple):
    """A completion of the empty text, and what found it and will find all others."""

    tokens: tuple[int, ...]
    closing: Closing


# Cached for the process: every row of a run begins with the same search. The result is
# immutable.
@functools.lru_cache(maxsize=256)
def _plan_empty_text(
    constraint: Constraint,
    tokenizer: LLTokenizer,
    max_tokens: int,
) -> _EmptyText:
    """Return a completion of the empty text, or raise `ConfigError` if none fits."""
    beginning = _prepare_beginning(constraint, tokenizer)
    # The shared matcher is only ever copied: two threads may not ask one matcher at
    # once.
    matcher = beginning.matcher.deep_copy()
    exact = beginning.exact
    # The search comes first although it may fail: which text it finds is part of the
    # bits of rows stored before there was another way.
    plan = beginning.search(
        matcher,
        beginning.closing.start(),
        max_tokens,
        lambda: None if exact is None else exact.start(),
    )
    if plan is not None and len(plan) <= max_tokens:
        return _EmptyText(tuple(plan), beginning.closing)
    matcher = beginning.matcher.deep_copy()
    if exact is not None:
        # Even if the search has used up the lexer: mostly, no text had used it before.
        beginning.note_futile(exact.start(), max_tokens)
        plan = exact.shortest(
            matcher,
            exact.start(),
            max_tokens,
        )
        if plan is not None and len(plan) <= max_tokens:
            return _EmptyText(tuple(plan), exact)
        plan = exact.fewest(matcher, more_than=max_tokens)
    if plan is None:
        # Only a straight attempt: this text serves the message alone.
        plan = beginning.closing.shortest(
            matcher,
            beginning.closing.start(),
            _MOST_TOKENS,
            most_states=0,
        )
    asked = shorten(repr(constraint.source["value"]), 80)
    if plan is None:
        raise ConfigError(
            f"{constraint.kind} {asked}: no text that satisfies it was found; "
            "simplify it"
        )
    raise ConfigError(
        f"{constraint.kind} {asked}: the shortest text found that satisfies it "
        f"takes {len(plan)} tokens; max_new_tokens is {max_tokens}, raise it"
    )


def _raise_matcher_error(matcher: LLMatcher) -> None:
    """Raise `RowError` if the matcher gave up, as on a grammar that is too complex."""
    if matcher.is_error():
        reason = shorten(matcher.get_error(), 200)
        raise RowError(f"the constraint cannot be decoded: {reason}")
