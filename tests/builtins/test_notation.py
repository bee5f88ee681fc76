"""Plain notation: digits of all scripts, marks, spaces, tags and words."""

from __future__ import annotations

import pytest

from themis_lib.builtins.notation import plain_notation


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text, 1,234.5 - 3", "plain text, 1,234.5 - 3"),
        ("１，２３４．５％", "1,234.5%"),
        ("是５，３不是", "是5, 3不是"),
        ("٣٫٥ و ١٬٢٣٤", "3.5 و 1'234"),
        ("۱۲ १२ ১২ ๑๒", "12 12 12 12"),
        ("\u200f-\u200e٥٪", "-5%"),
        ("1\u202f234\u00a0m", "1\u2009234 m"),
        ("−5 ‐5 ‑5 ‒5 –5 —5 ―5 ﹣5 －5 ⁻5", "-5 " * 9 + "-5"),
        ("the sum—5—is", "the sum 5-is"),
        ("1’234ʼ567", "1'234'567"),
        ("½ 3½ ⅔ ¹⁄₃ 1⁄2", "1/2 3 1/2 2/3 1/3 1/2"),
        ("cm² 10⁻³ x₁", "cm^2 10^-3 x_1"),
        ("<b>5</b> x<sup>2</sup>", "5 x^{2}"),
        ("<answer>5</answer> &minus;5", "<answer>5</answer> -5"),
        ('<total unit="km">5</total> <result>5</result>', "5 5"),
        ("<<3+4=7>>7", "<<3+4=7>>7"),
        ("2**10", "2^10"),
        ("2 and 1/2", "2 1/2"),
    ],
)
def test_characters_become_plain(text, expected):
    """What is plain already stays as it is."""
    assert expected == plain_notation(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Negative 5", "-5"),
        ("is minus $5", "is -$5"),
        ("minus 5", "-5"),
        ("la réponse est moins 5", "la réponse est -5"),
        ("结果是负5", "结果是-5"),
        ("16 minus 3", "16 minus 3"),
        ("negative thoughts", "negative thoughts"),
    ],
)
def test_words_for_a_minus_become_one(text, expected):
    """In front of a number alone; between two numbers `minus` subtracts."""
    assert expected == plain_notation(text)
