"""Instructions that a program can check: each rule, strict and loose."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.scoring import reason, score, verdict
from themis_lib.builtins.instruction_rules import RULES, is_followed
from themis_lib.core.models import Score

pytest.importorskip("langdetect")

GERMAN = "Heute ist ein schöner Tag, und wir gehen alle zusammen in den Wald."
ENGLISH = "Today is a beautiful day and all of us are going to the forest together."

#: By instruction: arguments, a text that follows, and one that does not.
CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("keywords:existence", {"keywords": ["cat", "dog"]}, "Cats, dogs.", "A cat."),
    (
        "keywords:frequency",
        {"keyword": "go", "frequency": 2, "relation": "at least"},
        "Go, go!",
        "Go.",
    ),
    (
        "keywords:frequency",
        {"keyword": "go", "frequency": 2, "relation": "less than"},
        "Go.",
        "Go, go!",
    ),
    ("keywords:forbidden_words", {"forbidden_words": ["cat"]}, "Category.", "A CAT."),
    (
        "keywords:letter_frequency",
        {"letter": "e", "let_frequency": 2, "let_relation": "at least"},
        "Ebbe",
        "Ebb",
    ),
    ("language:response_language", {"language": "de"}, GERMAN, ENGLISH),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 3, "relation": "less than"},
        "Dr. No met Mr. Smith at 3.5 km. He left!",
        "One. Two? Three",
    ),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 2},
        "One\n\n***\n\nTwo",
        "One\n\n***\n\n***\n\nTwo",
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, "relation": "at least"},
        "one two three",
        "one two",
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "then"},
        "First.\n\n'Then, it is.",
        "First.\n\nIt is then.",
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 1, "nth_paragraph": 2, "first_word": "then"},
        "",
        "First.",
    ),
    (
        "detectable_content:number_placeholders",
        {"num_placeholders": 2},
        "[name], [place]",
        "[name]",
    ),
    (
        "detectable_content:postscript",
        {"postscript_marker": "P.S."},
        "Yours.\np. s. More",
        "Yours. PS",
    ),
    (
        "detectable_content:postscript",
        {"postscript_marker": "P.P.S"},
        "Yours.\nP.P.S. More",
        "Yours.\nP.S. More",
    ),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        "* one\n- two\n**no**",
        "* one",
    ),
    (
        "detectable_format:constrained_response",
        {},
        "Well. My answer is maybe.",
        "Maybe.",
    ),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        "*one* and **two**",
        "**one** ** **",
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        "Section 1\na\nSection 2\nb",
        "Section 1\nSection two",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{a: 1}"),
    ("detectable_format:title", {}, "<<Joy>>\nText", "<< >>"),
    ("combination:two_responses", {}, "One\n******\nTwo", "One\n******\nOne"),
    (
        "combination:repeat_prompt",
        {"prompt_to_repeat": "Say hi."},
        "say hi. Hi!",
        "Hi! Say hi.",
    ),
    (
        "startend:end_checker",
        {"end_phrase": "The end."},
        'So: "the END."',
        "The end. So.",
    ),
    ("startend:quotation", {}, ' "So." ', '"'),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "less than"},
        "The USA.",
        "The USA and the UK.",
    ),
    ("change_case:english_capital", {}, ENGLISH.upper(), ENGLISH),
    ("change_case:english_capital", {}, ENGLISH.upper(), GERMAN.upper()),
    ("change_case:english_lowercase", {}, ENGLISH.lower(), ENGLISH),
    ("punctuation:no_comma", {}, "One; two.", "One, two."),
]


def ifeval(**settings: Any) -> Any:
    """Return the metric."""
    from themis_lib.builtins.ifeval import IfEval

    return IfEval(**settings)


def instructed(*names: str, **arguments: Any) -> dict[str, Any]:
    """Return an expected output: instructions that share their arguments."""
    return {"instruction_id_list": list(names), "kwargs": [arguments for _ in names]}


@pytest.mark.parametrize(("name", "arguments", "follows", "fails"), CASES)
def test_rule_tells_what_follows_from_what_does_not(
    name: str, arguments: dict[str, Any], follows: str, fails: str
) -> None:
    if follows:
        assert is_followed(name, follows, arguments)
    assert not is_followed(name, fails, arguments)


def test_every_rule_is_tested() -> None:
    """All 25 instructions of the paper."""
    assert set(RULES) == {name for name, *_ in CASES}
    assert 25 == len(RULES)


def test_all_instructions_of_a_prompt_must_be_followed() -> None:
    """The share that is followed is in the details."""
    expected = instructed("punctuation:no_comma", "startend:quotation")

    found = verdict(ifeval(), "No comma", expected)

    assert isinstance(found, Score)
    assert (0.0, {"followed": 0.5}) == (found.value, found.details)
    assert 1.0 == score(ifeval(), '"No comma"', expected)


@pytest.mark.parametrize(
    "output",
    ["Sure, here it is:\nNo comma", "No comma\nMore, if you like", "a,\nNo comma\nb,"],
)
def test_loose_leaves_out_the_first_and_the_last_line(output: str) -> None:
    expected = instructed("punctuation:no_comma")

    assert 0.0 == score(ifeval(), output, expected)
    assert 1.0 == score(ifeval(mode="loose"), output, expected)


def test_loose_leaves_out_asterisks() -> None:
    expected = instructed("startend:end_checker", end_phrase="The end.")

    assert 0.0 == score(ifeval(), "**The end.**", expected)
    assert 1.0 == score(ifeval(mode="loose"), "**The end.**", expected)


def test_arguments_that_a_table_added_are_none() -> None:
    """The hub gives each instruction the keys of all others, as nulls."""
    expected = instructed("punctuation:no_comma", num_words=None, keywords=None)

    assert 1.0 == score(ifeval(), "No comma", expected)


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (instructed("no:such"), "'no:such' with {} cannot be checked: KeyError"),
        (instructed("keywords:existence"), "KeyError: 'keywords'"),
        (
            instructed(
                "length_constraints:number_words", num_words=3, relation="about"
            ),
            "relation is 'about', neither 'at least' nor 'less than'",
        ),
        ({"instruction_id_list": ["a"], "kwargs": []}, "of one length"),
        (
            {"instruction_id_list": ["a"], "kwargs": ["b"]},
            "no lists `instruction_id_list`",
        ),
        ("no object", "no lists `instruction_id_list` and `kwargs`"),
    ],
)
def test_what_cannot_be_checked_has_no_score(expected: Any, said: str) -> None:
    assert said in reason(ifeval(), "text", expected)


def test_language_is_the_same_each_time() -> None:
    """The library draws samples of a text; here they are seeded."""
    from themis_lib.builtins.text_languages import language_of

    short = "no se me da"

    assert 1 == len({language_of(short) for _ in range(20)})
    assert "de" == language_of(GERMAN)
    assert None is language_of("1 + 2")
