"""The score of code by its tests, and what it takes to run any."""

from __future__ import annotations

import pytest

from tests.support.golden_builtins import SCORE, case_expecting
from tests.support.sandboxes import needs
from themis_lib.builtins.code_metric import CodeTests
from themis_lib.components.build import build
from themis_lib.core.models import ParsedOutput, Score, ScoreError
from themis_lib.errors import ComponentError

SQUARE = "def f(x): return x * x"


@pytest.fixture
def metric():
    needs("namespaces")
    return CodeTests(run_code=True, max_cpu_s=1, max_memory_mb=256)


def scored(metric, code, expected):
    return metric.score(ParsedOutput(value=code), case_expecting(expected), SCORE)


@pytest.mark.parametrize(
    "expected",
    [
        "assert f(3) == 9",
        ["assert f(3) == 9", "assert f(0) == 0"],
        {"test": "assert f(3) == 9"},
        {"test_list": ["assert f(n) == 9"], "test_setup_code": "n = 3"},
        {
            "test_list": ["assert math.isclose(f(3), 9)"],
            "test_imports": ["import math"],
            "test_setup_code": "",
        },
        {
            "prompt": "def f(x):\n    'Square.'\n",
            "test": "def check(candidate):\n    assert candidate(3) == 9",
            "entry_point": "f",
        },
    ],
)
def test_expected_output_has_the_shape_of_humaneval_or_mbpp_or_is_the_tests(
    metric, expected
):
    """Each shape is read, passes right code, and fails wrong code with its line."""
    right = scored(metric, SQUARE, expected)
    wrong = scored(metric, "def f(x): return -1", expected)

    assert Score(value=1.0, details={"outcome": "passed", "message": ""}) == right
    assert (0.0, "wrong") == (wrong.value, wrong.details["outcome"])
    assert wrong.details["message"].startswith("assert ")


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        (None, "the case has no expected output"),
        ({"tests": "x"}, "the expected output has no tests in test or test_list: "),
        ([], "the expected output has no tests in test or test_list: "),
        ({"test_list": [1]}, "test_list of the expected output is no text: 1"),
        ("assert f(3) =", "unusable tests: invalid syntax"),
        ("x" * 2**23, "code and tests are too long: more than"),
    ],
)
def test_case_without_usable_tests_is_an_error_of_its_row(metric, expected, reason):
    """A fault of the data is no wrong answer."""
    score = scored(metric, SQUARE, expected)

    assert isinstance(score, ScoreError)
    assert score.reason.startswith(reason)


def test_missing_answer_is_no_wrong_one(metric):
    """An output without code has no score."""
    assert ScoreError(reason="no answer") == scored(metric, None, "assert f(3) == 9")


def test_rows_are_scored_at_once_in_their_order(metric):
    """A batch has the outcome of each row where the row is, errors included."""
    codes = [f"def f(x): return {number}" for number in range(12)]
    answers = [ParsedOutput(value=code) for code in [*codes, None]]
    cases = [case_expecting("assert f(0) % 3 == 0")] * len(answers)

    outcomes = metric.score_batch(answers, cases, [SCORE] * len(answers))

    assert [1.0, 0.0, 0.0] * 4 == [outcome.value for outcome in outcomes[:-1]]
    assert ScoreError(reason="no answer") == outcomes[-1]


def test_limits_are_those_of_the_settings(metric):
    """A bound of the settings is the bound of the code."""
    small = CodeTests(run_code=True, max_memory_mb=64)
    code = "def f(x): return len(bytes(100 * 2**20)) and x * x"

    outcomes = [
        scored(one, code, "assert f(3) == 9").details["outcome"]
        for one in (metric, small)
    ]

    assert ["passed", "memory"] == outcomes


def test_code_runs_only_where_it_is_allowed():
    """Without permission the metric is refused, and the message names the setting."""
    with pytest.raises(ComponentError) as caught:
        build("metric", "builtin/code_tests", where="evaluation.metrics[0]")

    assert (
        "evaluation.metrics[0]: builtin/code_tests runs code that the model writes; to "
        "allow it, set `run_code: true` beside `use: builtin/code_tests`, or give "
        "evaluation.metrics.0.run_code=true on the command line" == str(caught.value)
    )


@pytest.mark.parametrize(
    "setting", [{"isolation": "none"}, {"max_memory_mb": 32}, {"max_cpu_s": 0}]
)
def test_settings_that_cannot_be_are_refused(setting):
    """An isolation that there is not, and bounds too low to start, are errors."""
    with pytest.raises(ComponentError, match=next(iter(setting))):
        CodeTests(**setting)


def test_permission_and_isolation_are_no_identity():
    """They decide whether code runs, not what comes out."""
    allowed = CodeTests(run_code=True, isolation="landlock")

    assert CodeTests().fingerprint() == allowed.fingerprint()
    assert CodeTests().fingerprint() != CodeTests(max_cpu_s=4).fingerprint()
