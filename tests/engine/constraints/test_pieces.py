"""Pieces of a pattern keep bounds on their texts while they are put together."""

from __future__ import annotations

import re

import pytest

from themis_lib.engine.constraints.expressions import literal
from themis_lib.engine.constraints.pieces import (
    EMPTY,
    Translated,
    UntranslatableError,
    group,
    join_alternatives,
    join_pieces,
    repeat,
    write_class,
)

A = Translated("a", 1, 1, ("a",), literal("a"))
BCD = Translated("bcd", 3, 3, ("bcd",), literal("bcd"))


def bounds(piece: Translated | None) -> tuple[object, ...]:
    """Return all but the expression, which is compared by identity."""
    assert piece is not None
    return piece[:4]


def test_joined_pieces_need_the_rest_of_one_and_all_that_follows():
    """The farthest place is in the first piece."""
    joined = join_pieces([A, BCD])

    assert ("abcd", 4, 4, ("abcd",)) == bounds(joined)
    assert b"abcd" == joined.expression.shortest


def test_what_holds_a_piece_that_matches_nothing_matches_nothing():
    """No text is left, however the rest matches."""
    assert join_pieces([A, None]) is None
    assert group(None) is None


def test_alternatives_have_the_bounds_of_the_best_and_the_worst():
    """The shortest example comes first."""
    either = join_alternatives([BCD, A])

    assert ("(?:bcd|a)", 1, 3, ("a", "bcd")) == bounds(either)
    assert b"a" == either.expression.shortest
    assert join_alternatives([]) is None


def test_a_repetition_counts_its_least_number():
    """An optional piece has the empty text as an example."""
    assert ("a{3,5}", 3, 3, ("aaa",)) == bounds(repeat(3, 5, A))
    assert ("a{0,2}", 0, 1, ("", "a")) == bounds(repeat(0, 2, A))
    assert EMPTY == repeat(0, 0, A)


def test_a_piece_that_matches_nothing_can_be_repeated_no_times():
    """`[^\\s\\S]*` matches the empty text."""
    assert EMPTY == repeat(0, 5, None)
    assert repeat(1, 5, None) is None


def test_a_repetition_of_too_many_bytes_is_refused():
    """Its examples would fill the memory."""
    with pytest.raises(UntranslatableError, match="at least 30000 bytes"):
        repeat(10_000, 10_000, BCD)


@pytest.mark.parametrize(
    ("ranges", "shortest", "farthest", "example"),
    [
        (((97, 97),), 1, 1, "a"),
        (((48, 57), (97, 122)), 1, 1, "a"),
        (((0xE9, 0xFC),), 2, 2, "é"),
        (((45, 45), (0x1F600, 0x1F64F)), 1, 3, "-"),
    ],
)
def test_a_class_is_as_long_as_its_characters(ranges, shortest, farthest, example):
    """Sizes are in bytes of UTF-8; the example is a usual character if there is one."""
    piece = write_class(ranges)

    assert (shortest, farthest, (example,)) == piece[1:4]
    assert re.fullmatch(piece.text, example)
    assert write_class(()) is None
