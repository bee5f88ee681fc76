"""Runs of a judge whose verdicts a test writes down, and labels of their answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from themis_lib import (
    Case,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    GenerationResult,
    RunResult,
    RunStore,
)
from themis_lib.components.functions import as_generator
from themis_lib.core.contexts import GenerateContext
from themis_lib.labels.draws import DrawMethod, draw_items
from themis_lib.labels.items import items_of
from themis_lib.labels.stored_labels import Label, LabelStore, label_time

CORRECT = {"use": "builtin/judge_correctness", "id": "correct"}
PAIRWISE = {"use": "builtin/judge_pairwise", "id": "better"}
RUBRIC = {"use": "builtin/judge_rubric", "id": "tone", "rubric": "Polite, and short."}


def contains_judge(prompt: str) -> str:
    """A judge who believes that what contains the expected output is correct."""
    texts = re.findall(r"<[\w ]+ [0-9a-f]+>\n(.*?)\n</", prompt, re.DOTALL)
    verdict = "correct" if texts[1] in texts[-1] else "incorrect"
    return json.dumps({"reason": "I looked.", "verdict": verdict})


def strict_judge(prompt: str) -> str:
    """Another judge, who finds nothing correct."""
    return '{"reason": "No.", "verdict": "incorrect"}'


def grading_judge(prompt: str) -> str:
    """A judge whose grade is the number of words of what it judges, 1 to 5."""
    texts = re.findall(r"<[\w ]+ [0-9a-f]+>\n(.*?)\n</", prompt, re.DOTALL)
    grade = max(1, min(5, len(texts[-1].split())))
    return json.dumps({"reason": "Counted.", "grade": grade})


def pairing_judge(prompt: str) -> str:
    """A judge who finds the longer answer better."""
    texts = re.findall(r"<[\w ]+ [0-9a-f]+>\n(.*?)\n</", prompt, re.DOTALL)
    lengths = len(texts[-2]), len(texts[-1])
    verdict = "tie" if lengths[0] == lengths[1] else "AB"[lengths[0] < lengths[1]]
    return json.dumps({"reason": "Longer.", "verdict": verdict})


def cases(count: int, **changes: Any) -> list[Case]:
    """Sums q0, q1, …; `changes` are fields of the case of q0."""
    made = []
    for number in range(count):
        case = Case(
            case_id=f"q{number}",
            input=f"What is {number} + {number}?",
            expected_output=str(2 * number),
            metadata={"level": "easy"},
        )
        made.append(case)
    if changes:
        made[0] = made[0].model_copy(update=changes)
    return made


def answers_right_or_wrong(text: str) -> str:
    """A model that is wrong for every third sum."""
    number = int(re.findall(r"\d+", text)[0])
    return f"It is {2 * number + (number % 3 == 0)}."


class Seeing:
    """A model that takes parts, and finds 0 in all of them."""

    component_id, version, reads = "tests/seeing", "1", ("input",)

    def fingerprint(self) -> str:
        return ""

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        return GenerationResult(final_output="It is 0.")


def judged_run(
    store: RunStore,
    *,
    count: int = 6,
    dataset: list[Case] | None = None,
    metric: Mapping[str, Any] = CORRECT,
    judge: Callable[[str], str] | Sequence[Any] = contains_judge,
    model: Callable[[str], str] | Seeing = answers_right_or_wrong,
    samples: int = 1,
    name: str = "judged",
    instructions: str | None = None,
) -> RunResult:
    """Return a finished run whose answers a judge has judged."""
    asked = dict(metric)
    if "judge" in str(asked["use"]):
        asked["judge"] = as_generator(judge) if callable(judge) else list(judge)
    generation: dict[str, Any] = {"generator": as_generator(model)}
    if instructions is not None:
        generation["prompt_spec"] = {"instructions": instructions}
    experiment = Experiment(
        name=name,
        generation=GenerationConfig(**generation),
        datasets=[Dataset(dataset_id="sums", cases=dataset or cases(count))],
        evaluation=EvaluationConfig(parsers=["builtin/text"], metrics=[asked]),
        seeds=list(range(samples)),
    )
    return experiment.run(store)


def give_labels(
    run: RunResult,
    count: int,
    *,
    metric_id: str | None = None,
    method: DrawMethod = "uniform",
    seed: int = 0,
    labeller: str = "ana",
    value: Callable[[str], float | None] = lambda item: 1.0,
) -> list[str]:
    """Label the first items of a draw, and return them."""
    items = items_of(run, metric_id)
    draw = draw_items(items, method=method, seed=seed)
    labels = LabelStore(run.store)
    draw.keep(labels)
    given = [
        Label(
            item=item,
            metric_id=items.question.metric_id,
            value=value(item),
            labeller=labeller,
            labelled_at=label_time(),
            draw=draw.name,
            method=method,
            seed=seed,
        )
        for item in draw.items[:count]
    ]
    labels.add(given)
    return [label.item for label in given]
