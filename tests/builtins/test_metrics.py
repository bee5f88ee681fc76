"""Metrics: what is right, what is wrong, and what cannot be judged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from tests.support.golden_builtins import PARSE, SCORE, case_expecting
from tests.support.json_values import JSON
from tests.support.scoring import reason, score
from themis_lib.builtins.metrics import (
    F1,
    ChoiceAccuracy,
    Contains,
    ExactMatch,
    NumericMatch,
    RegexMatch,
    same_key,
)
from themis_lib.builtins.parsers import Number
from themis_lib.core.models import GenerationResult, Score
from themis_lib.errors import ComponentError

METRICS = [
    ExactMatch(),
    NumericMatch(),
    Contains(),
    RegexMatch(),
    F1(),
    ChoiceAccuracy(),
]
GSM8K = (
    Path(os.environ.get("THEMIS_TEST_DATA", Path(__file__).parents[3] / "shared/data"))
    / "gsm8k"
)


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_missing_answer_is_not_a_wrong_answer(metric):
    """A null value is counted as an error, never scored 0."""
    assert "no answer" == reason(metric, None, "B")


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_nothing_to_compare_with_is_an_error(metric):
    """Without an expected output there is no verdict."""
    assert "the case has no expected output" == reason(metric, "B", None)


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_metrics_read_the_value_and_the_expected_output(metric):
    """Nothing else of a case or an output makes them score again."""
    assert ("value", "expected_output") == metric.reads


@pytest.mark.parametrize(
    ("value", "expected", "right"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ("4", 4, False),
        ("Paris", "Paris", True),
        ("Paris", "paris", False),
        ("Paris", " Paris", False),
        ({"a": 1, "b": [2.0]}, {"b": [2], "a": 1.0}, True),
        ([True], [1], False),
        ([], {}, False),
        (10**20, 1e20, True),
        (10**20 + 1, 1e20, False),
        (2**53 + 1, float(2**53), False),
        (0.0, -0.0, True),
        ("", "", True),
        (False, False, True),
    ],
)
def test_exact_match_is_equality_of_json_values(value, expected, right):
    """Numbers are equal by value; nothing is equal across types, inside lists and
    objects as well.
    """
    assert float(right) == score(ExactMatch(), value, expected)
    assert float(right) == score(ExactMatch(), expected, value)


@pytest.mark.parametrize(
    ("settings", "value", "expected", "right"),
    [
        ({"strip": True}, " Paris\n", "Paris", True),
        ({"strip": True}, " Paris", "paris", False),
        ({"ignore_case": True}, "STRASSE", "Straße", True),
        ({"ignore_case": True}, "Paris ", "paris", False),
        (
            {"strip": True, "ignore_case": True},
            {"city": [" PARIS"]},
            {"city": ["paris"]},
            True,
        ),
        ({"ignore_case": True}, {"City": 1}, {"city": 1}, False),
    ],
)
def test_exact_match_can_ignore_space_and_case(settings, value, expected, right):
    """In every text of both values; keys are names, not texts."""
    assert float(right) == score(ExactMatch(**settings), value, expected)


#: Pairs that differ in code points only, each with the least that makes them the same.
LOOKALIKES = [
    ("cafe\u0301", "caf\u00e9", "composed"),
    ("\u1112\u1161\u11ab", "한", "composed"),
    ("\u212b", "\u00c5", "composed"),
    ("New\u00a0York", "New York", "plain"),
    ("10\u202f000", "10 000", "plain"),
    ("it’s “fine”", 'it\'s "fine"', "plain"),
    ("1990–1995", "1990-1995", "plain"),
    ("−4", "-4", "plain"),
    ("Ｐａｒｉｓ", "Paris", "plain"),
    ("１２％", "12%", "plain"),
    ("ﾊﾞｽ", "バス", "plain"),
    ("ﬁne", "fine", "plain"),
    ("𝐏𝐚𝐫𝐢𝐬", "Paris", "plain"),
    ("ﻧﻌﻢ", "نعم", "plain"),
    ("نعـــم", "نعم", "plain"),
    ("Pa\u200bris", "Paris", "plain"),
    ("\ufeffParis", "Paris", "plain"),
    ("\u200fنعم\u200e", "نعم", "plain"),
    ("\u2067שלום\u2069", "שלום", "plain"),
    ("Pa\u00adris", "Paris", "plain"),
    ("می\u200cخواهم", "میخواهم", "plain"),
    ("❤\ufe0f", "❤", "plain"),
    ("wait…", "wait...", "plain"),
    ("STRASSE", "straße", "folded"),
    ("STRAẞE", "strasse", "folded"),
    ("ISTANBUL", "ıstanbul", "folded"),
    ("İstanbul", "istanbul", "folded"),
    ("ΟΔΟΣ", "οδος", "folded"),
    ("ＰＡＲＩＳ", "paris", "folded"),
]
FORMS = ["composed", "plain", "folded"]


@pytest.mark.parametrize(("left", "right", "form"), LOOKALIKES)
def test_same_text_in_other_code_points_is_the_same(left, right, form):
    """To exact match as Unicode says, and as readers do if space or case is ignored; to
    contains and F1 as readers do.
    """
    level = FORMS.index(form)
    for value, expected in ((left, right), (right, left)):
        found = [
            score(metric, value, expected)
            for metric in (
                ExactMatch(),
                ExactMatch(strip=True),
                ExactMatch(strip=True, ignore_case=True),
                ExactMatch(ignore_case=True),
                Contains(),
                Contains(ignore_case=True),
                F1(),
            )
        ]

        plain, folded = float(level < 2), 1.0
        assert [float(level < 1), plain, folded, folded, plain, folded, 1.0] == found


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("x²", "x2"),
        ("½", "1/2"),
        ("pêche", "peche"),
        ("café", "cafe"),
        ("ß", "s"),
        ("①", "1"),
        ("北京", "東京"),
        ("й", "и"),
        ("نعم", "نعمة"),
    ],
)
def test_other_texts_stay_other_texts(left, right):
    """Accents, superscripts and fractions say something."""
    assert [0.0, 0.0] == [
        score(ExactMatch(strip=True, ignore_case=True), left, right),
        score(ExactMatch(), left, right),
    ]


@pytest.mark.parametrize("value", ["\u00a04", "4\u00a0", "\u200b 4\u200f", "\u30004 "])
def test_strip_takes_every_kind_of_space(value):
    """No-break and wide ones, also beside invisible characters."""
    assert 1.0 == score(ExactMatch(strip=True), value, "4")


def test_texts_inside_lists_and_objects_are_compared_alike():
    """Every text of a value, but not its keys."""
    nested = {"a": ["cafe\u0301"]}

    assert 1.0 == score(ExactMatch(), nested, {"a": ["caf\u00e9"]})
    assert 0.0 == score(ExactMatch(), {"e\u0301": 1}, {"\u00e9": 1})


@given(JSON.filter(lambda item: item is not None))
def test_every_value_equals_itself_as_json(item):
    """Writing a value and reading it back does not change what it equals."""
    assert 1.0 == score(ExactMatch(), item, json.loads(json.dumps(item)))


@given(JSON, JSON)
def test_key_of_a_value_is_shared_by_equal_values_alone(left, right):
    """The key agrees with Python's equality, but for true and 1."""
    has_boolean = any(word in json.dumps([left, right]) for word in ("true", "false"))

    assert has_boolean or (left == right) == (same_key(left) == same_key(right))


