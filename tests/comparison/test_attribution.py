"""A difference of scores shared out among the settings that differ."""

from __future__ import annotations

import math
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.counting import CALLS
from themis_lib import (
    Case,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    GenerationResult,
    InMemoryRunStore,
    RunResult,
)
from themis_lib.comparison.attribution import (
    MixedExperiments,
    explain_difference,
    lacks,
)
from themis_lib.core.contexts import GenerateContext
from themis_lib.errors import ConfigError

FACTORS = ("prompt", "parser", "metric")


def spec(
    changed: tuple[str, ...] = (), cases: int = 20, **settings: Any
) -> dict[str, Any]:
    """An experiment on the demo generator; factors change its prompt and how it is
    read.
    """
    is_changed = {name: name in changed for name in FACTORS}
    parser: Any = {"use": "builtin/regex", "pattern": r"answer (\d)"}
    if is_changed["parser"]:
        parser = {"use": "builtin/regex", "pattern": r"answer (\d+)"}
    metric: Any = {"use": "builtin/exact_match", "id": "right"}
    if is_changed["metric"]:
        metric = {"use": "builtin/numeric_match", "id": "right", "abs_tol": 1}
    return {
        "name": "changed" if changed else "base",
        "generation": {
            "generator": {"use": "tests.support.counting:Generator"},
            "prompt_spec": {"prefix": "7"} if is_changed["prompt"] else {},
        },
        "evaluation": {"parsers": [parser], "metrics": [metric]},
        "datasets": [
            {
                "dataset_id": "d",
                "cases": [
                    {
                        "case_id": f"c{at}",
                        "input": str(at),
                        "expected_output": str(at + at % 2),
                    }
                    for at in range(cases)
                ],
            }
        ],
        **settings,
    }


def run(store: Any, *changed: str, **settings: Any) -> RunResult:
    return Experiment.model_validate(spec(changed, **settings)).run(store)


def mean(result: RunResult) -> float:
    value = result.summary[0].mean
    assert value is not None
    return value


@settings(max_examples=3, deadline=None)
@given(changed=st.sets(st.sampled_from(FACTORS), min_size=1), cases=st.integers(3, 25))
def test_shares_are_those_of_all_runs_between(changed: set[str], cases: int) -> None:
    """Against brute force: every mixed experiment is run by itself."""
    store = InMemoryRunStore()
    names = [name for name in FACTORS if name in changed]
    before = run(store, cases=cases)
    after = run(store, *names, cases=cases)

    explanation = explain_difference(before, after)

    means: dict[frozenset[str], float] = {}
    for count in range(len(names) + 1):
        for chosen in combinations(names, count):
            each = run(InMemoryRunStore(), *chosen, cases=cases)
            means[frozenset(chosen)] = mean(each)
    expected = dict.fromkeys(names, 0.0)
    orders = list(permutations(names))
    for order in orders:
        for at, name in enumerate(order):
            old, new = frozenset(order[:at]), frozenset(order[: at + 1])
            expected[name] += (means[new] - means[old]) / len(orders)
    (score,) = explanation.scores
    assert expected == {
        item.factor: pytest.approx(item.share, abs=1e-12) for item in score.shares
    }
    assert score.difference == math.fsum(item.share for item in score.shares)


def test_nothing_is_generated_where_no_generation_differs() -> None:
    """Three settings changed on 1,000 cases: the six mixed cells call no generator."""
    store = InMemoryRunStore()
    before = run(store, cases=1_000)
    after = run(store, "prompt", "parser", "metric", cases=1_000)
    generated = CALLS["generate"]

    mixed = MixedExperiments.of(before, after)
    missing, dollars = lacks(mixed.plan())
    explanation = explain_difference(before, after)

    assert (0, 0.0) == (missing, dollars)
    assert generated == CALLS["generate"]
    assert "generate" not in explanation.computed
    assert 8 == explanation.cells
    assert ["prompt", "parser", "metric"] == list(explanation.factors)


def test_what_must_be_generated_is_planned_once() -> None:
    """Prompt and model changed: two mixed cells lack their generations."""
    store = InMemoryRunStore()
    before = run(store)
    other = spec(("prompt", "parser"))
    other["generation"]["generator"]["model"] = "other"
    after = Experiment.model_validate(other).run(store)

    mixed = MixedExperiments.of(before, after)

    assert ["prompt", "model", "parser"] == [factor.name for factor in mixed.factors]
    assert 40 == lacks(mixed.plan())[0]
    generated = CALLS["generate"]
    explain_difference(before, after)
    assert 40 == CALLS["generate"] - generated
    assert (0, 0.0) == lacks(mixed.plan())


def test_changed_cases_are_a_factor() -> None:
    """An expected output that was corrected moves the score of its case alone."""
    store = InMemoryRunStore()
    before = run(store)
    corrected = spec()
    corrected["datasets"][0]["cases"][3]["expected_output"] = "3"
    after = Experiment.model_validate(corrected).run(store)

    explanation = explain_difference(before, after)

    ((share,),) = [score.shares for score in explanation.scores]
    assert ("data", 1 / 20, ["c3"]) == (
        share.factor,
        share.share,
        [case.case_id for case in share.cases],
    )


