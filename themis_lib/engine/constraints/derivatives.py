"""Derivatives of an expression: what may follow a text, and the shortest way to an end.

A text leaves a set of residuals, of which one has to match the rest (the partial
derivatives of Antimirov 1996, "Partial derivatives of regular expressions and finite
automaton constructions", section 2). They are computed byte by byte as they are needed:
unlike an automaton, they cost nothing for what no text reaches.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from themis_lib.engine.constraints.expressions import (
    ByteRanges,
    Characters,
    Expression,
    Joined,
    Repeated,
)

# Nested repetitions have residuals for every pair of their counts. The nearest to an
# end suffice to complete a text.
_MOST_RESIDUALS = 1000


class Residual:
    """Expressions that have to match one after another, to the end of the text.

    `size` is how many bytes they need at least. There is one object for each of them in
    its `Derivatives`, so that they compare by identity.
    """

    __slots__ = ("_first_steps", "after", "head", "size")

    def __init__(
        self,
        head: Expression,
        after: Residual | None,
    ) -> None:
        self.head = head
        self.after = after
        self.size: int = len(head.shortest) + residual_size(after)
        # What `Derivatives.first_steps` found.
        self._first_steps: Residuals | None = None


#: Residuals of a text, in a fixed order. `None` is the one that is complete, and no
#: residual at all means that no text begins like this.
Residuals: TypeAlias = tuple[Residual | None, ...]


def residual_size(residual: Residual | None) -> int:
    """Return how many bytes a residual still needs, at least."""
    return 0 if residual is None else residual.size


def shortest_text(residual: Residual | None) -> bytes:
    """Return a text of the fewest bytes that a residual matches."""
    parts: list[bytes] = []
    while residual is not None:
        parts.append(residual.head.shortest)
        residual = residual.after
    return b"".join(parts)


class Derivatives:
    """The residuals of all texts that an expression matches."""

    def __init__(self, expression: Expression) -> None:
        # One object for each: a set of residuals must not grow with every byte. The
        # keys hold what they name, so that no identity is used twice.
        self._residuals: dict[tuple[Expression, Residual | None], Residual] = {}
        self._turns: dict[tuple[Expression, int, int | None], Repeated] = {}
        self._tails: dict[Characters, dict[int, Characters | None]] = {}
        self._tail_of: dict[tuple[ByteRanges, ...], Characters] = {}
        #: Whether the residuals of some text are not all that may follow it.
        self.has_left_out = False
        self.start: Residuals = self.first_steps(self._link(expression, None))

    def after(
        self,
        residuals: Residuals,
        text: bytes,
    ) -> Residuals:
        """Return the residuals after more bytes."""
        for byte in text:
            # A dictionary, because it keeps the order and a set does not.
            found: dict[Residual | None, None] = {}
            for residual in residuals:
                if residual is not None:
                    found.update(dict.fromkeys(self._after_byte(residual, byte)))
            residuals = tuple(found)
            if len(residuals) > _MOST_RESIDUALS:
                residuals = tuple(sorted(residuals, key=residual_size))
                residuals = residuals[:_MOST_RESIDUALS]
                self.has_left_out = True
        return residuals

    def first_steps(self, residual: Residual | None) -> Residuals:
        """Return the same residual as residuals that each begin with a character."""
        if residual is None:
            return (None,)
        if residual._first_steps is None:
            found: list[Residual] = []
            rest: Residual | None = residual
            while rest is not None:
                self._enter(rest.head, rest.after, found)
                if not rest.head.is_optional:
                    break
                rest = rest.after
            steps: dict[Residual | None, None] = dict.fromkeys(found)
            if rest is None:
                steps[None] = None
            residual._first_steps = tuple(steps)
        return residual._first_steps

    def _after_byte(
        self,
        residual: Residual,
        byte: int,
    ) -> Residuals:
        head = residual.head
        assert isinstance(head, Characters)
        tails = self._tails.setdefault(head, {})
        if byte not in tails:
            tails[byte] = self._tail_after(head, byte)
        tail = tails[byte]
        if tail is None:
            return ()
        if not tail.allowed:
            return self.first_steps(residual.after)
        return (self._link(tail, residual.after),)

    def _enter(
        self,
        expression: Expression,
        after: Residual | None,
        found: list[Residual],
    ) -> None:
        """Add the residuals of the texts of an expression that are not empty."""
        if isinstance(expression, Characters):
            found.append(self._link(expression, after))
        elif isinstance(expression, Joined):
            self._enter_joined(expression, after, found)
        elif isinstance(expression, Repeated):
            if expression.most != 0:
                rest = self._link(self._next_turn(expression), after)
                self._enter(expression.once, rest, found)
        else:
            for option in expression.options:
                self._enter(option, after, found)

    def _enter_joined(
        self,
        expression: Joined,
        after: Residual | None,
        found: list[Residual],
    ) -> None:
        rests = [after]
        for part in reversed(expression.parts[1:]):
            rests.append(self._link(part, rests[-1]))
        for part, rest in zip(expression.parts, reversed(rests), strict=False):
            self._enter(part, rest, found)
            if not part.is_optional:
                break

    def _next_turn(self, expression: Repeated) -> Repeated:
        """Return what is left of a repetition after one turn."""
        least = max(expression.least - 1, 0)
        most = None if expression.most is None else expression.most - 1
        key = (expression.once, least, most)
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns.setdefault(key, Repeated(*key))
        return turn

    def _tail_after(
        self,
        head: Characters,
        byte: int,
    ) -> Characters | None:
        """Return what is left of a character after a byte, or `None` if it has another."""
        rests: list[ByteRanges] = []
        for ranges in head.allowed:
            low, high = ranges[0]
            if low <= byte <= high:
                rests.append(ranges[1:])
        if not rests:
            return None
        # The first byte decides how many follow: all rests have one length.
        shortest = bytes(low for low, _ in rests[0])
        allowed = tuple(rest for rest in rests if rest)
        # One object for equal tails: most characters of two bytes or more end alike.
        return self._tail_of.setdefault(allowed, Characters(allowed, shortest))

    def _link(
        self,
        head: Expression,
        after: Residual | None,
    ) -> Residual:
        key = (head, after)
        residual = self._residuals.get(key)
        if residual is None:
            residual = self._residuals.setdefault(key, Residual(head, after))
        return residual


def nearest_end(residuals: Iterable[Residual | None]) -> Residual | None:
    """Return the residual that needs the fewest bytes; there must be one."""
    # The first of several.
    return min(residuals, key=residual_size)