@pytest.mark.parametrize(
    ("value", "expected", "right"),
    [
        (18, "She makes 9 * 2 = $<<9*2=18>>18 a day.\n#### 18", True),
        ("so $1,234.50", 1234.5, True),
        ("1/3", 0.3333333333, True),
        ("1/3", 0.33, False),
        (18, 18.0, True),
        (18, 19, False),
        (0.1 + 0.2, 0.3, True),
        (10**12, 10**12 + 1, False),
        (2**53, 2**53 + 1, False),
        (1e-12, 0, False),
        (10**400, 10**400, True),
        ("1e23", 1e23, True),
        ("-5", 5, False),
        ("2 000", "1 000", False),
        ("2 000", "2,000", True),
        ("25", "5", False),
        ("1.5 million", 1_500_000, True),
        ("２，５００", "2500", True),
        (r"\boxed{\frac{1}{-2}}", "-½", True),
    ],
)
def test_numbers_match_as_the_number_parser_reads_them(value, expected, right):
    """Rounding to nine digits is forgiven where there is a fraction, never between
    whole numbers.
    """
    assert float(right) == score(NumericMatch(), value, expected)


@pytest.mark.parametrize(
    ("settings", "value", "expected", "right"),
    [
        ({"abs_tol": 1}, 99, 100, True),
        ({"abs_tol": 1}, 98, 100, False),
        ({"abs_tol": 0.01}, 1.01, 1.0, True),
        ({"abs_tol": 0.01}, 1.02, 1.0, False),
        ({"rel_tol": 0.1}, 110, 100, True),
        ({"rel_tol": 0.1}, 100, 111.2, False),
        ({"rel_tol": 0}, 0.1 + 0.2, 0.3, False),
        ({"percent": "fraction"}, 0.12, "12%", True),
        ({"percent": "number"}, 12, "12%", True),
    ],
)
def test_tolerance_is_a_setting(settings, value, expected, right):
    """The distance may be abs_tol plus rel_tol times the expected number."""
    assert float(right) == score(NumericMatch(**settings), value, expected)


