"""Python's patterns are translated so that the same texts match, or refused."""

from __future__ import annotations

import re

import pytest

from tests.support.vocabularies import accepts
from themis_lib.engine.constraints.constraint import constraint
from themis_lib.engine.constraints.patterns import translate
from themis_lib.errors import ConfigError


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"\d{3}-\d{4}", "555-1234", "5551234"),
        (r"^(?:yes|no)$", "yes", "yesno"),
        (r"\A[a-z]+\Z", "abc", "ab1"),
        (r"(?P<year>\d+)", "1999", "٣"),
        (r"(?i)strasse|ok", "STRAſse", "ja"),
        (r"\w+", "naïve_1", "a b"),
        (r"[^\d]", "a", "٣"),
        (r".", "é", "\n"),
        (r"(?s).", "\n", ""),
        (r"a*?", "aaa", "b"),
        (r"(?x) a  b # spaces are free", "ab", "a b"),
        (r"(?a)\w", "a", "é"),
        (r"(?m)^a$", "a", "a\n"),
        (r"[\]/\\^-]", "/", "x"),
        (r"😀+", "😀😀", "☺"),
        ("", "", "a"),
        (r"\x00", "\0", "0"),
        (r"\s", "\t", "\u2003"),
        (r"a{0}b", "b", "ab"),
    ],
)
def test_a_pattern_is_read_as_python_reads_it(pattern, good, bad):
    assert accepts(good, regex=pattern)
    assert re.fullmatch(pattern, good)
    assert not accepts(bad, regex=pattern)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a(?=b)", "a lookahead or lookbehind"),
        ("(?<=a)b", "a lookahead or lookbehind"),
        ("a(?!b)", "a negative lookahead or lookbehind"),
        (r"(a)\1", "a backreference"),
        ("(a)(?(1)b|c)", "a conditional group"),
        ("a++b", "a possessive quantifier"),
        ("(?>a|b)", "an atomic group"),
        (r"a\b", r"the word boundary"),
        (r"a\B", r"the word boundary"),
        ("a^b", "^ after the beginning"),
        ("a$b", "$ before the end"),
        (r"a\Ab", "after the beginning"),
        (r"a\Zb", "before the end"),
        ("(^a)+", "^ after the beginning"),
        ("[", "is not a regular expression: unterminated character set"),
        (r"[^\s\S]", "matches nothing"),
        (r"\ud800", "matches nothing"),
        ("\ud800", "has half a surrogate pair"),
        (7, "is not a text"),
        ("(?:a{9999}){9999}", "a repetition of at least 99980001 bytes"),
    ],
)
def test_what_no_automaton_matches_is_refused(pattern, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        constraint(regex=pattern)
    assert str(caught.value).startswith("regex: ")


def test_a_searched_pattern_may_match_anywhere():
    """An edge without an anchor is open, and one with an anchor is not."""
    text = translate("^a|b$", search=True).text

    assert re.fullmatch(text, "axx", re.DOTALL)
    assert re.fullmatch(text, "xxb", re.DOTALL)
    assert not re.fullmatch(text, "ba", re.DOTALL)


@pytest.mark.parametrize("pattern", [r"(?:yes|no)+", r"\d{2,}", r"[^a]?b", r"(?i)k"])
def test_the_examples_of_a_pattern_match_it(pattern):
    """Each example is a whole text of the pattern, and the first is not too short."""
    translated = translate(pattern)

    assert translated.examples
    for example in translated.examples:
        assert re.fullmatch(pattern, example)
        assert len(example.encode()) >= translated.shortest


def test_the_argument_is_named_in_a_refusal():
    """A pattern inside of a schema is refused at its place."""
    with pytest.raises(ConfigError, match=r"^here: 'a\(' is not a regular expression"):
        translate("a(", argument="here")
