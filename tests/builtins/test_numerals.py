"""Numerals: how digits are grouped, scaled and put over one another."""

from __future__ import annotations

import pytest

from tests.support.parsing import value
from themis_lib.builtins.numerals import mixed_number, plain_decimal
from themis_lib.builtins.parsers import Number


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1234", "1234"),
        ("12.5", "12.5"),
        (".5", ".5"),
        ("1,234", "1234"),
        ("1,234,567.89", "1234567.89"),
        ("1.234,56", "1234.56"),
        ("1.234.567", "1234567"),
        ("1 234 567", "1234567"),
        ("1 234,5", "1234.5"),
        ("1\u2009234", "1234"),
        ("1'234.50", "1234.50"),
        ("1_000_000", "1000000"),
        ("1,00,000", "100000"),
        ("12,34,56,789.5", "123456789.5"),
        ("3,14", "3.14"),
        ("0,125", "0.125"),
        # Two readings, or none.
        ("1234,567", None),
        ("12,0000", None),
        ("1,2,3", None),
        ("1.2.3", None),
        ("1,234,5", None),
        ("0'123", None),
        ("1,234'567", None),
        ("12'34", None),
        ("1_2", None),
    ],
)
def test_digits_are_grouped_by_one_convention(written, expected):
    """Commas as in English and in India, points and decimal commas as in Europe, also
    apostrophes, underscores and spaces. What has two readings has none.
    """
    assert expected == plain_decimal(written)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("in all 1\u202f234\u202f567 votes", 1234567),
        ("12\u00a0345,67 EUR", 12345.67),
        ("so 2 000 people", 2000),
        ("CHF 9’876’543.20", 9876543.2),
        ("₹23,45,678", 2345678),
        (r"\boxed{12\,345\,678}", 12345678),
        (r"\boxed{7~500}", 7500),
        (r"\boxed{8,\!250}", 8250),
        (r"\boxed{4{,}750}", 4750),
        (r"\boxed{6\ 000}", 6000),
        ("das sind -2,75 Grad", -2.75),
        ("12 34", None),
        ("1`000", None),
        ("1,000,00", None),
    ],
)
def test_grouped_digits_are_one_number(output, expected):
    """No group of them is read alone."""
    assert expected == value(Number(), output)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("$1.5M", 1_500_000),
        ("$2.5 m", 2_500_000),
        ("$2.5 mil", 2_500_000),
        ("€3bn", 3 * 10**9),
        ("7k", 7000),
        ("1.1B users", 1_100_000_000),
        ("4.5 million dollars", 4_500_000),
        ("2 billion", 2 * 10**9),
        ("3 thousand", 3000),
        ("3 hundred thousand", 300_000),
        ("1,5 Mio. €", 1_500_000),
        ("6 lakh", 600_000),
        ("2 crore", 20_000_000),
        ("5万", 50_000),
        ("3亿", 300_000_000),
        # Units, and things of several words.
        ("5m", 5),
        ("5 m", 5),
        ("300 K", 300),
        ("3千克", 3),
        ("5 million 200 thousand", None),
        ("4 hundredths", None),
    ],
)
def test_magnitudes_scale(output, expected):
    """Words, characters and letters for powers of ten count; units do not."""
    assert expected == value(Number(), output)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("2.5×10⁻⁴", 0.00025),
        (r"\boxed{2.5 \times 10^{-4}}", 0.00025),
        ("2.5 · 10^3", 2500),
        ("2.5 x 10^3", 2500),
        ("2.5*10**3", 2500),
        ("2.5E−3", 0.0025),
        ("10^(-2)", 0.01),
        ("3²", 9),
        ("0x2A", 42),
        ("0b101", 5),
        ("0x2G", None),
        ("2.5×10-4", None),
        ("2^n", None),
    ],
)
def test_exponents_and_codes_are_read_as_a_whole(output, expected):
    """The mantissa alone is no number."""
    assert expected == value(Number(), output)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("3⁄4", 0.75),
        ("¾ cup", 0.75),
        ("2 ½", 2.5),
        ("2 and 1/2 hours", 2.5),
        ("-2 1/2", -2.5),
        ("3/-4", -0.75),
        (r"\boxed{\frac{5}{-8}}", -0.625),
        (r"\boxed{\frac{-5}{-8}}", 0.625),
        (r"-\frac{5}{8}", -0.625),
        (r"{5 \over 8}", 0.625),
        (r"the odds are \tfrac{5}{8}", 0.625),
        (r"\boxed{\frac{1,000}{8}}", 125),
        (r"\boxed{\frac{\sqrt{5}}{8}}", None),
        (r"\boxed{\frac{5}{x}}", None),
        ("5/8/9", None),
        ("5-1/2", None),
        ("5 and a half", None),
    ],
)
def test_fractions_are_read_as_a_whole(output, expected):
    """With their signs and whole parts."""
    assert expected == value(Number(), output)


def test_mixed_number_keeps_its_parts_apart():
    """Without a whole part it is the fraction."""
    assert ("3 1/2", "1/2") == (mixed_number("3", "1/2"), mixed_number(None, "1/2"))