@pytest.mark.parametrize(
    ("value", "expected", "message"),
    [
        (4, "four", 'the expected output is no number: "four"'),
        (4, True, "the expected output is no number: true"),
        ("four", 4, 'the value is no number: "four"'),
        ([4], 4, "the value is no number: [4]"),
        ("3π", 3, "the value is no number (part of an expression: '3π'): \"3π\""),
        (
            3,
            "3 or 4",
            "the expected output is no number (part of a range or a difference: "
            "'3 or 4'): \"3 or 4\"",
        ),
        ("x" * 100, 4, f'the value is no number: "{"x" * 58}…'),
    ],
)
def test_what_is_no_number_is_no_wrong_number(value, expected, message):
    """It is an error that shows what stood there."""
    assert message == reason(NumericMatch(), value, expected)


@pytest.mark.parametrize(
    ("settings", "value", "expected", "right"),
    [
        ({}, "It is Paris.", "Paris", True),
        ({}, "It is paris.", "Paris", False),
        ({"ignore_case": True}, "It is paris.", "PARIS", True),
        ({}, "It is Rome.", ["Paris", "Rome"], True),
        ({}, "It is 18.", 18, True),
        ({}, {"city": "Paris"}, "Paris", True),
        ({}, "Pari", "Paris", False),
    ],
)
def test_contains_finds_the_expected_text(settings, value, expected, right):
    """Of a list, any; numbers and objects as their JSON text."""
    assert float(right) == score(Contains(**settings), value, expected)


@pytest.mark.parametrize("expected", ["", [], ["Paris", ""], "\u200b"])
def test_empty_expected_text_is_not_contained_in_everything(expected):
    """It says nothing, so there is no verdict."""
    assert "the expected output is empty" == reason(Contains(), "Paris", expected)


@pytest.mark.parametrize(
    ("settings", "value", "expected", "right"),
    [
        ({}, "in Paris", "P.ris", True),
        ({"full": True}, "in Paris", "P.ris", False),
        ({"full": True}, "Paris", "P.ris", True),
        ({"pattern": r"\d+"}, "a 4", None, True),
        ({"pattern": r"\d+", "full": True}, 42, None, True),
        ({"pattern": r"\d+"}, "four", "four", False),
        ({"pattern": "(?i)paris"}, "PARIS", "x", True),
    ],
)
def test_regex_matches_the_value(settings, value, expected, right):
    """The metric's own pattern needs no expected output; else that is the pattern."""
    assert float(right) == score(RegexMatch(**settings), value, expected)


