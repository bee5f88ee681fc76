"""The examples that the bundled model learns from, and the problems kept back to
examine it.

`python -m themis_lib.engine.tiny.corpus > examples/tasks.jsonl` writes the evaluation
set.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

from themis_lib.engine.tiny.problems import GROUPS, Problem
from themis_lib.engine.tiny.prose import open_request, plain_text

#: The instruction under which an answer ends with a line `A: …`, after written work in
#: the additions.
SHOW_WORK = "Show your work."
#: How many examples of each kind the stream holds, relative to each other.
WEIGHTS = {
    "add": 36,
    "add_long": 18,
    "subtract": 18,
    "words": 14,
    "multiply": 14,
    "copy": 6,
    "reverse": 10,
    "choose": 14,
    "json": 5,
    "open": 10,
    "raw": 1,
}
CASES_PER_GROUP = 30

_INSTRUCTIONS = (
    "Answer with the number only.",
    "You are a careful assistant.",
    "You are a helpful assistant.",
    "Solve the task.",
    "Answer briefly.",
    "Be concise.",
    "Think carefully, then answer.",
    "Give only the answer.",
    "You are a teacher who likes short answers.",
    "Reply with the answer and nothing else.",
)
_FRAMES = (
    "Question: {}\nAnswer:",
    "Q: {}\nA:",
    "{} Answer with the number only.",
    "{} Give only the answer.",
    "Please answer: {}",
    "Solve this: {}",
    "Task: {}",
    "{}\nAnswer:",
)


@dataclass(frozen=True)
class Example:
    """A request and its right answer; `raw` examples are plain text in `answer`,
    outside any conversation.
    """

    group: str
    prompt: str
    answer: str
    instructions: str | None = None
    content: str = ""


def held_out(content: str) -> bool:
    """Whether a problem is kept for examination and never trained on: one in eight, by
    SHA-256 of its content.
    """
    return hashlib.sha256(content.encode()).digest()[0] % 8 == 0


def examples(seed: int) -> Iterator[Example]:
    """The endless stream of training examples that `seed` fixes; it holds no held-out
    problem.
    """
    rng = Random(seed)
    while True:
        group = _draw_group(rng)
        if group not in GROUPS:
            yield _open_example(rng, group, _draw_instructions(rng))
        elif rng.random() < _SHOWN.get(group, 0.04):
            yield _worked_example(rng, group)
        else:
            yield _direct_example(rng, group)


def plain_examples(seed: int) -> Iterator[Example]:
    """As `examples`, in first phrasings and without instructions other than
    `SHOW_WORK`: what to learn first.
    """
    rng = Random(seed)
    while True:
        group = _draw_group(rng)
        if group not in GROUPS:
            yield _open_example(rng, group, None)
            continue
        problem = _draw_problem(rng, group)
        if problem.work and rng.random() < _SHOWN[group]:
            yield Example(
                group,
                problem.phrasings[0],
                problem.work,
                SHOW_WORK,
                problem.content,
            )
        else:
            yield Example(
                group,
                problem.phrasings[0],
                problem.answer,
                None,
                problem.content,
            )


def examination(
    group: str,
    count: int,
    seed: int = 0,
) -> list[Example]:
    """`count` different held-out problems of `group`, each in its first phrasing and
    without instructions.
    """
    rng = Random(f"{group} {seed}")
    found: dict[str, Example] = {}
    while len(found) < count:
        problem = _draw_problem(rng, group, kept_back=True)
        found.setdefault(
            problem.content,
            Example(
                group,
                problem.phrasings[0],
                problem.answer,
                None,
                problem.content,
            ),
        )
    return list(found.values())


def task_lines(cases_per_group: int = CASES_PER_GROUP) -> Iterator[str]:
    """The lines of the evaluation set: held-out problems of every group in turn, as
    JSON.
    """
    examined = [examination(group, cases_per_group) for group in GROUPS]
    for number, row in enumerate(zip(*examined, strict=True), start=1):
        for example in row:
            case = {
                "case_id": f"{example.group}-{number:03d}",
                "input": example.prompt,
                "expected_output": example.answer,
                "metadata": {"group": example.group},
            }
            yield json.dumps(case)


#: The share of a group's examples that ask for written work; 0.04 where none is listed.
_SHOWN = {"add": 0.06, "add_long": 0.5}


def _draw_group(rng: Random) -> str:
    return rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]


def _open_example(
    rng: Random,
    group: str,
    instructions: str | None,
) -> Example:
    if group == "raw":
        return Example("raw", "", plain_text(rng))
    request, answer = open_request(rng)
    return Example(
        "open",
        request,
        answer,
        instructions,
    )


def _draw_problem(
    rng: Random,
    group: str,
    *,
    kept_back: bool = False,
) -> Problem:
    while True:
        problem = GROUPS[group](rng)
        if held_out(problem.content) == kept_back:
            return problem


def _direct_example(
    rng: Random,
    group: str,
) -> Example:
    problem = _draw_problem(rng, group)
    if rng.random() < 0.04:
        return Example(
            group,
            _few_shot(rng, problem),
            problem.answer,
            _draw_instructions(rng),
            problem.content,
        )
    return Example(
        group,
        _ask_problem(rng, problem),
        problem.answer,
        _draw_instructions(rng),
        problem.content,
    )


def _worked_example(
    rng: Random,
    group: str,
) -> Example:
    problem = _draw_problem(rng, group)
    answer = problem.work or f"A: {problem.answer}"
    prompt, drawn = _ask_problem(rng, problem), rng.random()
    if drawn < 0.2:
        return Example(
            group,
            f"{prompt} {SHOW_WORK}",
            answer,
            _draw_instructions(rng),
            problem.content,
        )
    instructions = (
        SHOW_WORK if drawn < 0.7 else f"{rng.choice(_INSTRUCTIONS[1:4])} {SHOW_WORK}"
    )
    return Example(
        group,
        prompt,
        answer,
        instructions,
        problem.content,
    )


def _ask_problem(
    rng: Random,
    problem: Problem,
) -> str:
    prompt = (
        problem.phrasings[0] if rng.random() < 0.5 else rng.choice(problem.phrasings)
    )
    return rng.choice(_FRAMES).format(prompt) if rng.random() < 0.12 else prompt


def _draw_instructions(rng: Random) -> str | None:
    return rng.choice(_INSTRUCTIONS) if rng.random() < 0.2 else None


def _few_shot(
    rng: Random,
    problem: Problem,
) -> str:
    style = rng.randrange(len(problem.phrasings))
    shown = [_draw_problem(rng, problem.group) for _ in range(rng.randint(1, 4))]
    solved = "\n".join(
        f"Q: {shot.phrasings[style]}\nA: {shot.answer}" for shot in shown
    )
    return f"{solved}\nQ: {problem.phrasings[style]}\nA:"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in islice(task_lines(), None))
