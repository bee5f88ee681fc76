"""The bundled model's corpus: one stream a seed, and nothing examined that was trained
on.
"""

import json
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
from themis_lib.engine.tiny.problems import GROUPS

TASKS = Path(__file__).parents[3] / "examples" / "tasks.jsonl"


def drawn(group, count=300):
    rng = Random(7)
    return [GROUPS[group](rng) for _ in range(count)]


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


def test_the_example_tasks_are_what_the_module_makes():
    assert TASKS.read_text().splitlines() == list(task_lines())


def test_the_example_tasks_are_held_out_and_even():
    cases = [json.loads(line) for line in TASKS.read_text().splitlines()]
    assert len(cases) == len({case["input"] for case in cases})
    assert dict.fromkeys(GROUPS, 30) == Counter(
        case["metadata"]["group"] for case in cases
    )
