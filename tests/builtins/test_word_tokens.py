"""Words in any script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.builtins.word_tokens import (
    is_chinese,
    is_mostly_ascii,
    is_unspaced,
    split_unspaced,
    word_tokens,
)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("?!", []),
        ("it's 5.", ["it", "s", "5"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("한국어 텍스트", ["한국어", "텍스트"]),
        ("日本語GPU", ["日", "本", "語", "GPU"]),
        ("๒๓ ฉบับ", ["๒๓", "ฉ", "บั", "บ"]),
        ("ខ្មែរ", ["ខ្", "មែ", "រ"]),
        ("naïve cafe\u0301", ["naïve", "cafe\u0301"]),
    ],
)
def test_words_are_letters_with_their_marks(text, tokens):
    """Or digits; single letters where the script has no spaces."""
    assert tokens == word_tokens(text)


@given(st.text())
def test_no_letter_is_lost_or_made(text):
    """Words hold the letters and digits of a text, in order."""
    letters = [char for char in text if char.isalpha()]

    assert letters == [char for char in "".join(word_tokens(text)) if char.isalpha()]


@given(st.text(st.characters(exclude_categories=["Cn", "Cs"])))
def test_only_scripts_without_spaces_are_divided(text):
    """Other texts stay whole."""
    divided = split_unspaced(text)

    assert divided == [text] or any(map(is_unspaced, divided))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("北京", (True, True, False)),
        ("東京です", (True, False, False)),
        ("สวัสดี", (True, False, False)),
        ("서울", (False, True, False)),
        ("Paris 北京", (False, True, True)),
        ("тест", (False, True, False)),
        ("5", (False, True, True)),
        ("", (False, True, True)),
    ],
)
def test_scripts_are_told_apart(text, found):
    """Without spaces between words, with no letters of those but Chinese ones, and
    mostly of ASCII.
    """
    assert found == (is_unspaced(text), is_chinese(text), is_mostly_ascii(text))
