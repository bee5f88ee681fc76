"""Tasks of lm-eval here and in lm-eval itself: the same prompts and the same scores."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.support.lm_eval_tasks import TASKS, answered, overrides_for, rated
from themis_lib import (
    Case,
    Experiment,
    GenerationConfig,
    GenerationResult,
    LmEvalDataset,
)
from themis_lib.core.contexts import GenerateContext
from themis_lib.data.datasets import case_rows
from themis_lib.data.lm_eval_names import task_file

pytest.importorskip("lm_eval")
pytestmark = [
    pytest.mark.slow,
    # Of lm-eval and the libraries below it.
    pytest.mark.filterwarnings("ignore"),
]


@dataclass(frozen=True)
class Recorded:
    """A generator that answers by the text of what it is asked."""

    answers: tuple[str, ...]
    component_id: ClassVar[str] = "recorded"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = ("input",)
    rates_continuations: ClassVar[bool] = True

    def fingerprint(self) -> str:
        return json.dumps(self.answers)

    def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        asked: Any = case.input
        if isinstance(asked, str):
            return GenerationResult(final_output=answered(asked, list(self.answers)))
        return GenerationResult(final_output=[rated(*pair) for pair in _pairs(asked)])


def _pairs(asked: Any) -> list[tuple[str, str]]:
    continuations = asked["continuations"]
    contexts = asked["context"]
    if isinstance(contexts, str):
        contexts = [contexts] * len(continuations)
    return list(zip(contexts, continuations, strict=True))


def _lm_eval_samples(
    task: str,
    overrides: dict[str, Any],
    folder: Path,
) -> list[dict[str, Any]]:
    """Return the samples that lm-eval's own `simple_evaluate` logs."""
    import yaml
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    shots, _, answers = TASKS[task]

    class Model(LM):
        def loglikelihood(self, requests, disable_tqdm=False):
            return [rated(*request.args) for request in requests]

        def loglikelihood_rolling(self, requests, disable_tqdm=False):
            raise NotImplementedError

        def generate_until(self, requests, disable_tqdm=False):
            texts = []
            for request in requests:
                prompt, settings = request.args
                text = answered(prompt, answers)
                # As every model of lm-eval does.
                for stop in settings["until"]:
                    text = text.split(stop)[0]
                texts.append(text)
            return texts

    file = folder / "task.yaml"
    content = {"include": str(task_file(task)), "task": task, **overrides}
    file.write_text(yaml.safe_dump(content))
    results = simple_evaluate(
        Model(),
        tasks=[str(file)],
        num_fewshot=shots,
        bootstrap_iters=0,
        task_manager=TaskManager(include_defaults=False),
        log_samples=True,
    )
    return results["samples"][task]


@pytest.mark.parametrize("task", TASKS)
def test_prompts_and_scores_are_those_of_lm_eval(task, tmp_path):
    """Every request and every document's score equal those of `simple_evaluate`."""
    overrides = overrides_for(task, tmp_path)
    shots, _, answers = TASKS[task]
    dataset = LmEvalDataset(task=task, num_fewshot=shots, overrides=overrides)
    generator = Recorded(tuple(answers))

    run = Experiment(
        generation=GenerationConfig(generator=generator),
        datasets=[dataset],
    ).run()

    expected_requests: dict[int, Any] = {}
    expected_scores: dict[tuple[int, str], float] = {}
    for sample in _lm_eval_samples(task, overrides, tmp_path):
        number = sample["doc_id"]
        requests = [tuple(arguments) for arguments in sample["arguments"]]
        expected_requests[number] = requests
        for metric in sample["metrics"]:
            name = metric
            if sample["filter"] != "none":
                name = f"{metric},{sample['filter']}"
            expected_scores[number, name] = float(sample[metric])
    asked: dict[int, Any] = {}
    for number, (_, text, _, _) in enumerate(case_rows(dataset)):
        asked[number] = json.loads(text)
    found = {
        number: [(each,) for each in [one]] if isinstance(one, str) else _pairs(one)
        for number, one in asked.items()
    }
    scores = {}
    for row in run.table("scores").to_pylist():
        number = int(row["case_id"].rpartition("-")[2])
        scores[number, row["metric_id"]] = row["score"]

    if answers:
        expected_requests = {
            number: [requests[0][:1]] for number, requests in expected_requests.items()
        }
    assert expected_requests == found
    # A metric whose aggregate is no mean of documents is left out.
    assert {
        key: score for key, score in expected_scores.items() if key[1] != "perplexity"
    } == scores
    assert len(set(scores.values())) > 1
