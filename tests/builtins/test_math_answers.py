"""Answers as models write them: the same mathematics with other marks around it."""

from __future__ import annotations

import pytest

from tests.support.scoring import reason, score
from themis_lib.builtins.math_metric import MathEquivalence
from themis_lib.builtins.math_texts import as_latex, without_marks
from themis_lib.builtins.math_words import words

CURRENCIES_AND_SEPARATORS = [
    (r"\$32{,}348", "32348", 1),
    (r"\$18.90", r"\$18.90", 1),
    (r"\$5 \text{ per hour}", "5", 1),
    (r"\$18.90", "18.90", 1),
    ("18.90", r"\$18.90", 1),
    ("$18.90", "18.90", 1),
    ("$18.90$", "18.90", 1),
    (r"$\$18.90$", "18.90", 1),
    ("€5", "5", 1),
    ("£5", "£5", 1),
    ("5 €", "5", 1),
    ("$1,234.50", "1234.5", 1),
    (r"\$1,000,000", "1000000", 1),
    ("1{,}000", "1000", 1),
    (r"1\,000", "1000", 1),
    (r"10\,000", "10000", 1),
    (r"32,\!348", "32348", 1),
    ("20 dollars", r"\$20", 1),
    ("20 dollars", "20", 1),
    ("It costs $18.90 in total", "18.90", 1),
    (r"The total is \$18.90.", "18.90", 1),
    ("The price is $5.", "5", 1),
    ("So the answer is $5 per hour", "5", 1),
    ("$5 per hour", "5", 1),
    (r"The answer is \(\$18.90\).", "18.90", 1),
    (r"$\$18.90$", r"\$18.90", 1),
    (r"18.90\$", "18.90", 1),
    (r"\text{\$}5", "5", 1),
    (r"\$\,5", "5", 1),
    (r"-\$5", "-5", 1),
    (r"\$-5", "-5", 1),
    (r"\$ 32,348", "32348", 1),
    (r"\$32{,}348.50", "32348.5", 1),
    ("$32,348$", "32348", 1),
    ("$32,348", "32348", 1),
    ("32348", "$32,348", 1),
    (r"\$32{,}348", "32349", 0),
    (r"\$5", r"\$6", 0),
    ("100{,}000", "100000", 1),
]


@pytest.mark.parametrize(("value", "expected", "equal"), CURRENCIES_AND_SEPARATORS)
def test_currencies_and_separators(value, expected, equal):
    """Currencies and thousands separators say nothing about a number."""
    assert float(equal) == score(MathEquivalence(), value, expected)


MARKS = [
    ("**73**", "73", 1),
    ("`73`", "73", 1),
    (r"**\(73\)**", "73", 1),
    ("**x = 5**", "5", 1),
    ("__73__", "73", 1),
    ("**$73$**", "73", 1),
    ("**Answer:** 73", "73", 1),
    ("**Answer: 73**", "73", 1),
    ("`x+1`", "x+1", 1),
    ("```\n73\n```", "73", 1),
    ("```73```", "73", 1),
    ("Thus the number of residents is **73**.", "73", 1),
    (r"`\frac{1}{2}`", "0.5", 1),
    ("`(1, 2)`", "(1,2)", 1),
    ("**(C)**", "C", 1),
    (r"**\frac{1}{2}**", "0.5", 1),
    (r"**$\frac{1}{2}$**", "0.5", 1),
    ("**Final answer:** `73`", "73", 1),
    ("**73** apples", "73", 1),
    ("**73 apples**", "73", 1),
    ("__x__", "x", 1),
    ("***73***", "73", 1),
    ("**no solution**", "no solution", 1),
]


@pytest.mark.parametrize(("value", "expected", "equal"), MARKS)
def test_marks(value, expected, equal):
    """Bold, italics and code of Markdown surround an answer; products and powers stay."""
    assert float(equal) == score(MathEquivalence(), value, expected)


SMALL_NUMBERS = [
    ("0.0000001", "0.0000002", 0),
    ("1e-7", "2e-7", 0),
    ("0.00000001", "0", 0),
    (1e-08, 2e-08, 0),
    ("1.5e-10", "1.5e-10", 1),
    ("6.02e23", "6.02e23", 1),
    (r"6.02\times 10^{23}", "6.02e23", 1),
    ("1e-9", "0", 0),
    (r"3\times10^{-8}", r"4\times10^{-8}", 0),
    ("5×10³", "5000", 1),
    ("1e-8", "0.00000001", 1),
    ("1.2e-6", "1.4e-6", 0),
    ("0.0000012", "0.0000014", 0),
    ("0.00000333", r"\frac{1}{300000}", 1),
    ("0.0000333", r"\frac{1}{30000}", 1),
    ("0.33333333", r"\frac13", 1),
    ("0.333", "0.3333", 0),
    ("1e-20", "0", 0),
    ("-0.0000001", "0.0000001", 0),
    ("6.02e23", "602000000000000000000000", 1),
    ("1e5", "100000", 1),
    (1e-07, 1e-07, 1),
    (2.5e-07, r"2.5\times 10^{-7}", 1),
    (1e-300, "1e-300", 1),
    ("1E-8", "1e-8", 1),
    (r"0.5\times10^{-7}", r"5\times10^{-8}", 1),
    (0.30000000000000004, "0.3", 1),
    ("10⁻³", "0.001", 1),
]


