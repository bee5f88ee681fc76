"""Mathematics: what is the same, what is not, and what takes for ever."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.golden_builtins import SCORE, case_expecting
from tests.support.scoring import reason, score
from themis_lib.builtins.math_metric import MathEquivalence
from themis_lib.components.build import component_identity
from themis_lib.core.models import ParsedOutput, ScoreError
from themis_lib.errors import ComponentError

#: From Math-Verify's README and `tests/test_all.py`: expected output, value, verdict.
PUBLISHED = [
    (r"${1,3} \cup {2,4}$", "${1,2,3,4}$", 1),
    ("$9$", r"Answer \[ 9 \]", 1),
    ("$10$", r"Answer \( (9+1) \)", 1),
    (r"$1/3$", r"$\frac13 $", 1),
    (r"$\sqrt{3}$", r"$\sqrt3 $", 1),
    ("$1/3$", r"$\boxed{\frac{1}{3}}$", 1),
    ("$1/3$", r"$k = \frac{1}{3}$", 1),
    ("$[0,1)$", "$[0,1)$", 1),
    ("$(0,9)$", "$[0,9)$", 0),
    (r"$28\%$", "$28$ percent", 1),
    ("$0.28$", "28", 0),
    (
        r"$2 \sin b \cos a$",
        r"\[\sin (a + b) - \sin (a - b) = \boxed{2 \sin b \cos a}.\]",
        1,
    ),
    ("$x < 1$", "$-x > -1$", 1),
    ("$x < 1$", "$x > -1$", 0),
    ("$11$", "$x=11$", 1),
    ("$2x + z = 1$", "$1$", 0),
    (r"$\frac{1}{12}$", "$0.0833333333333333$", 1),
    (r"$\frac{x+2}{7}$", r"$\frac{x}{7}+\frac{2}{7}$", 1),
    (r"$\tan^2(y)+1$", r"$\sec^2(y)$", 1),
    ("$34x+45y-20z+100=0$", "$-34x-45y+20z-100=0$", 1),
    ("$(a+5)(b+2)$", "$(+5)(b+2)$", 0),
    ("$2$", r"$\frac{1+\sqrt{5}}{2}$", 0),
    (
        r"$\begin{pmatrix}6 & 8 \\ 10 & 12\end{pmatrix}$",
        r"$\begin{pmatrix}1 & 2 \\ 3 & 4\end{pmatrix} + \begin{pmatrix}5 & 6 \\ 7 & "
        r"8\end{pmatrix}$",
        1,
    ),
]


@pytest.mark.parametrize(("expected", "value", "equal"), PUBLISHED)
def test_verdicts_are_those_of_math_verify(expected, value, equal):
    """Of its README and its own tests."""
    assert float(equal) == score(MathEquivalence(), value, expected)


@pytest.mark.parametrize(
    ("value", "expected", "equal"),
    [
        (r"\frac{1}{2}", "0.5", True),
        (r"\sqrt{8}", r"2\sqrt{2}", True),
        ("x^2 + 2x + 1", "(x+1)^2", True),
        ("Evelyn", r"\text{Evelyn}", True),
        ("1,000", 1000, True),
        (0.25, r"\frac{1}{4}", True),
        (1e30, "10^{30}", True),
        ("The answer is 42.", "42", True),
        (r"12\text{ and }13", r"\{12, 13\}", True),
        ("16 - 3", "13", True),
        (r"\sqrt{8}", r"2\sqrt{3}", False),
        ("y", "x", False),
        ("3", ["1", "2"], False),
        ("2", ["1", "2"], True),
    ],
)
def test_answers_need_no_dollar_signs(value, expected, equal):
    """As parsers give them and data sets hold them; of a list of accepted answers
    any.
    """
    assert float(equal) == score(MathEquivalence(), value, expected)


@pytest.mark.parametrize(
    ("settings", "value", "expected", "equal"),
    [
        ({}, "0.333", r"\frac{1}{3}", False),
        ({"float_rounding": 3}, "0.333", r"\frac{1}{3}", True),
        ({}, "y+1", "x+1", False),
        ({"strict": False}, "y+1", "x+1", True),
    ],
)
def test_settings_are_those_of_math_verify(settings, value, expected, equal):
    """Decimals that floats agree in, and whether the names of variables matter."""
    assert float(equal) == score(MathEquivalence(**settings), value, expected)


@pytest.mark.parametrize(
    ("value", "expected", "why"),
    [
        ("no number at all", "3", 'the value holds no mathematics: "no number at all"'),
        (
            "3",
            "no number at all",
            'the expected output holds no mathematics: "no number at all"',
        ),
        ("3", ["3", ""], 'the expected output holds no mathematics: ["3",""]'),
        ("3", [], "the expected output is empty"),
        (None, "3", "no answer"),
        ("3", None, "the case has no expected output"),
    ],
)
def test_what_holds_no_mathematics_is_no_wrong_answer(value, expected, why):
    """It is an error that shows what stood there."""
    assert why == reason(MathEquivalence(), value, expected)


#: A power with more digits than there is memory for.
ENDLESS = "9^{9^{9^{9}}}"


def test_comparison_that_takes_for_ever_is_an_error_of_its_row():
    """In time, and the next comparison is right again."""
    began = time.process_time(), time.monotonic()

    assert f'not decided in 0.5 s of processor time: "{ENDLESS}"' == reason(
        MathEquivalence(max_cpu_s=0.5), ENDLESS, "3"
    )
    assert 1.0 == score(MathEquivalence(), "3", "3")
    assert time.process_time() - began[0] < 5.0
    assert time.monotonic() - began[1] < 60.0


def test_comparisons_run_in_threads():
    """Signals reach the main thread alone, so time is not kept by them here; every
    thread has a process of its own.
    """
    pairs = [(str(n), str(n + n % 2)) for n in range(40)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda pair: score(MathEquivalence(), *pair), pairs))

    assert [float(n % 2 == 0) for n in range(40)] == found


def test_batch_has_the_scores_of_its_rows_in_order():
    """Whatever cores share them; a row without a verdict is an error, not the failure
    of the batch.
    """
    pairs = [(str(n), str(n + n % 2)) for n in range(9)] + [(None, "1")]
    answers, cases = (
        [ParsedOutput(value=value) for value, _ in pairs],
        [case_expecting(it) for _, it in pairs],
    )

    found = MathEquivalence().score_batch(answers, cases, [SCORE] * len(pairs))

    assert [float(n % 2 == 0) for n in range(9)] == [item.value for item in found[:9]]
    assert ScoreError(reason="no answer") == found[9]


def test_versions_of_the_libraries_are_identity():
    """Whatever can change a verdict: the reader, the comparison, and the algebra below
    them.
    """
    named = component_identity("metric", MathEquivalence())["settings"]["libraries"]

    assert [
        "math-verify",
        "latex2sympy2_extended",
        "sympy",
        "antlr4-python3-runtime",
    ] == list(named)


@pytest.mark.parametrize(
    "setting",
    [
        {"max_cpu_s": 0.0},
        {"max_cpu_s": float("inf")},
        {"float_rounding": -1},
        {"strict": 1},
    ],
)
def test_unfit_setting_is_refused(setting):
    """One line that names the component, the setting and its value."""
    [(name, value)] = setting.items()

    with pytest.raises(ComponentError) as raised:
        MathEquivalence(**setting)

    assert str(raised.value).startswith(f"builtin/math_equivalence: {name}={value!r}: ")
