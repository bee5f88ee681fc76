"""An expression matches the bytes of what its pattern matches."""

from __future__ import annotations

import re

import pytest

from tests.support.reference_automaton import Automaton
from themis_lib.engine.constraints.expressions import alternatives, joined, literal
from themis_lib.engine.constraints.patterns import translate


@pytest.mark.parametrize(
    "pattern",
    [r".", r"[^a-c]", "[é-ü]", r"[\x7f-\u0800]", "[\\ud7ff-\\ue001]", "[😀-😂]"],
)
def test_a_class_has_the_bytes_of_its_characters_alone(pattern: str) -> None:
    """On both sides of each border between sizes of characters."""
    automaton = Automaton(translate(pattern).expression)
    borders = (0x7F, 0x7FF, 0xD7FF, 0xFFFF, ord("é"), ord("ü"), ord("😀"), 0x10FFFF)
    codes = {10, *map(ord, "abcd"), *(b + n for b in borders for n in (-1, 0, 1))}

    for code in sorted(codes - set(range(0xD800, 0xE000)) - {0x110000}):
        matches = re.fullmatch(pattern, chr(code)) is not None
        assert matches == automaton.accepts(chr(code).encode()), hex(code)


@pytest.mark.parametrize(
    ("pattern", "shortest"),
    [
        (r".*Answer: \d+", "Answer: 0"),
        ("(?:abc|b|c)x{2,}", "bxx"),
        ("(?:a?){3}", ""),
        ("[é-ü]+", "é"),
    ],
)
def test_the_shortest_text_is_known(pattern: str, shortest: str) -> None:
    """In characters that most vocabularies have; the first of several."""
    assert shortest == translate(pattern).expression.shortest.decode()


def test_what_is_empty_is_optional() -> None:
    """A sequence of nothing is the empty text, and so may be one of several."""
    nothing = joined(())

    assert b"" == nothing.shortest
    assert nothing.is_optional
    assert alternatives([literal("a"), nothing]).is_optional
    assert not joined([literal("a"), nothing]).is_optional