@pytest.mark.parametrize(("value", "expected", "equal"), SMALL_NUMBERS)
def test_small_numbers(value, expected, equal):
    """Small numbers agree in three digits, whatever they are in decimals; powers of ten are exact."""
    assert float(equal) == score(MathEquivalence(), value, expected)


ANSWERS_IN_WORDS = [
    ("no solution", r"\text{no solution}", 1),
    ("undefined", r"\text{undefined}", 1),
    ("DNE", r"\text{DNE}", 1),
    ("undefined", "undefined", 1),
    ("no solution", "no solution", 1),
    ("No solution", r"\text{no solution}", 1),
    ("no real solutions", r"\text{no real solutions}", 1),
    ("does not exist", r"\text{does not exist}", 1),
    ("no solution", "5", 0),
    (r"\text{no solution}", "5", 0),
    ("undefined", "0", 0),
    ("no solution", "undefined", 0),
    ("Monday", r"\text{Tuesday}", 0),
    ("infinity", r"\infty", 1),
    ("True", "True", 1),
    ("False", "True", 0),
    ("yes", "yes", 1),
    ("yes", "no", 0),
    ("even", r"\text{even}", 1),
    ("no solution", "No Solution", 1),
    ("No solutions", "no solution", 1),
    (r"\text{No solution}", "no solution", 1),
    (r"$\text{no solution}$", "no solution", 1),
    (r"\textbf{no solution}", "no solution", 1),
    ("none", "none", 1),
    ("Undefined", "undefined", 1),
    (r"\text{undefined}", "undefined", 1),
    ("DNE", r"\text{does not exist}", 1),
    ("undefined", "5", 0),
    ("DNE", "0", 0),
    (r"\text{DNE}", "DNE", 1),
    ("no", "yes", 0),
    ("Infinitely many solutions", "infinitely many", 1),
    (r"\infty", "DNE", 0),
    ("infinity", "-infinity", 0),
    ("Monday", "Dynamo", 0),
    ("Monday", "monday", 1),
    ("listen", "silent", 0),
    ("Tuesday", "5", 0),
    ("The answer is Monday.", "Monday", 1),
    ("New York", "New York", 1),
    ("New York", "York New", 0),
    ("red", "blue", 0),
    ("red", "red", 1),
    ("Evelyn", "Evelyn", 1),
    (r"\text{Evelyn}", "evelyn", 1),
    ("obtuse", r"\text{acute}", 0),
    ("neither", "neither", 1),
    ("cannot be determined", "cannot be determined", 1),
    (r"\binom{5}{2}", "10", 1),
    (r"\varnothing", r"\{\}", 1),
    ("all real numbers", r"\text{all real numbers}", 1),
]


@pytest.mark.parametrize(("value", "expected", "equal"), ANSWERS_IN_WORDS)
def test_answers_in_words(value, expected, equal):
    """Answers in words are compared as words, and are no mathematics."""
    assert float(equal) == score(MathEquivalence(), value, expected)


UNITS = [
    (r"5 \text{ cm}", "5", 1),
    (r"5\text{ cm}^2", "5", 1),
    (r"5\,\text{cm}", r"5\text{ cm}", 1),
    (r"12 \text{ inches}", "12", 1),
    ("12 inches", "12", 1),
    ("5 cm", "5", 1),
    ("5 cm^2", "5", 1),
    ("3 hours", "3", 1),
    (r"50\%", "0.5", 1),
    ("50%", "0.5", 1),
    ("50%", r"50\%", 1),
    ("50 percent", "50%", 1),
    ("50%", "50", 1),
    ("0.5", "50%", 1),
    ("50", "50%", 1),
    (r"45^\circ", "45", 1),
    (r"45^{\circ}", "45", 1),
    ("45°", "45", 1),
    (r"45\degree", "45", 1),
    ("45 degrees", "45", 1),
    ("45 degrees", r"45^\circ", 1),
    (r"(-\infty,2)\cup(3,\infty)", r"(3,\infty)\cup(-\infty,2)", 1),
    ("5%", "5", 1),
    ("5 %", "5%", 1),
    (r"12.5\%", "12.5%", 1),
    ("12.5%", "0.125", 1),
    ("12.5%", "12.6%", 0),
    ("5 percent", "5%", 1),
    (r"90^{\circ}", "90°", 1),
    ("90°", "90", 1),
    ("90 degrees", "90", 1),
    (r"\frac{\pi}{2} \text{ radians}", r"\frac{\pi}{2}", 1),
    (r"[0,1] \cup [2,3]", "[2,3]∪[0,1]", 1),
    (r"5\ \text{cm}", "5", 1),
    (r"5~\mathrm{cm}", "5", 1),
    ("30 square units", "30", 1),
    ("30 miles per hour", "30", 1),
    ("30 mph", "30", 1),
    ("5 apples", "5", 1),
    ("1/2 cup", "0.5", 1),
]


