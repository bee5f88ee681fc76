"""Parsers: what is the answer in an output, and what is none."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.golden_builtins import PARSE
from themis_lib.builtins.numbers import read_number
from themis_lib.builtins.parsers import (
    ChoiceLetter,
    JsonIdentity,
    JsonPath,
    MathAnswer,
    Number,
    Regex,
    Text,
)
from themis_lib.core.models import GenerationResult, ParsedOutput
from themis_lib.errors import ComponentError
from themis_lib.identity.digests import canonical_json

PARSERS = [
    JsonIdentity(),
    Text(),
    Regex(pattern=r"(\d)|x"),
    Regex(pattern="", which="first"),
    Number(),
    Number(percent="fraction"),
    ChoiceLetter(),
    ChoiceLetter(choices="0123456789"),
    MathAnswer(),
    JsonPath(path="answer"),
    JsonPath(path="$[0]"),
]


def parsed(parser: Any, output: Any) -> ParsedOutput:
    return parser.parse(GenerationResult(final_output=output), PARSE)


def value(parser: Any, output: Any) -> Any:
    return parsed(parser, output).value


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda items: (
        st.lists(items, max_size=4)
        | st.dictionaries(TEXTS | st.just("answer"), items, max_size=4)
    ),
    max_leaves=12,
)
#: What parsers look for, in any order: far likelier to find a fault than text at
#: random.
PIECES = st.lists(
    st.sampled_from(
        [
            "answer",
            "Answer:",
            "answer is",
            "A:",
            "####",
            "\\boxed",
            "\\fbox",
            "\\frac",
            "{",
            "}",
            "(",
            ")",
            "[",
            "]",
            "1",
            "0",
            "23",
            "1,000",
            ".",
            ",",
            "/",
            "^",
            "e",
            "-",
            "−",
            "–",
            "%",
            "$",
            "½",
            "×",
            "10^",
            "=",
            "*",
            "**",
            "A",
            "B",
            "b",
            "I",
            " is correct",
            " or ",
            " and ",
            "so ",
            "not ",
            "\n",
            " ",
            '"',
            "'",
            "\\",
            "```json\n",
            "```",
            '{"answer": ',
            "null",
            "NaN",
            "1e999",
            "_",
            "x",
            "²",
            "٣",
            "１",
            "是",
        ]
    ),
    max_size=12,
).map("".join)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(PARSERS), TEXTS | PIECES | JSON)
def test_no_output_makes_a_parser_raise(parser, output):
    """Every output has either an answer that is JSON or a reason why there is none,
    never both.
    """
    result = parsed(parser, output)

    assert (result.value is None) == (result.error is not None)
    canonical_json(result.value)
    assert parser.format == result.format


@pytest.mark.parametrize("parser", PARSERS, ids=repr)
def test_null_output_is_no_answer(parser):
    """A generator that returned nothing is told apart from an answer of any kind."""
    assert ParsedOutput(format=parser.format, error="the output is null") == parsed(
        parser, None
    )


@pytest.mark.parametrize("parser", PARSERS, ids=repr)
def test_parsers_read_the_output_alone(parser):
    """An answer is parsed again only if the text it was read from changes."""
    assert ("output",) == parser.reads


@pytest.mark.parametrize("output", ["4", '{"a": 1}', 4, False, [], {"a": None}, ""])
def test_json_identity_is_the_output_itself(output):
    """Nothing is converted: a text that is JSON stays a text."""
    assert output == value(JsonIdentity(), output)
    assert type(output) is type(value(JsonIdentity(), output))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (" Paris \n", "Paris"),
        (4, "4"),
        (True, "true"),
        ({"b": 1, "a": 0.5}, '{"a":0.5,"b":1}'),
    ],
)
def test_text_is_stripped_and_json_is_written_out(output, expected):
    """What is no text becomes its canonical JSON."""
    assert expected == value(Text(), output)


@pytest.mark.parametrize("output", ["", " \n"])
def test_blank_text_is_no_answer(output):
    """An empty reply is not an empty answer."""
    assert "the output is blank" == parsed(Text(), output).error


@pytest.mark.parametrize(
    ("settings", "output", "expected"),
    [
        ({"pattern": r"\d+"}, "1 then 22", "22"),
        ({"pattern": r"\d+", "which": "first"}, "1 then 22", "1"),
        ({"pattern": r"x=(\d)(\d)"}, "x=12", "1"),
        ({"pattern": r"x=(\d)(\d)", "group": 2}, "x=12", "2"),
        ({"pattern": r"x=(\d)(\d)", "group": 0}, "x=12", "x=12"),
        ({"pattern": r"(?P<n>\d)(?P<unit>[a-z]+)", "group": "unit"}, "5km", "km"),
        ({"pattern": "PARIS", "ignore_case": True}, "in Paris", "Paris"),
        ({"pattern": "(?m)^a.$"}, "a1\nab\nb2", "ab"),
        ({"pattern": r'"n":(\d)'}, {"n": 5}, "5"),
    ],
)
def test_regex_takes_a_group_of_a_match(settings, output, expected):
    """The first group unless another is asked for, of the last match unless the first
    is.
    """
    assert expected == value(Regex(**settings), output)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"\d", "the pattern matches nothing in the output"),
        ("(a)|b", "the group is not part of the match"),
    ],
)
def test_regex_without_a_match_is_no_answer(pattern, reason):
    """No match, or a match without the group, is a null with its reason."""
    assert ParsedOutput(format="text", error=reason) == parsed(
        Regex(pattern=pattern), "b"
    )


NUMBERS: list[tuple[str, float | None]] = [
    ("A: 1,234.50", 1234.5),
    ("#### 18", 18),
    ("$5", 5),
    ("1/2", 0.5),
    ("-3", -3),
    ("−3", -3),
    ("12%", 12),
    ("1e5", 100000),
    ("3 1/2", 3.5),
    ("18.", 18),
    ("18.00", 18),
    ("1,450,000", 1450000),
    (".5", 0.5),
    ("1,2,3", 3),
    ("So she has 7 left.", 7),
    ("**18**", 18),
    ("１８", 18),
    ("答案是18元", 18),
    ("A: -1.8 billion", -1.8),
    ("5km", 5),
    # Subtraction, signs, hyphens and bullets.
    ("16 - 3 = 13", 13),
    ("13 = 16 - 3", 3),
    ("so 16 -3", 3),
    ("5-10", 10),
    ("(2) - 3", 3),
    ("x = -3", -3),
    ("x = - 3", -3),
    ("-$5", -5),
    ("$-5", -5),
    ("- 3 apples", 3),
    ("fell to -3 °C", -3),
    ("$-3$", -3),
    # Digits that are no number of their own.
    ("GPT4 says 7", 7),
    ("7, says GPT-4", 7),
    ("7 in H2O", 7),
    ("7 = x_1", 7),
    ("25 cm^2", 25),
    ("25 m^{-2}", 25),
    ("7 in version 1.2.3", 7),
    ("No.5", 5),
    ("so...5", 5),
    ("GPT-4", None),
    ("", None),
    ("none", None),
    # Markers.
    ("The answer is 18. She sold 9.", 18),
    ("The answer is 18.\nNo, the answer is 20. (Not 3.)", 20),
    ("**Answer:** $18 in 2 days", 18),
    ("Final answer: 18 (of 20)", 18),
    ("ANSWER = 18 of 20", 18),
    ("#### 18\nThat took 3 steps.", 18),
    (r"\boxed{42} after 3 steps", 42),
    (r"so \(\boxed{-3}\) in 2", -3),
    ("A: 18\nB: 3 was wrong", 18),
    ("<answer>18</answer> in 3 steps", 18),
    ('{"answer": 18, "steps": 3}', 18),
    ("The answer is 2 * 9 = 18 dollars, not 5", 18),
    ("The answer is:\n\n18\n\n(3 steps)", 18),
    # Markers of something else.
    ("Answer: Ann sells 16 - 3 = 13", 13),
    ("#### 2. Add the prices\n3 + 4 = 7", 7),
    ("</answer> 3 of 4", 4),
    ("The answer is:\n1. Add them\n3 + 4 = 7", 7),
    ("Q&A: 5 or 6", 6),
    ("The answer is not 5 but 6", 6),
    # LaTeX, exponents and fractions.
    (r"\boxed{\frac{1}{2}}", 0.5),
    (r"-\dfrac{3}{4}", -0.75),
    (r"2\frac12", 2.5),
    (r"\$1{,}234", 1234),
    (r"1\,000", 1000),
    ("½", 0.5),
    ("3½", 3.5),
    ("1/0", None),
    ("10^5", 100000),
    ("2^10", 1024),
    ("2^{-1}", 0.5),
    ("5 × 10^3", 5000),
    (r"5 \times 10^{3}", 5000),
    ("1.5e-3", 0.0015),
    ("on 12/25/2020", None),
    ("A: 12/25/2020", None),
    # Beyond floats.
    ("9" * 30, int("9" * 30)),
    ("1e30", 10**30),
    ("9" * 5000, None),
    ("9" * 400 + ".5", None),
    ("2^9999", None),
]


@pytest.mark.parametrize(("output", "expected"), NUMBERS)
def test_number_is_the_final_number(output, expected):
    """The number behind the last marker of an answer, else the last in the text; whole
    ones are integers.
    """
    result = parsed(Number(), output)

    assert expected == result.value
    assert type(expected) is type(result.value)
    assert (None if expected is not None else "no number in the output") == result.error


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (4, 4),
        (4.0, 4),
        (0.5, 0.5),
        (-0.0, 0),
        (1e23, 10**23),
        (True, None),
        ([4], None),
        ({"n": 4}, None),
    ],
)
def test_number_of_what_is_no_text(output, expected):
    """A JSON number is itself, whole floats as integers; true is none, and nothing is
    looked up inside.
    """
    assert repr(expected) == repr(value(Number(), output))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("12%", 0.12),
        (r"12.3 \%", 0.123),
        ("100%", 1),
        ("12", 12),
        ("-5%", -0.05),
        ("5 % of 8", 8),
    ],
)
def test_percentage_is_a_fraction_on_request(output, expected):
    """With `percent: fraction` the sign divides by a hundred; other numbers stay as
    they are.
    """
    assert repr(expected) == repr(value(Number(percent="fraction"), output))


@given(st.integers())
def test_integers_are_read_to_the_last_digit(number):
    """With separators or without, alone or behind a marker."""
    assert [number] * 3 == [
        read_number(text)
        for text in (f"{number}", f"{number:,}", f"5\n#### {number:,}.")
    ]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_read_as_python_writes_them(number):
    """No digit is lost, whatever the exponent."""
    assert number == float(read_number(f"The answer is {number!r}"))


@given(st.integers(-999, 999), st.integers(1, 999))
def test_fractions_are_read_as_their_value(numerator, denominator):
    """As text and as LaTeX."""
    expected = float(Fraction(numerator, denominator))

    assert expected == read_number(f"{numerator}/{denominator}")
    assert expected == read_number(rf"\boxed{{\frac{{{numerator}}}{{{denominator}}}}}")


CHOICES: list[tuple[str, str | None]] = [
    ("The answer is B. I am sure", "B"),
    ("(C)", "C"),
    ("B)", "B"),
    ("Answer: D", "D"),
    ("**A**", "A"),
    ("b", "B"),
    ("I think A is wrong, so the answer is C", "C"),
    ("A", "A"),
    ("b.", "B"),
    ('"B"', "B"),
    ("$B$", "B"),
    ("the answer is (b).", "B"),
    ("The answer is: **C) Rome**", "C"),
    ("Answer: **B. Paris**", "B"),
    ("#### B", "B"),
    ("The correct answer is therefore C, since A is", "C"),
    ("The best answer is option (D) because it fits", "D"),
    ("The correct option is C", "C"),
    ("Choice: c", "C"),
    ("<answer>D</answer>", "D"),
    ("A: B", "B"),
    (r"\boxed{B}", "B"),
    (r"so $\boxed{\text{(C)}}$", "C"),
    ("ANSWER: D", "D"),
    ("The answer is A because", "A"),
    ("The answer is A.\nNo, the answer is D. Good.", "D"),
    ("B is correct", "B"),
    ("Option (C) is the best answer.", "C"),
    ("The answer is not A, it is B.", "B"),
    ("so D.", "D"),
    ("I choose B.", "B"),
    ("Therefore, (C).", "C"),
    ("B) Paris", "B"),
    ("Let me think.\n\nC", "C"),
    ("B\n\nIt is the capital.", "B"),
    ("**B** because", "B"),
    ("A) is wrong.\nB) is right.", "B"),
    # Not named as the answer.
    ("the answer is a bit long", None),
    ("Answer: A person", None),
    ("A cat", None),
    ("I am sure", None),
    ("", None),
    ("A) Rome\nB) Paris\nC) Bonn", None),
    ("Neither A nor B is correct", None),
    ("The answer is B or C", None),
    ("I think **A** is wrong", None),
    ("so A is wrong", None),
    ("Berlin", None),
    ("A: Paris", None),
    ("E", None),
]


@pytest.mark.parametrize(("output", "expected"), CHOICES)
def test_choice_is_the_option_named_as_the_answer(output, expected):
    """Never the last capital of the text: an option that is only mentioned is no
    answer.
    """
    result = parsed(ChoiceLetter(), output)

    assert (expected, None if expected else "no option is named as the answer") == (
        result.value,
        result.error,
    )


@pytest.mark.parametrize(
    ("choices", "output", "expected"),
    [
        ("ABCDEFGHIJ", "The answer is B. I am sure", "B"),
        ("ABCDEFGHIJ", "The answer is I.", "I"),
        ("ABCDEFGHIJ", "Answer: I think so", None),
        ("abcd", "Answer: B", "b"),
        ("1234", "The answer is 3.", "3"),
        ("1234", "The answer is 30.", None),
    ],
)
def test_choices_are_a_setting(choices, output, expected):
    """The answer is written as in `choices`."""
    assert expected == value(ChoiceLetter(choices=choices), output)


@pytest.mark.parametrize("output", [1, True, ["B"], {"answer": "B"}])
def test_choice_of_what_is_no_text_is_no_answer(output):
    """An option is named in words."""
    assert "no option is named as the answer" == parsed(ChoiceLetter(), output).error


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"first \boxed{a}, then $\boxed{b}$.", "b"),
        (r"\boxed{x} and then \boxed{", "x"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\text{if } \{x\} }", r"\text{if } \{x\}"),
        (r"\boxed{ $5.$ }", "5"),
        (r"\boxed {5}", "5"),
        (r"\fbox{3}", "3"),
        (r"so \boxed 5 it is", "5"),
        (r"$\boxed 12$", "12"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"} \boxed{1}", "1"),
        (r"\boxed{\$5}", r"\$5"),
    ],
)
def test_math_answer_is_in_the_last_box(output, expected):
    """Nested braces are matched; space, dollars around it and a final period are
    removed.
    """
    assert expected == value(MathAnswer(), output)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("5", r"no \boxed{…} in the output"),
        (r"\boxed{5", r"no \boxed{…} in the output"),
        (5, r"no \boxed{…} in the output"),
        (r"\boxed{5} \boxed{ . }", r"the last \boxed{…} is empty"),
    ],
)
def test_math_answer_outside_a_box_is_none(output, reason):
    """There is no falling back on another number or line."""
    assert ParsedOutput(format="latex", error=reason) == parsed(MathAnswer(), output)


LATEX = st.recursive(
    st.text("ax1+^_ ", min_size=1, max_size=4),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(
        lambda parts: "".join(f"{{{part}}}" for part in parts)
    ),
    max_leaves=8,
)


@given(LATEX, TEXTS.filter(lambda text: "\\" not in text))
def test_any_balanced_content_is_found(latex, before):
    """Braces before the box, matched or not, do not matter."""
    result = value(MathAnswer(), f"{before}\\boxed{{{latex}}}.")

    assert (latex.strip() or None) == result


@pytest.mark.parametrize(
    ("path", "output", "expected"),
    [
        ("answer", {"answer": 4}, 4),
        ("$.answer", '{"answer": "4"}', "4"),
        ("answer.items[0].name", {"answer": {"items": [{"name": "x"}]}}, "x"),
        ('$["a b"]', {"a b": False}, False),
        ("['a.b'][-1]", {"a.b": [1, 2]}, 2),
        ('["\\u00e9"]', {"é": 1}, 1),
        ("$", "[1, 2]", [1, 2]),
        ("[1]", [1, 2], 2),
        ("answer", 'Here:\n```json\n{"answer": 5}\n```\nand {"answer": 6}.', 5),
        ("answer", '```\n{"answer": 5}\n```\n```\n{"answer": 6}\n```', 6),
        ("answer", 'I say {"answer": 5} or {"answer": 6}, {"note": 1}.', 6),
        ("answer", r'By \frac{1}{2} and [1] it is {"answer": 5}', 5),
    ],
)
def test_json_path_finds_the_value(path, output, expected):
    """In a JSON value, in a text that is one, in a fenced block and in running text."""
    assert expected == value(JsonPath(path=path), output)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"other": 4}, "nothing at 'answer' in the output"),
        (["answer"], "nothing at 'answer' in the output"),
        ({"answer": None}, "null at 'answer' in the output"),
        ("no document", "no JSON document in the output"),
        ('{"answer": {"answer": 5}, "x": ', "no JSON document in the output"),
        ('{"answer": NaN}', "the value at 'answer' is not JSON"),
        ('{"answer": "\\ud800"}', "the value at 'answer' is not JSON"),
        ("[" * 100_000, "no JSON document in the output"),
    ],
)
def test_json_path_without_a_value_is_no_answer(output, reason):
    """Nothing is taken from a document that was cut off, and nothing that is not JSON."""
    assert ParsedOutput(format="json", error=reason) == parsed(
        JsonPath(path="answer"), output
    )


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "a..b",
        "a.",
        "a[",
        "a[x]",
        "a b",
        '["a]',
        '["\\x"]',
        "$a",
        "$$",
        "a[0]b",
    ],
)
def test_malformed_path_is_refused(path):
    """A path that cannot be read is refused when the parser is built, and named."""
    with pytest.raises(ComponentError) as raised:
        JsonPath(path=path)

    assert str(raised.value).startswith(f"builtin/json_path: path {path!r}: ")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"pattern": "a(b"},
            "pattern 'a(b': missing ), unterminated subpattern at position 1",
        ),
        ({"pattern": "a", "group": 1}, "pattern 'a' has no group 1; the last is 0"),
        (
            {"pattern": "(a)", "group": -1},
            "pattern '(a)' has no group -1; the last is 1",
        ),
        (
            {"pattern": "(?P<unit>a)", "group": "units"},
            "has no group 'units'; did you mean 'unit'?",
        ),
        ({"pattern": 3}, "pattern=3: input should be a valid string"),
        (
            {"pattern": "a", "which": "middle"},
            "which='middle': input should be 'first' or 'last'",
        ),
        (
            {"pattern": "a", "ignore_case": "no"},
            "ignore_case='no': input should be a valid boolean",
        ),
    ],
)
def test_unfit_regex_is_refused(settings, message):
    """One line that names the pattern and the position, the group, or the setting."""
    with pytest.raises(ComponentError) as raised:
        Regex(**settings)

    assert str(raised.value).startswith("builtin/regex: ")
    assert message in str(raised.value)


@pytest.mark.parametrize("choices", ["", "A", "AA", "Aa", "A-D", "A B", 3, ["A", "B"]])
def test_unfit_choices_are_refused(choices):
    """Options are two or more different letters or digits."""
    with pytest.raises(ComponentError, match=r"builtin/choice_letter: choices="):
        ChoiceLetter(choices=choices)


def test_unfit_percent_is_refused():
    """The two ways to read a percentage are named."""
    with pytest.raises(
        ComponentError, match=r"percent='drop': input should be 'number' or 'fraction'"
    ):
        Number(percent="drop")