def test_regex_of_a_case_that_is_malformed_is_an_error_of_that_case():
    """The other cases are still judged."""
    expected = (
        "the expected output: pattern 'a(': missing ), unterminated subpattern at "
        "position 1"
    )

    assert expected == reason(RegexMatch(), "a", "a(")
    assert "the expected output is no pattern: 4" == reason(RegexMatch(), "a", 4)


def test_regex_with_its_own_pattern_does_not_read_the_expected_output():
    """An expected output that changes does not score again what does not depend on
    it.
    """
    assert ("value",) == RegexMatch(pattern="a").reads
    assert "no answer" == reason(RegexMatch(pattern="a"), None, None)


@pytest.mark.parametrize("settings", [{}, {"full": True}, {"pattern": "^(a+)+$"}])
def test_regex_that_tries_for_ever_is_an_error_of_its_row(settings):
    """The metric's own or that of the case; it names the pattern and the time."""
    metric = RegexMatch(**settings, max_cpu_s=0.2)
    why = reason(metric, "a" * 60 + "!", "^(a+)+$")

    assert why.startswith("pattern '^(a+)+$' took more than 0.2 s of processor time")
    assert why.endswith(", or raise max_cpu_s")
    assert 1.0 == score(metric, "aa", "^(a+)+$")


@pytest.mark.parametrize(
    ("value", "expected", "f1"),
    [
        ("The Cat!", "cat", 1.0),
        ("a cat sat", "the cat", 2 / 3),
        ("the the cat", "cat cat", 2 / 3),
        ("dog", "cat", 0.0),
        ("cat", ["dog", "the big cat"], 2 / 3),
        ("an apple", "theme", 0.0),
        ("The", "a", 1.0),
        ("The", "cat", 0.0),
        ("U.S.A.", "usa", 1.0),
        (4, ["4"], 1.0),
    ],
)
def test_f1_is_that_of_squad(value, expected, f1):
    """Lower case, without punctuation and articles, by tokens; the best of the accepted
    answers.
    """
    assert pytest.approx(f1) == score(F1(), value, expected)


@pytest.mark.parametrize(
    ("value", "expected", "f1"),
    [
        ("北京。", "北京", 1.0),
        ("「北京」", "北京", 1.0),
        ("我住在北京", "北京", 4 / 7),
        ("東京です。", "東京", 2 / 3),
        ("¿Madrid?", "madrid", 1.0),
        ("«Москва»!", "москва", 1.0),
        ("نعم، صحيح؟", "نعم صحيح", 1.0),
        ("हाँ।", "हाँ", 1.0),
        ("हाँ जी", "हाँ", 2 / 3),
        ("“it’s fine”", "it's fine", 1.0),
        ("ναι·", "ΝΑΙ", 1.0),
        ("สวัสดี", "สวัสดี", 1.0),
        ("네, 서울.", "네 서울", 1.0),
        ("王", "玉", 0.0),
        ("+", "+", 1.0),
        ("+", "-", 0.0),
        ("?!", "cat", 0.0),
        ("", "?!", 0.0),
        ("", "", 1.0),
        ("$5", "5", 1.0),
    ],
)
def test_f1_reads_every_script(value, expected, f1):
    """Punctuation of all, a token for each character where words have no spaces; what
    is punctuation alone is compared as it is.
    """
    assert pytest.approx(f1) == score(F1(), value, expected)


def test_f1_without_an_accepted_answer_is_an_error():
    """An empty list accepts nothing, which is not the same as nothing being right."""
    assert "the expected output is empty" == reason(F1(), "cat", [])


@pytest.mark.parametrize(
    "expected", ["B", "b", "(B)", "B)", "B. Paris", " B ", "B: Paris", 1]
)
def test_choice_is_right_however_the_expected_option_is_written(expected):
    """By letter in any case, with its text, or by its position counted from 0."""
    assert [1.0, 1.0, 0.0] == [
        score(ChoiceAccuracy(), value, expected) for value in ("B", "b", "C")
    ]


