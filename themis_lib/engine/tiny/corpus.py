"""Examples that the bundled model learns from, and problems held out to examine it.

`python -m themis_lib.engine.tiny.corpus > examples/tasks.jsonl` writes the evaluation
set. The order of the draws is part of the corpus: another order gives other examples
for the same seed.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from themis_lib.engine.tiny.problems import GROUPS, Problem
from themis_lib.engine.tiny.prose import open_request, plain_text

#: The instruction under which an answer ends with a line `A: …`. Additions have written
#: work before it.
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
#: How many problems of each group the evaluation set has.
CASES_PER_GROUP = 30

# The share of a group's examples that ask for written work, and of all others.
_WORKED_SHARES = {"add": 0.06, "add_long": 0.5}
_OTHER_WORKED_SHARE = 0.04
# The share of the direct examples that show solved problems first.
_FEW_SHOT_SHARE = 0.04
# Instructions that change no answer: the model learns to do the task under any of them.
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
# Those that go with `SHOW_WORK`; the others ask for an answer alone.
_PATIENT_INSTRUCTIONS = _INSTRUCTIONS[1:4]
# What people write around a question.
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
    """A request and its right answer.

    A `raw` example is plain text in `answer`, outside of any conversation. `content`
    identifies the problem, and is empty where there is none.
    """

    group: str
    prompt: str
    answer: str
    instructions: str | None = None
    content: str = ""


def held_out(content: str) -> bool:
    """Return whether a problem is kept for examination and never trained on.

    That is one problem in eight, by the SHA-256 of its content.
    """
    # By content, not by a draw: a problem that comes up again is held out again.
    return hashlib.sha256(content.encode()).digest()[0] % 8 == 0


def examples(seed: int) -> Iterator[Example]:
    """Yield the training examples of `seed` without end, none of them held out."""
    rng = Random(seed)
    while True:
        group = _draw_group(rng)
        if group not in GROUPS:
            yield _open_example(rng, group, _draw_instructions(rng))
        elif rng.random() < _WORKED_SHARES.get(group, _OTHER_WORKED_SHARE):
            yield _worked_example(rng, group)
        else:
            yield _direct_example(rng, group)


def plain_examples(seed: int) -> Iterator[Example]:
    """Yield simpler examples without end, which the model learns from first.

    They have the first phrasing of each problem, and no instructions but `SHOW_WORK`.
    """
    rng = Random(seed)
    while True:
        group = _draw_group(rng)
        if group not in GROUPS:
            yield _open_example(rng, group, None)
            continue
        problem = _draw_problem(rng, group)
        if problem.work and rng.random() < _WORKED_SHARES[group]:
            yield Example(
                group=group,
                prompt=problem.phrasings[0],
                answer=problem.work,
                instructions=SHOW_WORK,
                content=problem.content,
            )
        else:
            yield _plain_example(problem)


def examination(
    group: str,
    count: int,
    seed: int = 0,
) -> list[Example]:
    """Return `count` different held-out problems of a group.

    Each is in its first phrasing and without instructions. Never returns if the group
    has fewer problems.
    """
    rng = Random(f"{group} {seed}")
    found: dict[str, Example] = {}
    while len(found) < count:
        problem = _draw_problem(rng, group, kept_back=True)
        # The first draw of a problem is kept: its options may be in another order.
        found.setdefault(problem.content, _plain_example(problem))
    return list(found.values())


def task_lines(cases_per_group: int = CASES_PER_GROUP) -> Iterator[str]:
    """Yield the lines of the evaluation set as JSON.

    They are held-out problems of every group in turn, so that the first few lines hold
    all groups.
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


def _draw_group(rng: Random) -> str:
    [group] = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
    return group


def _open_example(
    rng: Random,
    group: str,
    instructions: str | None,
) -> Example:
    if group == "raw":
        return Example(
            group="raw",
            prompt="",
            answer=plain_text(rng),
        )
    request, answer = open_request(rng)
    return Example(
        group="open",
        prompt=request,
        answer=answer,
        instructions=instructions,
    )


def _plain_example(problem: Problem) -> Example:
    return Example(
        group=problem.group,
        prompt=problem.phrasings[0],
        answer=problem.answer,
        content=problem.content,
    )


def _draw_problem(
    rng: Random,
    group: str,
    *,
    kept_back: bool = False,
) -> Problem:
    """Draw until a problem is among those held out, or among the others."""
    while True:
        problem = GROUPS[group](rng)
        if held_out(problem.content) == kept_back:
            return problem


def _direct_example(
    rng: Random,
    group: str,
) -> Example:
    problem = _draw_problem(rng, group)
    if rng.random() < _FEW_SHOT_SHARE:
        prompt = _show_solved(rng, problem)
    else:
        prompt = _ask_problem(rng, problem)
    return Example(
        group=group,
        prompt=prompt,
        answer=problem.answer,
        instructions=_draw_instructions(rng),
        content=problem.content,
    )


def _worked_example(
    rng: Random,
    group: str,
) -> Example:
    """Return an example that asks for written work, in the prompt or by instruction."""
    problem = _draw_problem(rng, group)
    prompt = _ask_problem(rng, problem)
    drawn = rng.random()
    if drawn < 0.2:
        prompt = f"{prompt} {SHOW_WORK}"
        instructions = _draw_instructions(rng)
    elif drawn < 0.7:
        instructions = SHOW_WORK
    else:
        instructions = f"{rng.choice(_PATIENT_INSTRUCTIONS)} {SHOW_WORK}"
    # Without written work the answer still has its last line, which is what is scored.
    return Example(
        group=group,
        prompt=prompt,
        answer=problem.work or f"A: {problem.answer}",
        instructions=instructions,
        content=problem.content,
    )


def _ask_problem(
    rng: Random,
    problem: Problem,
) -> str:
    prompt = problem.phrasings[0]
    # Half of the time the first phrasing, in which problems are examined.
    if rng.random() >= 0.5:
        prompt = rng.choice(problem.phrasings)
    if rng.random() < 0.12:
        return rng.choice(_FRAMES).format(prompt)
    return prompt


def _draw_instructions(rng: Random) -> str | None:
    if rng.random() < 0.2:
        return rng.choice(_INSTRUCTIONS)
    return None


def _show_solved(
    rng: Random,
    problem: Problem,
) -> str:
    """Return a prompt of one to four solved problems, and then the one to solve."""
    # One phrasing throughout, as people write such prompts.
    style = rng.randrange(len(problem.phrasings))
    lines: list[str] = []
    for _ in range(rng.randint(1, 4)):
        # Never a held-out problem: the solved ones are trained on, too.
        solved = _draw_problem(rng, problem.group)
        lines.append(f"Q: {solved.phrasings[style]}")
        lines.append(f"A: {solved.answer}")
    lines.append(f"Q: {problem.phrasings[style]}")
    lines.append("A:")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in task_lines())