@pytest.mark.parametrize(("value", "expected", "equal"), UNITS)
def test_units(value, expected, equal):
    """Units, degrees and percent signs are ignored, as in MATH."""
    assert float(equal) == score(MathEquivalence(), value, expected)


SPELLINGS = [
    (r"\mathbf{73}", "73", 1),
    (r"\textbf{73}", "73", 1),
    ("*73*", "73", 1),
    ("5", "no solution", 0),
    (r"\frac12", "0.5", 1),
    (r"\dfrac{1}{2}", "1/2", 1),
    (r"\tfrac12", r"\frac{1}{2}", 1),
    (r"\frac{1}2", "0.5", 1),
    (r"\frac 1 2", "0.5", 1),
    (r"\left(1,2\right)", "(1,2)", 1),
    (r"\left( 1, 2 \right)", "(1, 2)", 1),
    (r"\left[0,1\right)", "[0,1)", 1),
    (r"\big(1,2\big)", "(1,2)", 1),
    (r"\sqrt2", r"\sqrt{2}", 1),
    (r"\sqrt 2", r"\sqrt{2}", 1),
    (r"2\frac12", "2.5", 1),
    (r"2\frac{1}{2}", "5/2", 1),
    ("2 1/2", "5/2", 1),
    (r"-\frac{1}{2}", "-0.5", 1),
    (r"\frac{-1}{2}", r"-\frac12", 1),
    (r"\cfrac{1}{2}", "0.5", 1),
    (r"\{1,2,3\}", r"\{3,2,1\}", 1),
    ("{1,2,3}", r"\{1,2,3\}", 1),
    (r"\{1,2\}", r"\{1,2,3\}", 0),
    ("1,2,3", r"\{1,2,3\}", 1),
    ("1, 2", "2, 1", 1),
    ("(1,2)", "(2,1)", 0),
    ("(1,2)", "[1,2]", 0),
    ("[1,2)", "[1,2]", 0),
    (r"(-\infty, 3]", r"(-\infty,3]", 1),
    (r"x \in [0,1]", "[0,1]", 1),
    ("x=2, x=3", "2,3", 1),
    ("x=2 or x=3", "2,3", 1),
    ("2 and 3", "2, 3", 1),
    (
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\begin{bmatrix}1&2\\3&4\end{bmatrix}",
        1,
    ),
    (
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\begin{pmatrix}1&2\\3&5\end{pmatrix}",
        0,
    ),
    (
        r"\begin{pmatrix}1\\2\end{pmatrix}",
        r"\left(\begin{array}{c}1\\2\end{array}\right)",
        1,
    ),
    ("x = 5", "5", 1),
    ("5", "x=5", 1),
    ("3π", r"3\pi", 1),
    ("√2", r"\sqrt2", 1),
    ("2√3", r"2\sqrt{3}", 1),
    ("x²", "x^2", 1),
    ("½", "1/2", 1),
    ("−5", "-5", 1),
    ("≤5", r"\le 5", 1),
    ("x ≥ 2", r"x \geq 2", 1),
    ("π/4", r"\frac{\pi}{4}", 1),
    ("∞", r"\infty", 1),
    ("−1/2", r"-\frac12", 1),
    ("２５", "25", 1),
    ("5.", "5", 1),
    ("5!", "120", 1),
    ("1,234", "1234", 1),
    ("3:2", "3:2", 1),
    ("3:2", "2:3", 0),
    (r"\text{(C)}", "C", 1),
    ("(C)", "C", 1),
    (r"\text{C}", "C", 1),
    ("A", "B", 0),
    ("32,348", "32348", 1),
    ("x_1", "x_1", 1),
    ("x_{12}", "x_{12}", 1),
    ("a*b", "ab", 1),
    ("2*3*4", "24", 1),
    ("5", r"\text{undefined}", 0),
    ("0", "DNE", 0),
    ("x", "DNE", 0),
    ("0", "0.0", 1),
    ("5e", "5e", 1),
    ("2e^3", "2e^{3}", 1),
    ("1234567.891", "1234567.892", 0),
    (r"\frac{3}{4}\pi", r"3\pi/4", 1),
    (r"\dfrac34", "0.75", 1),
    (r"-\dfrac{3}{4}", "-.75", 1),
    (r"\frac{\sqrt3}{2}", r"\frac{\sqrt{3}}{2}", 1),
    (r"\left\{1,2\right\}", r"\{1,2\}", 1),
    (r"\left|x\right|", "|x|", 1),
    (r"\left(\frac{1}{2},3\right)", "(0.5,3)", 1),
    (r"\bigl(1,2\bigr)", "(1,2)", 1),
    (r"\lbrace 1,2\rbrace", r"\{1,2\}", 1),
    (r"\frac{1}{2}x", "x/2", 1),
    (r"\sqrt[3]{8}", "2", 1),
    (r"\sqrt[3]8", "2", 1),
    ("2^{3}", "8", 1),
    ("x^{10}", "x^10", 1),
    ("3!", "6", 1),
    (r"5\cdot 3", "15", 1),
    ("5·3", "15", 1),
    (r"\{-2, 3\}", r"\{3,-2\}", 1),
    ("∅", r"\emptyset", 1),
    ("(-∞, 3]", r"(-\infty,3]", 1),
    ("[0, 1]", "[0,1)", 0),
    (r"x\in(1,2)", "(1,2)", 1),
    ("x>2", "x > 3", 0),
    ("(3, 4]", "(3,4]", 1),
    (
        r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}",
        r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}",
        1,
    ),
    (
        r"\begin{pmatrix} 1/2 \\ 0 \end{pmatrix}",
        r"\begin{pmatrix} \frac12 \\ 0 \end{pmatrix}",
        1,
    ),
    (r"\begin{pmatrix} 1 & 2 \end{pmatrix}", r"\begin{pmatrix} 2 & 1 \end{pmatrix}", 0),
    (r"5\text{ m/s}", "5", 1),
    ("5 sin x", "5", 0),
    ("2 xy", "2xy", 1),
    ("2ab", "2ab", 1),
    ("x^2 + 2x + 1", "(x+1)^2", 1),
    ("y = 2x+1", "2x+1", 1),
    ("A", "A", 1),
    ("(A)", "A", 1),
    ("A.", "A", 1),
    ("A", "(B)", 0),
    ("1½", "1.5", 1),
    ("2⅓", r"\frac{7}{3}", 1),
    ("x₁", "x_1", 1),
    ("√(2)", r"\sqrt2", 1),
    ("√16", "4", 1),
    ("3√2", r"3\sqrt{2}", 1),
    ("2π", r"2\pi", 1),
    ("-∞", r"-\infty", 1),
    ("１２．５", "12.5", 1),
    ("θ", r"\theta", 1),
    ("α", "β", 0),
    ("≈3.14", "3.14", 1),
    ("±2", r"\pm 2", 1),
]


