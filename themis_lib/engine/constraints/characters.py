"""Character classes of Python's patterns as ranges of code points."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

#: Ranges of code points, both ends included.
Ranges = tuple[tuple[int, int], ...]

_LAST_CODE_POINT = 0x10FFFF
_FIRST_SURROGATE, _LAST_SURROGATE = 0xD800, 0xDFFF
#: Every character: half a surrogate pair is none.
EVERY_CHARACTER: Ranges = (
    (0, _FIRST_SURROGATE - 1),
    (_LAST_SURROGATE + 1, _LAST_CODE_POINT),
)
# The letter of each category's escape, by its name in Python's parser.
_CATEGORY_LETTERS = {
    "DIGIT": "d",
    "SPACE": "s",
    "WORD": "w",
}
# Tab to carriage return, and the space. Python also takes \x1c to \x1f for spaces, but
# they are control characters that no answer should hold.
_USUAL_SPACES: Ranges = ((9, 13), (32, 32))


def class_ranges(
    operation: str,
    argument: Any,
    flags: int,
) -> Ranges:
    """Return the characters that one item of Python's syntax tree matches.

    `operation` is `ANY`, `LITERAL`, `NOT_LITERAL` or `IN`, `argument` its argument in
    the tree of `re._parser`. The ranges are sorted, do not touch, and hold no
    surrogates; there are none where nothing matches.
    """
    if operation == "ANY":
        newline: Ranges = ((10, 10),)
        return _complement_ranges(() if flags & re.DOTALL else newline)
    if operation in ("LITERAL", "NOT_LITERAL"):
        ranges = _add_cases(((argument, argument),), flags)
        return (
            _complement_ranges(ranges)
            if operation == "NOT_LITERAL"
            else _unite_ranges(ranges)
        )
    items = list(argument)
    is_negated = bool(items) and str(items[0][0]) == "NEGATE"
    if is_negated:
        items.pop(0)
    parts: list[tuple[int, int]] = []
    for part, value in items:
        if str(part) == "CATEGORY":
            is_ascii = bool(flags & re.ASCII)
            parts.extend(
                _category_ranges(
                    str(value),
                    is_ascii,
                    not is_negated,
                )
            )
        elif str(part) == "LITERAL":
            parts.append((value, value))
        else:
            parts.append(value)
    # Cases are added before negation: `(?i)[^k]` excludes the Kelvin sign, too.
    ranges = _add_cases(tuple(parts), flags)
    return _complement_ranges(ranges) if is_negated else _unite_ranges(ranges)


def escape_character(character: str) -> str:
    """Return one character as a pattern, escaped so that it is no syntax anywhere.

    >>> escape_character("a"), escape_character("/")
    ('a', '\\\\u002f')
    """
    if character.isascii() and character.isalnum():
        return character
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\U{code:08x}"


# Finding a category tries every character of Unicode; there are at most 24 answers.
@functools.cache
def _category_ranges(
    name: str,
    is_ascii: bool,
    is_narrowed: bool,
) -> Ranges:
    """Return the characters of `\\d`, `\\s`, `\\w` or of their opposites.

    If narrowed, digits and spaces are ASCII's. Inside a negated class they may not be
    narrowed: what the class excludes would become too little.
    """
    letter = _CATEGORY_LETTERS[name.rsplit("_", 1)[-1]]
    is_negated = "NOT" in name
    # An opposite is narrower when the category it excludes is wider.
    is_narrowed = is_narrowed and not is_negated and letter != "w"
    if is_narrowed and letter == "s":
        return _USUAL_SPACES
    ascii_flag = re.ASCII if is_ascii or is_narrowed else 0
    pattern = re.compile(f"\\{letter}+", ascii_flag)
    # The code point of a character is its index in the string of all characters.
    found = tuple(
        (match.start(), match.end() - 1)
        for match in pattern.finditer(_every_character())
    )
    return _complement_ranges(found) if is_negated else found


def _add_cases(
    ranges: Ranges,
    flags: int,
) -> Ranges:
    """Add what Python takes for the same letters when it ignores case."""
    if not flags & re.IGNORECASE:
        return ranges
    # Python's own matcher decides: its case folding is neither Rust's nor
    # `str.casefold`.
    spans = "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)
    pattern = re.compile(f"[{spans}]", re.IGNORECASE | (flags & re.ASCII))
    added = list(ranges)
    for character in _cased_characters():
        if pattern.match(character):
            added.append((ord(character), ord(character)))
    return tuple(added)


# Cached for the process: the answer is a constant that takes a pass over Unicode.
@functools.cache
def _cased_characters() -> tuple[str, ...]:
    cased: list[str] = []
    for character in _every_character():
        if character.lower() != character or character.upper() != character:
            cased.append(character)
    return tuple(cased)


# Cached for the process: a constant of about a million characters.
@functools.cache
def _every_character() -> str:
    return "".join(map(chr, range(_LAST_CODE_POINT + 1)))


def _unite_ranges(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Return the same characters as sorted ranges that do not touch.

    >>> _unite_ranges([(98, 99), (97, 97), (100, 100)])
    ((97, 100),)
    """
    # Half a surrogate pair has no UTF-8, so Rust's syntax refuses it in a class.
    encodable: list[tuple[int, int]] = []
    for low, high in ranges:
        if low < _FIRST_SURROGATE:
            encodable.append((low, min(high, _FIRST_SURROGATE - 1)))
        if high > _LAST_SURROGATE:
            encodable.append((max(low, _LAST_SURROGATE + 1), high))
    merged: list[tuple[int, int]] = []
    for low, high in sorted(encodable):
        if merged and low <= merged[-1][1] + 1:
            before_low, before_high = merged[-1]
            merged[-1] = (before_low, max(high, before_high))
        else:
            merged.append((low, high))
    return tuple(merged)


def _complement_ranges(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Return every other character."""
    others: list[tuple[int, int]] = []
    next_code = 0
    for low, high in _unite_ranges(ranges):
        if low > next_code:
            others.append((next_code, low - 1))
        next_code = high + 1
    if next_code <= _LAST_CODE_POINT:
        others.append((next_code, _LAST_CODE_POINT))
    # A gap may span the surrogates; uniting takes them out.
    return _unite_ranges(others)