class Draws:
    """Answers each draw of an input with the next number."""

    component_id = "tests/draws"
    version = "1"
    reads = ("input",)

    def __init__(self) -> None:
        self.count = 0

    def fingerprint(self) -> str:
        return ""

    def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        self.count += 1
        return GenerationResult(final_output=self.count)


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 2], [2, 1, 0]])
def test_draws_of_equal_inputs_stay_those_of_the_runs(order: list[int]) -> None:
    """Cases that ask the same are told apart by their order, also by those that only one
    run has: the ends are what the runs measured.
    """
    store = InMemoryRunStore()
    draws = Draws()

    def run_on(
        ids: list[int], name: str, abs_tol: float
    ) -> tuple[Experiment, RunResult]:
        cases = [
            {"case_id": f"c{at}", "input": "?", "expected_output": at + 1} for at in ids
        ]
        experiment = Experiment(
            name=name,
            generation=GenerationConfig(generator=draws),
            evaluation=EvaluationConfig(
                metrics=[
                    {"use": "builtin/numeric_match", "id": "right", "abs_tol": abs_tol}
                ]
            ),
            datasets=[Dataset(dataset_id="d", cases=[Case(**each) for each in cases])],
        )
        return experiment, experiment.run(store)

    old, before = run_on([0, 1, 2], "before", 0.0)
    new, after = run_on(order, "after", 1.0)

    explanation = explain_difference(before, after, experiments=(old, new))

    (score,) = explanation.scores
    shared = {f"c{at}" for at in order}
    scores = {}
    for result in (before, after):
        rows = result.table("results").to_pylist()
        scores[result.run_id] = [
            row["score"] for row in rows if row["case_id"] in shared
        ]
    assert score.baseline_mean == np.mean(scores[before.run_id])
    assert score.candidate_mean == np.mean(scores[after.run_id])
    assert {} == {
        name: count
        for name, count in explanation.computed.items()
        if name == "generate"
    }


def test_runs_that_cannot_be_explained_are_refused(tmp_path: Path) -> None:
    """Each refusal names the run and the reason."""
    store = InMemoryRunStore()
    before, same = run(store), run(store)

    with pytest.raises(ConfigError, match="no setting differs"):
        explain_difference(before, same)
    with pytest.raises(ConfigError, match="named twice"):
        explain_difference(before, before)
    with pytest.raises(ConfigError, match="no metric 'wrong' in both runs"):
        explain_difference(before, run(store, "parser"), metric_ids=["wrong"])


def test_settings_that_need_each_other_are_one_factor() -> None:
    """A reducer over 4 samples cannot be mixed with the single sample of before."""
    store = InMemoryRunStore()
    before = run(store)
    other = spec(("parser",))
    other["generation"]["candidate_policy"] = {"num_samples": 4}
    other["generation"]["reducer"] = {"use": "builtin/pass_at_k", "k": 4}
    after = Experiment.model_validate(other).run(store)

    explanation = explain_difference(before, after)

    assert ["samples and reducer", "parser"] == list(explanation.factors)
    joined = explanation.factors["samples and reducer"]
    assert ["generation.candidate_policy", "generation.reducer"] == [
        ".".join(line.split(":")[0].split(".")[:2]) for line in joined
    ]
    assert 4 == explanation.cells


def test_judge_models_that_no_explained_metric_asks_are_left_out() -> None:
    """One metric of a run with a judged one is explained by itself."""
    store = InMemoryRunStore()
    results = []
    for changed in ((), ("parser",)):
        other = spec(changed)
        other["evaluation"]["metrics"].append("builtin/judge_correctness")
        other["evaluation"]["judge_models"] = ["builtin/demo_generator"]
        results.append(Experiment.model_validate(other).run(store))

    explanation = explain_difference(*results, metric_ids=["right"])

    assert ["right"] == [score.metric_id for score in explanation.scores]
    assert ["parser"] == list(explanation.factors)


def test_labels_of_a_metric_that_is_not_explained_are_left_out() -> None:
    store = InMemoryRunStore()
    results = []
    for changed in ((), ("parser",)):
        other = spec(changed)
        other["evaluation"]["metrics"].append("builtin/edit_similarity")
        other["evaluation"]["agreement"] = {"edit_similarity": "label"}
        for case in other["datasets"][0]["cases"]:
            case["metadata"] = {"label": 1}
        results.append(Experiment.model_validate(other).run(store))

    explanation = explain_difference(*results, metric_ids=["right"])

    assert ["right"] == [score.metric_id for score in explanation.scores]


def test_each_model_has_the_price_that_its_own_run_gave() -> None:
    """Two models, each priced in its own experiment: both mixed cells have a cost."""
    store = InMemoryRunStore()
    results = []
    for changed, model, dollars in (((), "m1", 1.0), (("prompt",), "other", 2.0)):
        other = spec(changed)
        other["generation"]["generator"]["model"] = model
        other["cost"] = {"prices": {model: {"input": dollars, "output": dollars}}}
        results.append(Experiment.model_validate(other).run(store))

    plans = MixedExperiments.of(*results).plan()

    generated = [plan for plan in plans if plan.stage == "generate"]
    assert [20, 20] == [plan.missing for plan in generated]
    assert not any(plan.lacks_price for plan in generated)


def test_cases_that_one_run_has_alone_explain_nothing() -> None:
    store = InMemoryRunStore()

    with pytest.raises(ConfigError, match="no case that both have"):
        explain_difference(run(store, cases=3), run(store, cases=5))
