"""Regular expressions: Python's syntax tree, written out as one that Rust's engine
reads in one way only.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from themis_lib.engine.constraints.refusals import check_encodable, refuse


class Translated(NamedTuple):
    """A pattern for llguidance, bytes of its shortest text, most an unfinished text
    still needs, texts it matches.
    """

    text: str
    shortest: int
    farthest: int
    examples: tuple[str, ...]


@functools.lru_cache(maxsize=256)
def translated(
    pattern: str,
    *,
    argument: str = "regex",
    search: bool = False,
) -> Translated:
    """Python's `pattern` in Rust's syntax: the same texts, with `\\d` and `\\s`
    narrowed to ASCII.

    With `search` the pattern may match anywhere, as JSON Schema has it. Raises
    `ConfigError` for what no automaton can do, such as lookaround and backreferences,
    and for a pattern that matches nothing.
    """
    try:
        re.compile(pattern)
        parser = importlib.import_module("re._parser")
        tree = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        refuse(
            argument,
            pattern,
            f"is not a regular expression: {error}",
            "correct it",
        )
    try:
        check_encodable(argument, pattern)
        edge: _Edge = "open" if search else "anchored"
        piece = _translate_sequence(
            list(tree),
            tree.state.flags,
            edge,
            edge,
        )
    except _UntranslatableError as error:
        refuse(
            argument,
            pattern,
            f"uses {error}, which cannot be decoded",
            "write it without",
        )
    if piece is None:
        refuse(
            argument,
            pattern,
            "matches nothing",
            "allow something",
        )
    return piece


class _UntranslatableError(ValueError):
    """A part of a pattern that no finite automaton matches; the text names it."""


_Edge = Literal["inside", "anchored", "open"]
_Ranges = tuple[tuple[int, int], ...]
_Items = Sequence[tuple[Any, Any]]

_ANYTHING = Translated(
    "(?s:.*)",
    0,
    3,
    ("",),
)
_EMPTY = Translated(
    "",
    0,
    0,
    ("",),
)
_STARTS = frozenset({"AT_BEGINNING", "AT_BEGINNING_STRING"})
_ENDS = frozenset({"AT_END", "AT_END_STRING"})
_MOST_EXAMPLES = 8
_MOST_BYTES = 20_000
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT"})
_NAMES = {
    "ASSERT": "a lookahead or lookbehind",
    "ASSERT_NOT": "a negative lookahead or lookbehind",
    "GROUPREF": "a backreference",
    "GROUPREF_EXISTS": "a conditional group",
    "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive quantifier",
    "AT_BOUNDARY": r"the word boundary \b",
    "AT_NON_BOUNDARY": r"the word boundary \B",
    "AT_BEGINNING": "^ after the beginning",
    "AT_BEGINNING_STRING": r"\A after the beginning",
    "AT_END": "$ before the end",
    "AT_END_STRING": r"\Z before the end",
}


def _translate_sequence(
    items: _Items,
    flags: int,
    head: _Edge,
    tail: _Edge,
) -> Translated | None:
    """The items one after another, None where they match nothing; an open edge may have
    any text before or after.
    """
    first, last = 0, len(items)
    while head != "inside" and first < last and _anchor_name(items[first]) in _STARTS:
        first, head = first + 1, "anchored"
    while tail != "inside" and first < last and _anchor_name(items[last - 1]) in _ENDS:
        last, tail = last - 1, "anchored"
    if first == last:
        return _ANYTHING if "open" in (head, tail) else _EMPTY
    pieces = []
    for index in range(first, last):
        before = head if index == first else "inside"
        after = tail if index == last - 1 else "inside"
        pieces.append(
            _translate_item(
                items[index],
                flags,
                before,
                after,
            )
        )
    return _join_pieces(pieces)


def _translate_item(
    item: tuple[Any, Any],
    flags: int,
    head: _Edge,
    tail: _Edge,
) -> Translated | None:
    operation, argument = str(item[0]), item[1]
    if operation == "BRANCH":
        return _join_options(
            [
                _translate_sequence(
                    list(option),
                    flags,
                    head,
                    tail,
                )
                for option in argument[1]
            ]
        )
    if operation == "SUBPATTERN":
        _, added, removed, inner = argument
        return _group_piece(
            _translate_sequence(
                list(inner),
                (flags | added) & ~removed,
                head,
                tail,
            )
        )
    if operation in _REPEATS:
        piece = _repeat_piece(
            argument[0],
            argument[1],
            _group_piece(
                _translate_sequence(
                    list(argument[2]),
                    flags,
                    "inside",
                    "inside",
                )
            ),
        )
    elif operation in _NAMES or operation == "AT":
        raise _UntranslatableError(
            _NAMES.get(str(argument) if operation == "AT" else operation, operation)
        )
    else:
        piece = _characters_of(_class_of(operation, argument, flags))
    before, after = (
        _ANYTHING if head == "open" else _EMPTY,
        _ANYTHING if tail == "open" else _EMPTY,
    )
    return _join_pieces([before, piece, after])


def _anchor_name(item: tuple[Any, Any]) -> str:
    return str(item[1]) if str(item[0]) == "AT" else ""


def _join_pieces(pieces: list[Translated | None]) -> Translated | None:
    joined = _EMPTY
    for piece in reversed(pieces):
        if piece is None:
            return None
        first, rest = piece.examples[0], joined.examples[0]
        examples = [first + rest, *(first + other for other in joined.examples[1:])]
        examples.extend(other + rest for other in piece.examples[1:])
        farthest = max(joined.farthest, piece.farthest + joined.shortest)
        text, shortest = piece.text + joined.text, piece.shortest + joined.shortest
        joined = Translated(
            text,
            shortest,
            farthest,
            tuple(examples[:_MOST_EXAMPLES]),
        )
    return joined


def _join_options(options: list[Translated | None]) -> Translated | None:
    possible = [option for option in options if option is not None]
    if not possible:
        return None
    text = "|".join(option.text for option in possible)
    examples = sorted(
        (example for option in possible for example in option.examples), key=len
    )[:_MOST_EXAMPLES]
    farthest = max(option.farthest for option in possible)
    return Translated(
        f"(?:{text})",
        min(option.shortest for option in possible),
        farthest,
        tuple(examples),
    )


def _group_piece(piece: Translated | None) -> Translated | None:
    return piece and piece._replace(text=f"(?:{piece.text})")


def _repeat_piece(
    least: int,
    most: Any,
    piece: Translated | None,
) -> Translated | None:
    bounded = int(most) < int(importlib.import_module("re._constants").MAXREPEAT)
    if bounded and most == 0:
        return _EMPTY
    if piece is None:
        return None if least else _EMPTY
    if least * piece.shortest > _MOST_BYTES:
        raise _UntranslatableError(
            f"a repetition of at least {least * piece.shortest} bytes"
        )
    text = f"{piece.text}{{{least},{int(most) if bounded else ''}}}"
    farthest = piece.farthest + max(least - 1, 0) * piece.shortest
    once = piece.examples[0] * max(least - 1, 0)
    examples = tuple(example + once for example in piece.examples)
    examples = examples if least else ("", *examples[: _MOST_EXAMPLES - 1])
    return Translated(
        text,
        least * piece.shortest,
        farthest,
        examples,
    )


def _characters_of(ranges: _Ranges) -> Translated | None:
    if not ranges:
        return None
    spans = "".join(
        written(chr(low)) + (f"-{written(chr(high))}" if high > low else "")
        for low, high in ranges
    )
    alone = len(ranges) == 1 and ranges[0][0] == ranges[0][1]
    longest = len(chr(ranges[-1][1]).encode())
    shortest = len(chr(ranges[0][0]).encode())
    usual = (
        ord(character)
        for character in "a0A .-_"
        if any(low <= ord(character) <= high for low, high in ranges)
    )
    example = chr(next(usual, ranges[0][0]))
    return Translated(
        spans if alone else f"[{spans}]",
        shortest,
        max(shortest, longest - 1),
        (example,),
    )


def written(character: str) -> str:
    """One character in a pattern, escaped so that no syntax can claim it."""
    code = ord(character)
    if character.isascii() and character.isalnum():
        return character
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _class_of(
    operation: str,
    argument: Any,
    flags: int,
) -> _Ranges:
    if operation == "ANY":
        return _complement_ranges(() if flags & re.DOTALL else ((10, 10),))
    if operation in ("LITERAL", "NOT_LITERAL"):
        ranges: _Ranges = _with_cases(((argument, argument),), flags)
        return (
            _complement_ranges(ranges)
            if operation == "NOT_LITERAL"
            else _unite_ranges(ranges)
        )
    negated = bool(argument) and str(argument[0][0]) == "NEGATE"
    parts: list[tuple[int, int]] = []
    for part, value in argument[negated:]:
        if str(part) == "CATEGORY":
            parts.extend(
                _category_ranges(str(value), bool(flags & re.ASCII), not negated)
            )
        else:
            parts.append((value, value) if str(part) == "LITERAL" else value)
    ranges = _with_cases(tuple(parts), flags)
    return _complement_ranges(ranges) if negated else _unite_ranges(ranges)


@functools.cache
def _category_ranges(
    name: str,
    ascii_only: bool,
    narrowed: bool,
) -> _Ranges:
    """The characters of `\\d`, `\\s`, `\\w` or their opposites; narrowed, digits and
    spaces are ASCII's.
    """
    letter = {"DIGIT": "d", "SPACE": "s", "WORD": "w"}[name.rsplit("_", 1)[-1]]
    only_ascii = ascii_only or (narrowed and "NOT" not in name and letter != "w")
    pattern = re.compile(f"\\{letter}+", re.ASCII if only_ascii else 0)
    found = tuple(
        (match.start(), match.end() - 1)
        for match in pattern.finditer(_every_character())
    )
    # \x1c to \x1f are spaces to Python alone, and nothing anyone wants written.
    found = (
        ((9, 13), (32, 32))
        if letter == "s" and narrowed and "NOT" not in name
        else found
    )
    return _complement_ranges(found) if "NOT" in name else found


def _with_cases(
    ranges: _Ranges,
    flags: int,
) -> _Ranges:
    """The ranges with what Python takes for the same letters when it ignores case."""
    if not flags & re.IGNORECASE:
        return ranges
    spans = "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)
    pattern = re.compile(f"[{spans}]", re.IGNORECASE | (flags & re.ASCII))
    return ranges + tuple(
        (ord(character), ord(character))
        for character in _cased_characters()
        if pattern.match(character)
    )


@functools.cache
def _cased_characters() -> tuple[str, ...]:
    every = _every_character()
    return tuple(
        character
        for character in every
        if character.lower() != character or character.upper() != character
    )


@functools.cache
def _every_character() -> str:
    return "".join(map(chr, range(0x110000)))


def _unite_ranges(ranges: Iterable[tuple[int, int]]) -> _Ranges:
    """The same characters as sorted ranges that do not touch, without surrogates.

    >>> _unite_ranges([(98, 99), (97, 97), (100, 100)])
    ((97, 100),)
    """
    merged: list[tuple[int, int]] = []
    for low, high in sorted(_without_surrogates(ranges)):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _complement_ranges(ranges: Iterable[tuple[int, int]]) -> _Ranges:
    """Every other character."""
    others, next_one = [], 0
    for low, high in _unite_ranges(ranges):
        if low > next_one:
            others.append((next_one, low - 1))
        next_one = high + 1
    return _unite_ranges(
        [*others, (next_one, 0x10FFFF)] if next_one <= 0x10FFFF else others
    )


def _without_surrogates(ranges: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    for low, high in ranges:
        if low < 0xD800:
            yield low, min(high, 0xD7FF)
        if high > 0xDFFF:
            yield max(low, 0xE000), high
