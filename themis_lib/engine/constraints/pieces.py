"""Pieces of a translated pattern, and how they are put together."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

from themis_lib.engine.constraints.characters import (
    EVERY_CHARACTER,
    Ranges,
    escape_character,
)
from themis_lib.engine.constraints.expressions import (
    Expression,
    alternatives,
    characters,
    joined,
    repeated,
)


class Translated(NamedTuple):
    """A pattern in Rust's syntax, with bounds on its texts in bytes of UTF-8.

    `shortest` is the size of the shortest text, `farthest` the most that an unfinished
    text still needs, and `examples` are texts that the pattern matches.
    """

    text: str
    shortest: int
    farthest: int
    examples: tuple[str, ...]
    expression: Expression


class UntranslatableError(ValueError):
    """A part of a pattern that no finite automaton matches; the message names it."""


# An unfinished character of UTF-8 lacks at most 3 bytes.
ANYTHING = Translated(
    "(?s:.*)",
    0,
    3,
    ("",),
    repeated(characters(EVERY_CHARACTER, "a"), 0, None),
)
EMPTY = Translated(
    "",
    0,
    0,
    ("",),
    joined(()),
)
# Examples guide the search for a completion; their number grows with every `|`.
_MOST_EXAMPLES = 8
# The size of a text that a repetition may force. It also bounds the examples, which
# would otherwise fill the memory.
_MOST_BYTES = 20_000
# Characters to prefer in an example: they are single tokens in most vocabularies.
_USUAL_CHARACTERS = "a0A .-_"


def join_pieces(pieces: list[Translated | None]) -> Translated | None:
    """Join pieces that follow one another, to `None` if one of them matches nothing."""
    whole = EMPTY
    expressions: list[Expression] = []
    # From the right: an unfinished piece needs its own rest and all that follows.
    for piece in reversed(pieces):
        if piece is None:
            return None
        expressions.append(piece.expression)
        first, *others = piece.examples
        rest, *other_rests = whole.examples
        # One part varies at a time: every combination would be far too many.
        examples = [first + rest]
        examples.extend(first + other for other in other_rests)
        examples.extend(other + rest for other in others)
        whole = Translated(
            text=piece.text + whole.text,
            shortest=piece.shortest + whole.shortest,
            farthest=max(whole.farthest, piece.farthest + whole.shortest),
            examples=tuple(examples[:_MOST_EXAMPLES]),
            expression=whole.expression,
        )
    return whole._replace(expression=joined(expressions[::-1]))


def join_alternatives(options: list[Translated]) -> Translated | None:
    """Join alternatives, to `None` if there are none."""
    if not options:
        return None
    texts: list[str] = []
    examples: list[str] = []
    for option in options:
        texts.append(option.text)
        examples.extend(option.examples)
    # The sort is stable: examples of one length keep the order of the pattern.
    examples.sort(key=len)
    return Translated(
        text=f"(?:{'|'.join(texts)})",
        shortest=min(option.shortest for option in options),
        farthest=max(option.farthest for option in options),
        examples=tuple(examples[:_MOST_EXAMPLES]),
        expression=alternatives([option.expression for option in options]),
    )


def group(piece: Translated | None) -> Translated | None:
    """Keep a piece together where it is joined or repeated."""
    if piece is None:
        return None
    return piece._replace(text=f"(?:{piece.text})")


def repeat(
    least: int,
    most: Any,
    piece: Translated | None,
) -> Translated | None:
    """Repeat a piece, with bounds as Python's syntax tree has them.

    Raises `UntranslatableError` for a text that would be too long.
    """
    # Where nothing bounds a repetition, Python's tree has this constant.
    unbounded = importlib.import_module("re._constants").MAXREPEAT
    is_bounded = int(most) < int(unbounded)
    if is_bounded and most == 0:
        return EMPTY
    if piece is None:
        # A piece that matches nothing can still be left out, as in `[^\s\S]*`.
        return None if least else EMPTY
    shortest = least * piece.shortest
    if shortest > _MOST_BYTES:
        raise UntranslatableError(f"a repetition of at least {shortest} bytes")
    # In the worst case the text is unfinished in its first of `least` pieces.
    further = max(least - 1, 0)
    rest = piece.examples[0] * further
    examples = [example + rest for example in piece.examples]
    if not least:
        examples = ["", *examples[: _MOST_EXAMPLES - 1]]
    upper = str(int(most)) if is_bounded else ""
    return Translated(
        text=f"{piece.text}{{{least},{upper}}}",
        shortest=shortest,
        farthest=piece.farthest + further * piece.shortest,
        examples=tuple(examples),
        expression=repeated(
            piece.expression,
            least,
            int(most) if is_bounded else None,
        ),
    )


def write_class(ranges: Ranges) -> Translated | None:
    """Write ranges of code points as one character, to `None` if there are none."""
    if not ranges:
        return None
    text = ""
    for low, high in ranges:
        text += escape_character(chr(low))
        if high > low:
            text += f"-{escape_character(chr(high))}"
    first = ranges[0][0]
    last = ranges[-1][1]
    if first != last:
        text = f"[{text}]"
    example = chr(first)
    # The first of them that matches is preferred, and therefore tried last.
    for character in reversed(_USUAL_CHARACTERS):
        code = ord(character)
        if any(low <= code <= high for low, high in ranges):
            example = character
    # UTF-8 grows with the code point: the ends of the ranges have the extreme sizes.
    shortest = len(chr(first).encode())
    longest = len(chr(last).encode())
    return Translated(
        text=text,
        shortest=shortest,
        # After the first byte of the longest character, all but one are missing.
        farthest=max(shortest, longest - 1),
        examples=(example,),
        expression=characters(ranges, example),
    )
