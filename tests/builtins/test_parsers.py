"""Parsers: what is the answer in an output, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.json_values import JSON, PIECES, TEXTS
from tests.support.parsing import parsed, value
from themis_lib.builtins.parsers import (
    ChoiceLetter,
    JsonIdentity,
    JsonPath,
    MathAnswer,
    Number,
    Regex,
    Text,
)
from themis_lib.core.models import ParsedOutput
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


@settings(max_examples=300)
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
    """Nothing is taken from a document that was cut off, and nothing that is not
    JSON.
    """
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


def test_unfit_percent_is_refused():
    """The two ways to read a percentage are named."""
    with pytest.raises(
        ComponentError, match=r"percent='drop': input should be 'number' or 'fraction'"
    ):
        Number(percent="drop")


def test_pattern_that_tries_for_ever_is_an_error_of_its_row():
    """It names the pattern, the time and what to do; the next row is read."""
    parser = Regex(pattern="^(a+)+$", max_cpu_s=0.2)

    error = parsed(parser, "a" * 60 + "!").error

    assert error.startswith("pattern '^(a+)+$' took more than 0.2 s of processor time")
    assert error.endswith(", or raise max_cpu_s")
    assert "aa" == value(parser, "aa")


@pytest.mark.parametrize(
    ("pattern", "group_select", "output", "expected"),
    [
        (r"\d+", 0, "1 then 22 then 3", "1"),
        (r"\d+", 1, "1 then 22 then 3", "22"),
        (r"\d+", -1, "1 then 22 then 3", "3"),
        (r"\d+", -2, "1 then 22 then 3", "22"),
        (r"(a)|(b)", -1, "a b", "b"),
        (r"x( \w+ )", 0, "x word ", "word"),
    ],
)
def test_group_select_is_that_of_lm_eval(pattern, group_select, output, expected):
    """It counts the matches; the answer is the first group that has text."""
    assert expected == value(Regex(pattern=pattern, group_select=group_select), output)


def test_group_select_beyond_the_matches_is_no_answer():
    """As without any match."""
    assert [None, None] == [
        parsed(Regex(pattern=r"\d", group_select=which), "1 2").value
        for which in (2, -3)
    ]


def test_group_and_group_select_exclude_each_other():
    """Both say what the answer is."""
    with pytest.raises(ComponentError, match="group=1 and group_select=0 both say"):
        Regex(pattern="(a)", group=1, group_select=0)


def test_time_of_a_match_counts_only_if_it_is_set():
    """Rows that were stored without the setting are found; another time is another
    computation.
    """
    assert "max_cpu_s" not in Regex(pattern="a").settings()
    assert 5.0 == Regex(pattern="a", max_cpu_s=5.0).settings()["max_cpu_s"]
