"""Regular expressions: Python's syntax tree, written out in Rust's syntax.

llguidance reads Rust's syntax. A pattern is parsed by Python and written out with every
class and repetition spelled out, so that no flag or default of Rust's changes it.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Sequence
from typing import Any, Literal

from themis_lib.engine.constraints.characters import class_ranges
from themis_lib.engine.constraints.pieces import (
    ANYTHING,
    EMPTY,
    Translated,
    UntranslatableError,
    group,
    join_alternatives,
    join_pieces,
    repeat,
    write_class,
)
from themis_lib.engine.constraints.refusals import check_encodable, refuse


# Cached for the process: a schema's pattern is translated once to compile it, and again
# for its reserve and its hints. The result is immutable and depends on the arguments.
@functools.lru_cache(maxsize=256)
def translate(
    pattern: str,
    *,
    argument: str = "regex",
    search: bool = False,
) -> Translated:
    """Return Python's `pattern` in Rust's syntax, matching the same texts.

    `\\d` and `\\s` are narrowed to ASCII. With `search` the pattern may match anywhere
    in a text, as in JSON Schema. Raises `ConfigError` for what no automaton can do,
    such as lookaround and backreferences, and for a pattern that matches nothing.
    """
    try:
        re.compile(pattern)
        # Private to the standard library, but the only parser of Python's own syntax.
        parser = importlib.import_module("re._parser")
        tree = parser.parse(pattern)
    except (
        re.error,
        RecursionError,
        OverflowError,
    ) as error:
        refuse(
            argument,
            pattern,
            f"is not a regular expression: {error}",
            "correct it",
        )
    check_encodable(argument, pattern)
    edge: _Edge = "open" if search else "anchored"
    try:
        piece = _translate_sequence(
            list(tree),
            tree.state.flags,
            edge,
            edge,
        )
    except UntranslatableError as error:
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


#: What an item has beside it: another item, an end of the text, or any text at all.
_Edge = Literal["inside", "anchored", "open"]
_Item = tuple[Any, Any]

_STARTS = frozenset({"AT_BEGINNING", "AT_BEGINNING_STRING"})
_ENDS = frozenset({"AT_END", "AT_END_STRING"})
# Greedy and lazy repetitions match the same whole texts.
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT"})
# What is refused, by its operation in Python's syntax tree.
_UNTRANSLATABLE = {
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
    items: Sequence[_Item],
    flags: int,
    head: _Edge,
    tail: _Edge,
) -> Translated | None:
    """Translate items that follow one another, to `None` if they match nothing.

    At an open edge any text may come before or after.
    """
    # Anchors at an edge only say where the edge is. Any that remain are refused.
    first = 0
    last = len(items)
    while head != "inside" and first < last and _anchor_name(items[first]) in _STARTS:
        first += 1
        head = "anchored"
    while tail != "inside" and first < last and _anchor_name(items[last - 1]) in _ENDS:
        last -= 1
        tail = "anchored"
    if first == last:
        return ANYTHING if "open" in (head, tail) else EMPTY
    pieces: list[Translated | None] = []
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
    return join_pieces(pieces)


def _translate_item(
    item: _Item,
    flags: int,
    head: _Edge,
    tail: _Edge,
) -> Translated | None:
    operation, argument = str(item[0]), item[1]
    # Alternatives and groups pass their edges on, so that `^a|b$` has its anchors.
    if operation == "BRANCH":
        options: list[Translated] = []
        for branch in argument[1]:
            option = _translate_sequence(
                list(branch),
                flags,
                head,
                tail,
            )
            if option is not None:
                options.append(option)
        return join_alternatives(options)
    if operation == "SUBPATTERN":
        _, added, removed, inner = argument
        inner_flags = (flags | added) & ~removed
        return group(
            _translate_sequence(
                list(inner),
                inner_flags,
                head,
                tail,
            )
        )
    if operation in _REPEATS:
        least, most, inner = argument
        once = group(
            _translate_sequence(
                list(inner),
                flags,
                "inside",
                "inside",
            )
        )
        piece = repeat(least, most, once)
    elif operation == "AT":
        raise UntranslatableError(_UNTRANSLATABLE.get(str(argument), operation))
    elif operation in _UNTRANSLATABLE:
        raise UntranslatableError(_UNTRANSLATABLE[operation])
    else:
        piece = write_class(class_ranges(operation, argument, flags))
    before = ANYTHING if head == "open" else EMPTY
    after = ANYTHING if tail == "open" else EMPTY
    return join_pieces([before, piece, after])


def _anchor_name(item: _Item) -> str:
    operation, argument = item
    return str(argument) if str(operation) == "AT" else ""
