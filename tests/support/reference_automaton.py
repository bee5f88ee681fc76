"""A plain automaton (Thompson 1968) of an expression, to compare derivatives with."""

from __future__ import annotations

from themis_lib.engine.constraints.expressions import (
    Alternatives,
    Characters,
    Expression,
    Joined,
    Repeated,
)


class Automaton:
    """States are numbers; every repetition is written out."""

    def __init__(self, expression: Expression) -> None:
        self._free: list[list[int]] = []
        self._steps: list[list[tuple[int, int, int]]] = []
        self._known: dict[tuple[frozenset[int], int], frozenset[int]] = {}
        first = self._state()
        self._last = self._build(expression, first)
        self.start = self._closure([first])

    def accepts(self, text: bytes) -> bool:
        """Return whether the whole text matches."""
        return self._last in self.after(self.start, text)

    def after(self, states: frozenset[int], text: bytes) -> frozenset[int]:
        """Return the states after more bytes."""
        for byte in text:
            key = states, byte
            if key not in self._known:
                ends = [
                    end
                    for state in states
                    for low, high, end in self._steps[state]
                    if low <= byte <= high
                ]
                self._known[key] = self._closure(ends)
            states = self._known[key]
            if not states:
                break
        return states

    def fewest(self, pieces: list[bytes], most: int) -> int | None:
        """Return how few pieces write a matching text, or `None` if `most` do not."""
        known, newest = set(self.start), set(self.start)
        for count in range(most + 1):
            if self._last in known:
                return count
            found = {
                state
                for one in newest
                for piece in pieces
                for state in self.after(frozenset([one]), piece)
            }
            newest = found - known
            known |= newest
        return None

    def _build(self, expression: Expression, start: int) -> int:
        """Add an expression after a state, and return the state behind it."""
        if isinstance(expression, Characters):
            end = self._state()
            for ranges in expression.allowed:
                at = start
                for place, (low, high) in enumerate(ranges):
                    following = end if place == len(ranges) - 1 else self._state()
                    self._steps[at].append((low, high, following))
                    at = following
            return end
        if isinstance(expression, Joined):
            for part in expression.parts:
                start = self._build(part, start)
            return start
        end = self._state()
        if isinstance(expression, Alternatives):
            for option in expression.options:
                self._free[self._build(option, self._branch(start))].append(end)
            return end
        self._free[self._repeat(expression, start)].append(end)
        return end

    def _repeat(self, expression: Repeated, start: int) -> int:
        for _ in range(expression.least):
            start = self._build(expression.once, start)
        if expression.most is None:
            turn = self._branch(start)
            self._free[self._build(expression.once, turn)].append(turn)
            return turn
        end = self._state()
        for _ in range(expression.most - expression.least):
            self._free[start].append(end)
            start = self._build(expression.once, start)
        self._free[start].append(end)
        return end

    def _state(self) -> int:
        self._free.append([])
        self._steps.append([])
        return len(self._free) - 1

    def _branch(self, start: int) -> int:
        state = self._state()
        self._free[start].append(state)
        return state

    def _closure(self, states: list[int]) -> frozenset[int]:
        found, waiting = set(states), list(states)
        while waiting:
            for state in self._free[waiting.pop()]:
                if state not in found:
                    found.add(state)
                    waiting.append(state)
        return frozenset(found)
