"""A plain automaton (Thompson 1968) of an expression, to compare derivatives with."""

from __future__ import annotations

import itertools
from collections import defaultdict

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
        self._following: dict[int, dict[int, frozenset[int]]] = {}
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
                ends = [self._after_byte(state).get(byte, ()) for state in states]
                self._known[key] = frozenset(itertools.chain(*ends))
            states = self._known[key]
            if not states:
                break
        return states

    def fewest(self, pieces: list[bytes], most: int) -> int | None:
        """Return how few pieces write a matching text, or `None` if `most` do not."""
        rests = defaultdict(set)
        for piece in pieces:
            rests[piece[0]].add(piece[1:])
        known, newest = set(self.start), set(self.start)
        for count in range(most + 1):
            if self._last in known:
                return count
            found: set[int] = set()
            for state in newest:
                for byte, states in self._after_byte(state).items():
                    found.update(*(self.after(states, rest) for rest in rests[byte]))
            newest = found - known
            known |= newest
        return None

    def _after_byte(self, state: int) -> dict[int, frozenset[int]]:
        """Return the states after each byte that may follow one state."""
        if state not in self._following:
            ends = defaultdict(list)
            for low, high, end in self._steps[state]:
                for byte in range(low, high + 1):
                    ends[byte].append(end)
            self._following[state] = {
                byte: self._closure(found) for byte, found in ends.items()
            }
        return self._following[state]

    def _build(self, expression: Expression, start: int) -> int:
        """Add an expression after a state, and return the state behind it."""
        if isinstance(expression, Characters):
            end = self._state()
            # Most characters of a class end in the same ranges of bytes.
            before: dict[tuple[tuple[int, int], ...], int] = {(): end}
            for ranges in expression.allowed:
                for place in range(len(ranges) - 1, -1, -1):
                    low, high = ranges[place]
                    following = before[ranges[place + 1 :]]
                    if not place:
                        self._steps[start].append((low, high, following))
                    elif ranges[place:] not in before:
                        state = before[ranges[place:]] = self._state()
                        self._steps[state].append((low, high, following))
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
