"""Users' regular expressions: what they match, and that they end."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.bounded.patterns import match_texts
from themis_lib.errors import RowError

#: Of every kind of syntax that `re` has.
PATTERNS = [
    "",
    "a",
    "a+?b*",
    "(a)|(b)",
    r"(?P<first>\w)(?P=first)",
    r"(\w+)\s+\1",
    "(?i)straße",
    "(?s)a.b",
    "(?m)^a$",
    "(?x) a  b # comment",
    "(?a)\\w+",
    "(?i:A)b",
    "a{2,3}",
    "a{,2}b",
    "a{e}",
    "a++b",
    "(?>a+)b",
    "(?=a)ab",
    "(?<!a)b",
    r"(a)?(?(1)b|c)",
    "[^a-c]",
    "[]a]",
    r"\d+",
    r"\bb\b",
    r"\W\S",
    r"\Aa|b\Z",
    "[\\u0900-\\u097f]+",
    r"A: (-?\d+)",
]
TEXTS = st.text("ab cA:1-2\nßशिé\ud800²") | st.text()


@given(pattern=st.sampled_from(PATTERNS), text=TEXTS, which=st.sampled_from([0, 1, -1]))
def test_matches_are_those_of_re(pattern, text, which):
    """Whole text and groups of the first, the second and the last match."""
    compiled = re.compile(pattern)
    found = [[match[0], *match.groups()] for match in compiled.finditer(text)]
    expected = found[which] if -len(found) <= which < len(found) else None

    assert expected == match_texts(compiled, text, which=which)


@given(pattern=st.sampled_from(PATTERNS), text=TEXTS)
def test_match_of_the_whole_text_is_that_of_re(pattern, text):
    """As by `fullmatch`."""
    compiled = re.compile(pattern)
    found = compiled.fullmatch(text)

    assert (found and [found[0], *found.groups()]) == match_texts(
        compiled, text, which=None
    )


@pytest.mark.parametrize(
    "flags", [re.NOFLAG, re.IGNORECASE, re.ASCII, re.MULTILINE | re.DOTALL]
)
def test_flags_count(flags):
    """Those that the pattern was compiled with."""
    compiled = re.compile("^é.$", flags)
    texts = ["éa", "Éa", "x\néa", "é\n"]

    assert [bool(compiled.search(text)) for text in texts] == [
        match_texts(compiled, text, which=0) is not None for text in texts
    ]


#: Patterns that try for ever, each with a text that makes them.
ENDLESS = [
    ("^(a+)+$", "a" * 60 + "!"),
    ("(a|aa)+$", "a" * 90 + "!"),
    ("(a|a)*b", "a" * 60),
    (r"(.*)*x", "y" * 60),
    ("(a?){60}a{60}", "a" * 60),
    (r"^(\w+\s?)*$", "word " * 40 + "!"),
    (r"(x+x+)+y", "x" * 60),
    (r".*.*.*.*=", "x" * 3000),
]


@pytest.mark.parametrize(("pattern", "text"), ENDLESS)
@pytest.mark.parametrize("which", [0, -1, None])
def test_pattern_that_tries_for_ever_is_an_error_of_the_row(pattern, text, which):
    """It names the pattern, the time and the cure; the next match is right again."""
    if which is None:
        text, pattern = f"{text}\0", f"(?:{pattern})\n"

    with pytest.raises(RowError) as raised:
        match_texts(re.compile(pattern), text, which=which, cpu_s=0.2)

    assert str(raised.value).startswith(
        f"pattern {pattern!r} took more than 0.2 s of processor time on {len(text)} "
        "characters; write it so that each text can match in one way only"
    )
    assert ["a"] == match_texts(re.compile("a"), "ba", which=0)
