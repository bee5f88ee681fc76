"""A question has one right option among four."""

import re
from random import Random

import pytest

from themis_lib.engine.tiny.problems import GROUPS
from themis_lib.engine.tiny.questions import (
    ask_kind,
    ask_largest,
    ask_letter,
    ask_smallest,
)


def drawn(group, count=300):
    rng = Random(7)
    return [GROUPS[group](rng) for _ in range(count)]


def test_the_largest_and_the_smallest_number_are_chosen():
    compared = 0
    for problem in drawn("choose"):
        question, *options = problem.phrasings[0].splitlines()
        if "number" in question:
            values = {option[0]: int(option[3:]) for option in options}
            best = max if "largest" in question else min
            assert best(values.values()) == values[problem.answer]
            compared += 1
    assert compared > 50


def test_one_option_alone_has_the_letter():
    for problem in drawn("choose"):
        question, *options = problem.phrasings[0].splitlines()
        if asked := re.search(r'the letter "(.)"', question):
            assert [problem.answer] == [
                option[0] for option in options if asked[1] in option[3:]
            ]


@pytest.mark.parametrize("ask", [ask_kind, ask_largest, ask_letter, ask_smallest])
def test_the_wrong_options_are_three_others(ask):
    """No option comes up twice."""
    rng = Random(3)

    for _ in range(300):
        question, right, wrong = ask(rng)
        assert question.endswith("?")
        assert 4 == len({right, *wrong})
