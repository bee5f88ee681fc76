"""Tests call code in another process, and see what it returns as plain data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.sandboxes import needs, verdict_on


@pytest.fixture(autouse=True, scope="module")
def sandbox():
    needs("namespaces")


@pytest.mark.parametrize(
    "value",
    [
        "None",
        "True",
        "10**5000",
        "-0.5",
        "float('inf')",
        "'\\ud800é'",
        "b'\\xff'",
        "1 + 2j",
        "(1, [2, {'a': {3}}], frozenset('b'), ())",
        "{(1, 2): None, 1.5: 'x'}",
    ],
)
def test_plain_values_come_and_go_with_their_types(value):
    """What the tests hand over is what they get back, nested types included."""
    code = "def f(x): return x"
    tests = (
        f"value = {value}",
        "assert f(value) == value and repr(type(f(value))) == repr(type(value))",
    )

    assert "passed" == verdict_on(code, *tests).outcome


def test_subclasses_of_plain_types_compare_as_those():
    """A named tuple is a tuple to the tests, a counter a dict."""
    code = (
        "import collections\nPair = collections.namedtuple('Pair', 'a b')\n"
        "def pair(): return Pair(1, 2)\ndef count(): return collections.Counter('aab')"
    )
    tests = ("assert pair() == (1, 2)", "assert count() == {'a': 2, 'b': 1}")

    assert "passed" == verdict_on(code, *tests).outcome


def test_objects_of_the_code_are_handed_back_to_it():
    """Tests may make objects of the code's classes, set their fields and pass them on,
    as MBPP's do.
    """
    code = (
        "class Node:\n    def __init__(self, data):\n"
        "        self.data, self.left = data, None\n"
        "def depth(node): return 0 if node is None else 1 + depth(node.left)"
    )
    setup = "root = Node(1)\nroot.left = Node(2)"
    tests = ("assert depth(root) == 2", "assert root.left.data == 2")

    assert "passed" == verdict_on(code, setup, *tests).outcome


def test_iterators_of_the_code_can_be_read():
    """A generator that the code returns is read as a list."""
    code = "def f(n):\n    yield from range(n)"

    assert "passed" == verdict_on(code, "assert list(f(3)) == [0, 1, 2]").outcome


def test_function_under_test_may_have_the_name_of_a_builtin():
    """MBPP asks for a function `sum`: it is the only name of its tests."""
    code = "def sum(a, b): return a * b"

    assert "passed" == verdict_on(code, "assert sum(2, 3) == 6").outcome


def test_tests_may_use_modules_that_only_the_code_imports():
    """They get the standard library's own."""
    code = "import math\ndef f(x): return x * 2.0"

    assert "passed" == verdict_on(code, "assert math.isclose(f(2), 4)").outcome


def test_exceptions_of_the_code_can_be_expected():
    """A built-in exception is caught by its name in the tests."""
    test = "try:\n    f(0)\n    assert False\nexcept ZeroDivisionError:\n    pass"

    assert "passed" == verdict_on("def f(x): return 1 / x", test).outcome


@pytest.mark.parametrize(
    ("code", "outcome", "message"),
    [
        ("def f(x): return 5", "wrong", "assert f(2) == 4"),
        (
            "def f(x): return 1 / 0",
            "raised",
            "ZeroDivisionError: division by zero, at: def f(x): return 1 / 0",
        ),
        (
            "def f(x):\n    assert False, 'no'",
            "raised",
            "AssertionError: no, at: assert False, 'no'",
        ),
        (
            "def g(x): return 4",
            "missing",
            "the code defines no 'f', in the test: assert f(2) == 4",
        ),
        ("def f(): return 4", "raised", None),
        (
            "def f(x: return",
            "raised",
            "SyntaxError: invalid syntax (<answer>, line 1), at: def f(x: return",
        ),
        (
            "def f(x): return input()",
            "raised",
            "EOFError: EOF when reading a line, at: def f(x): return input()",
        ),
        ("def f(x): return f(x)", "raised", None),
    ],
)
def test_verdict_says_why_a_case_failed(code, outcome, message):
    """Each end is an outcome with a message: the test, or the exception and its line."""
    verdict = verdict_on(code)

    assert outcome == verdict.outcome
    assert message in (None, verdict.message)


def test_prompt_is_continued_by_indented_code_and_replaced_by_a_function():
    """A completion goes on with the function that the prompt ends in; a whole function
    keeps the prompt's imports and helpers.
    """
    prompt = "import math\n\ndef half(x):\n    return x / 2\n\ndef f(x):\n    'Four.'\n"
    tests = {"prompt": prompt, "function": "f", "check": "check"}
    check = "def check(candidate):\n    assert candidate(8) == half(8)"
    codes = (
        "    return half(x)\n",
        "def f(x):\n    return math.fabs(half(x))\n",
        "\n    return half(x)",
        "\n\ndef f(x): return half(x)",
    )

    verdicts = [verdict_on(code, check, **tests) for code in codes]

    assert ["passed"] * 4 == [verdict.outcome for verdict in verdicts], verdicts


def test_prompt_may_end_without_a_body():
    """A prompt that is a bare signature is completed for the tests."""
    verdict = verdict_on("    return 4", prompt="def f(x):\n", function="f")

    assert "passed" == verdict.outcome


def test_helpers_of_the_prompt_are_the_tests_own():
    """Code that redefines a helper of its prompt does not change it for the tests."""
    prompt = "def half(x):\n    return x / 2\n\ndef f(x):\n    'Four.'\n"
    code = "def half(x): return 0\n\ndef f(x): return 0"

    verdict = verdict_on(code, "assert f(8) == half(8)", prompt=prompt, function="f")

    assert "wrong" == verdict.outcome


def test_tests_that_cannot_be_used_say_so():
    """Tests that do not compile, or hand over what is no data, are no verdict."""
    broken = verdict_on("def f(x): return 4", "assert f(2) =")
    function = verdict_on("def f(x): return x(2)", "assert f(lambda x: 4) == 4")

    assert ("unusable tests", "unusable tests") == (broken.outcome, function.outcome)
    assert "a value cannot be sent: a function is no plain data" == function.message


def test_rows_run_at_once_and_know_nothing_of_each_other():
    """Rows on many threads each get their own verdict."""
    codes = [f"value = {number}\ndef f(x): return value" for number in range(24)]

    def outcome(code):
        return verdict_on(code, "assert f(0) % 2 == 0").outcome

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(outcome, codes))

    assert ["passed", "wrong"] * 12 == outcomes


def test_code_is_the_same_in_every_sandbox():
    """The order of sets and the draws of `random` do not depend on the process."""
    code = (
        "import random\ndef f(x): return repr({'a', 'b', 'c'}) + str(random.random())"
    )
    shown = "raise ValueError(f(0))"

    messages = set()
    for _ in range(2):
        messages.add(verdict_on(code, shown).message)

    assert 1 == len(messages)
