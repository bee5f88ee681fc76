"""A problem has one right answer, in digits and in words."""

import json
import operator
import re
from random import Random

import pytest

from themis_lib.engine.tiny.problems import (
    GROUPS,
    made_up_word,
    number_in_words,
    written_addition,
)

SIGNS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
NUMBERS = {number_in_words(number): number for number in range(1000)}
NAMED = {"plus": operator.add, "minus": operator.sub, "times": operator.mul}


def drawn(group, count=300):
    rng = Random(7)
    return [GROUPS[group](rng) for _ in range(count)]


@pytest.mark.parametrize("group", ["add", "add_long", "subtract", "multiply"])
def test_arithmetic_is_right(group):
    for problem in drawn(group):
        first, sign, second = re.search(
            r"(\d+) ([-+*]) (\d+)", problem.phrasings[0]
        ).groups()
        assert str(SIGNS[sign](int(first), int(second))) == problem.answer


def test_arithmetic_in_words_is_right():
    for problem in drawn("words"):
        first, name, second = re.search(
            r"What is (.+) (plus|minus|times) (.+)\?", problem.phrasings[0]
        ).groups()
        assert NAMED[name](NUMBERS[first], NUMBERS[second]) == NUMBERS[problem.answer]


def test_every_number_has_its_own_words():
    assert 1000 == len(NUMBERS)


def test_written_addition_carries_from_line_to_line():
    for problem in drawn("add_long"):
        *steps, last = problem.work.splitlines()
        carry, written = 0, ""
        for step in steps:
            form = r"(\d+) \+ (\d+): (\d) \+ (\d) \+ (\d) = (\d+), carry (\d), so far (\d+)"
            first, second, a, b, carried, total, left, so_far = map(
                int, re.fullmatch(form, step).groups()
            )
            assert (first % 10, second % 10, carry) == (a, b, carried)
            assert (a + b + carry, total // 10) == (total, left)
            carry, written = left, f"{total % 10}{written}"
            assert int(written) == so_far % 10 ** len(written)
        assert f"A: {problem.answer}" == last
        assert int(problem.answer) == int(f"{carry}{written}")


def test_written_addition_aligns_numbers_of_different_length():
    expected = (
        "95 + 7: 5 + 7 + 0 = 12, carry 1, so far 2\n9 + 0: 9 + 0 + 1 = 10, carry 1, so "
        "far 102\nA: 102"
    )
    assert expected == written_addition(95, 7)


def test_a_reversed_word_reads_back():
    for problem in drawn("reverse"):
        assert f'Reverse the word "{problem.answer[::-1]}".' == problem.phrasings[0]


def test_a_copy_is_what_was_asked_for():
    for problem in drawn("copy"):
        assert f"Copy this: {problem.answer}" == problem.phrasings[0]


def test_json_holds_the_values_named():
    for problem in drawn("json"):
        listed = ", ".join(
            f"{key} {value}" for key, value in json.loads(problem.answer).items()
        )
        assert f"Write as JSON: {listed}" == problem.phrasings[0]


def test_a_made_up_word_has_three_to_eight_letters():
    """Every size in between comes up."""
    rng = Random(1)

    sizes = {len(made_up_word(rng)) for _ in range(2000)}

    assert set(range(3, 9)) == sizes


def test_the_content_does_not_depend_on_the_phrasing():
    """A sum in either order is one problem, so that both are held out or neither."""
    contents = [problem.content for problem in drawn("add", 3000)]

    for content in contents:
        _, low, high = content.split()
        assert int(low) <= int(high)
