"""The bundled model's corpus: right answers, one stream a seed, and nothing examined
that was trained on.
"""

import json
import operator
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from themis_lib.engine.tiny.corpus import (
    SHOW_WORK,
    WEIGHTS,
    examination,
    examples,
    held_out,
    plain_examples,
    task_lines,
)
from themis_lib.engine.tiny.problems import GROUPS, number_in_words, written_addition
from themis_lib.engine.tiny.prose import open_request, plain_text

TASKS = Path(__file__).parents[3] / "examples" / "tasks.jsonl"
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
    expected = "95 + 7: 5 + 7 + 0 = 12, carry 1, so far 2\n9 + 0: 9 + 0 + 1 = 10, carry 1, so far 102\nA: 102"
    assert expected == written_addition(95, 7)


def test_a_reversed_word_reads_back():
    for problem in drawn("reverse"):
        assert f'Reverse the word "{problem.answer[::-1]}".' == problem.phrasings[0]


def test_a_copy_is_what_was_asked_for():
    for problem in drawn("copy"):
        assert f"Copy this: {problem.answer}" == problem.phrasings[0]


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


def test_json_holds_the_values_named():
    for problem in drawn("json"):
        listed = ", ".join(
            f"{key} {value}" for key, value in json.loads(problem.answer).items()
        )
        assert f"Write as JSON: {listed}" == problem.phrasings[0]


@pytest.mark.parametrize("stream", [examples, plain_examples])
def test_a_seed_fixes_the_stream(stream):
    assert list(islice(stream(3), 500)) == list(islice(stream(3), 500))


@pytest.mark.parametrize("stream", [examples, plain_examples])
def test_another_seed_gives_another_stream(stream):
    assert list(islice(stream(3), 50)) != list(islice(stream(4), 50))


@pytest.mark.parametrize("stream", [examples, plain_examples])
def test_the_stream_holds_every_group_and_nothing_held_out(stream):
    seen = list(islice(stream(0), 20_000))
    assert set(WEIGHTS) == {example.group for example in seen}
    assert [] == [
        example for example in seen if example.content and held_out(example.content)
    ]


@pytest.mark.parametrize("stream", [examples, plain_examples])
def test_an_examined_prompt_is_never_a_trained_one(stream):
    trained = {example.prompt for example in islice(stream(0), 20_000)}
    asked = {example.prompt for group in GROUPS for example in examination(group, 100)}
    assert set() == trained & asked


def test_about_one_problem_in_eight_is_held_out():
    kept = sum(held_out(problem.content) for problem in drawn("add_long", 4000))
    assert 400 < kept < 600


def test_worked_examples_end_with_their_answer():
    worked = [
        example
        for example in islice(plain_examples(0), 3000)
        if example.instructions == SHOW_WORK
    ]
    assert len(worked) > 50
    for example in worked:
        first, second = map(int, re.search(r"(\d+) \+ (\d+)", example.prompt).groups())
        assert f"A: {first + second}" == example.answer.splitlines()[-1]


def test_open_answers_hardly_ever_repeat():
    rng = Random(5)
    answers = [open_request(rng)[1] for _ in range(2000)]
    assert 2000 == len(set(answers))
    assert all(4 <= len(re.findall(r"[.!?](?:\"| |$)", answer)) for answer in answers)


def test_articles_agree_with_the_next_word():
    rng = Random(5)
    text = " ".join(plain_text(rng) for _ in range(500))
    assert [] == re.findall(r"\b[Aa] [aeiou]\w*", text)


def test_the_example_tasks_are_what_the_module_makes():
    assert TASKS.read_text().splitlines() == list(task_lines())


def test_the_example_tasks_are_held_out_and_even():
    cases = [json.loads(line) for line in TASKS.read_text().splitlines()]
    assert len(cases) == len({case["input"] for case in cases})
    assert dict.fromkeys(GROUPS, 30) == Counter(
        case["metadata"]["group"] for case in cases
    )