@pytest.mark.parametrize(("value", "expected", "equal"), SPELLINGS)
def test_spellings(value, expected, equal):
    """LaTeX and Unicode write the same mathematics in many ways."""
    assert float(equal) == score(MathEquivalence(), value, expected)


def test_sentence_that_may_hold_the_words_is_no_wrong_answer():
    """Whether `surely Monday` is Monday cannot be told."""
    assert 'the value holds no mathematics: "It is not Monday"' == reason(
        MathEquivalence(), "It is not Monday", "Monday"
    )


def test_words_of_a_list_of_accepted_answers_count_like_its_mathematics():
    """Any of them."""
    accepted = [r"\text{no solution}", "5"]

    assert [1.0, 1.0, 0.0, 0.0] == [
        score(MathEquivalence(), value, accepted)
        for value in ("no solutions", "5", "6", "undefined")
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The equation has no solution.", "no solution"),
        ("The limit does not exist.", "does not exist"),
        ("Thus there are infinitely many solutions", "infinitely many"),
        ("x = 5, so the claim is true", None),
        ("The answer is Tuesday", "tuesday"),
        *(
            (text, None)
            for text in ("xy", "x", "A and B", "5", "sinh", r"\text{C}", "")
        ),
    ],
)
def test_words_are_told_from_mathematics(text, expected):
    """Sentences that say an answer say its words; short words can be products, and
    functions have names.
    """
    assert expected == words(text)


@pytest.mark.parametrize(
    "text", [r"\frac{1}{2}", "x^2+1", "(a, b)", r"\{1, 2\}", "2*3"]
)
def test_what_is_already_latex_stays_as_it_is(text):
    """Only what surrounds it, or is written otherwise, is changed."""
    assert text == as_latex(without_marks(text))
