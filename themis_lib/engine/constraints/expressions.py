"""Expressions: a regular expression as a tree over the bytes of its texts.

Nodes compare by identity. Each knows its `shortest` text; of several of one size, the
one that the pattern names first, in characters that most vocabularies have.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from themis_lib.engine.constraints.characters import Ranges

#: The bytes of characters that differ in their last ones alone: the first and the last
#: byte allowed at each place.
ByteRanges: TypeAlias = tuple[tuple[int, int], ...]

# The last code points of one, two and three bytes of UTF-8.
_LAST_OF_SIZE = (0x7F, 0x7FF, 0xFFFF)


@dataclass(
    frozen=True,
    eq=False,
    slots=True,
)
class Characters:
    """One character of a class, or what is left of it after its first bytes."""

    allowed: tuple[ByteRanges, ...]
    shortest: bytes
    is_optional: bool = False


@dataclass(
    frozen=True,
    eq=False,
    slots=True,
)
class Joined:
    """Expressions that follow one another."""

    parts: tuple[Expression, ...]
    shortest: bytes
    is_optional: bool


@dataclass(
    frozen=True,
    eq=False,
    slots=True,
)
class Alternatives:
    """Expressions of which one matches; at least one."""

    options: tuple[Expression, ...]
    shortest: bytes
    is_optional: bool


@dataclass(
    frozen=True,
    eq=False,
    slots=True,
)
class Repeated:
    """An expression `least` to `most` times; without an end if `most` is `None`."""

    once: Expression
    least: int
    most: int | None

    @property
    def shortest(self) -> bytes:
        """The shortest text."""
        return self.once.shortest * self.least

    @property
    def is_optional(self) -> bool:
        """Whether the empty text matches."""
        return self.least == 0


#: `shortest` is a text of the fewest bytes; `is_optional` says that it is empty.
Expression: TypeAlias = Characters | Joined | Alternatives | Repeated


def characters(
    ranges: Ranges,
    example: str,
) -> Characters:
    """Return a class of characters; `example` is one of those of the fewest bytes."""
    return Characters(_class_bytes(ranges), example.encode())


def literal(text: str) -> Expression:
    """Return an expression that matches this text alone."""
    return joined([characters(((ord(one), ord(one)),), one) for one in text])


def joined(parts: Sequence[Expression]) -> Expression:
    """Return expressions that follow one another."""
    if len(parts) == 1:
        return parts[0]
    return Joined(
        tuple(parts),
        b"".join(part.shortest for part in parts),
        all(part.is_optional for part in parts),
    )


def alternatives(options: Sequence[Expression]) -> Expression:
    """Return a choice of expressions; at least one."""
    if len(options) == 1:
        return options[0]
    return Alternatives(
        tuple(options),
        min((option.shortest for option in options), key=len),
        any(option.is_optional for option in options),
    )


def repeated(
    once: Expression,
    least: int,
    most: int | None,
) -> Expression:
    """Return a repetition of an expression."""
    # A turn that may be empty can always be left out.
    return Repeated(once, 0 if once.is_optional else least, most)


# Cached for the process: classes recur, and those of Unicode have hundreds of ranges.
@functools.lru_cache(maxsize=256)
def _class_bytes(ranges: Ranges) -> tuple[ByteRanges, ...]:
    found: list[ByteRanges] = []
    for low, high in ranges:
        found.extend(_split_range(low, high))
    return tuple(found)


def _split_range(
    low: int,
    high: int,
) -> Iterator[ByteRanges]:
    """Yield the bytes of all characters between two, both included.

    >>> list(_split_range(0x7F, 0x81))
    [((127, 127),), ((194, 194), (128, 129))]
    """
    cut = _first_cut(low, high)
    if cut is not None:
        yield from _split_range(low, cut)
        yield from _split_range(cut + 1, high)
        return
    first = chr(low).encode()
    last = chr(high).encode()
    yield tuple(zip(first, last, strict=True))


def _first_cut(
    low: int,
    high: int,
) -> int | None:
    """Return where a range has to be cut so that its bytes vary independently."""
    for bound in _LAST_OF_SIZE:
        if low <= bound < high:
            return bound
    if high <= _LAST_OF_SIZE[0]:
        return None
    # Six bits a byte: where a higher byte varies, the lower ones must take all values.
    for places in (1, 2, 3):
        lower = (1 << 6 * places) - 1
        if low & ~lower == high & ~lower:
            continue
        if low & lower:
            return low | lower
        if high & lower != lower:
            return (high & ~lower) - 1
    return None