@pytest.mark.parametrize(
    "value",
    ["Ｂ", "（Ｂ）", "\u200bB", "B\u00a0", "\u200f(B)", "Ｂ． Paris", "Ｂ： Paris"],
)
def test_option_in_wide_letters_is_the_option(value):
    """And among invisible characters."""
    assert [1.0, 1.0] == [
        score(ChoiceAccuracy(), value, "B"),
        score(ChoiceAccuracy(), "B", value),
    ]


@pytest.mark.parametrize(
    ("value", "right"), [("2", True), (2, True), ("(2)", True), (1, False)]
)
def test_numbers_are_names_where_choices_are_digits(value, right):
    """With options 1 to 4, 2 is the option called 2, not the third."""
    assert float(right) == score(ChoiceAccuracy(choices="1234"), value, 2)


@pytest.mark.parametrize(
    ("value", "expected", "message"),
    [
        ("B", "Paris", "the expected output names none of 'ABCD': \"Paris\""),
        ("B", 4, "the expected output names none of 'ABCD': 4"),
        ("B", True, "the expected output names none of 'ABCD': true"),
        ("E", "B", "the value names none of 'ABCD': \"E\""),
        ("B Paris", "B", "the value names none of 'ABCD': \"B Paris\""),
        (-1, "B", "the value names none of 'ABCD': -1"),
    ],
)
def test_what_names_no_option_is_no_wrong_option(value, expected, message):
    """It is an error that shows what stood there."""
    assert message == reason(ChoiceAccuracy(), value, expected)


@pytest.mark.parametrize(
    ("metric", "setting"),
    [
        (ExactMatch, {"strip": "yes"}),
        (NumericMatch, {"abs_tol": -1}),
        (NumericMatch, {"rel_tol": "1e-6"}),
        (NumericMatch, {"rel_tol": float("inf")}),
        (NumericMatch, {"percent": "drop"}),
        (Contains, {"ignore_case": 1}),
        (RegexMatch, {"pattern": 3}),
        (RegexMatch, {"full": None}),
        (ChoiceAccuracy, {"choices": "A"}),
    ],
)
def test_unfit_setting_is_refused(metric, setting):
    """One line that names the component, the setting and its value."""
    [(name, value)] = setting.items()

    with pytest.raises(ComponentError) as raised:
        metric(**setting)

    assert str(raised.value).startswith(f"{metric.component_id}: {name}={value!r}: ")


def test_malformed_pattern_is_refused():
    """The metric's own pattern is checked when it is built."""
    with pytest.raises(
        ComponentError, match=r"builtin/regex_match: pattern 'a\(': .* at position 1"
    ):
        RegexMatch(pattern="a(")


def lines(name: str) -> list[dict[str, Any]]:
    path = GSM8K / name
    if not path.exists():
        pytest.skip(f"no recorded GSM8K data at {GSM8K}")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("solutions_6b_finetuning.jsonl", 286),
        ("solutions_175b_verification.jsonl", 742),
    ],
)
def test_recorded_gsm8k_solutions_get_the_published_verdicts(name, right):
    """Number parser and numeric match agree with the publishers' grader on every
    solution.
    """
    problems, solutions = lines("test.jsonl"), lines(name)
    verdicts = []
    for problem, solution in zip(problems, solutions, strict=True):
        parsed = Number().parse(
            GenerationResult(final_output=solution["output"]), PARSE
        )
        judged = NumericMatch().score(parsed, case_expecting(problem["answer"]), SCORE)
        verdicts.append(isinstance(judged, Score) and judged.value == 1.0)

    published = [solution["is_correct"] for solution in solutions]
    assert [] == [
        row
        for row, pair in enumerate(zip(verdicts, published, strict=True))
        if len(set(pair)) > 1
    ]
    assert (1319, right) == (len(verdicts), sum(verdicts))
