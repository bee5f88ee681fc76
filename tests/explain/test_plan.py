"""Plans of runs: the rows that would be computed, the reasons, and the price."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.stages.test_judge import judged
from tests.support.counted_runs import counted_experiment, ran, with_cases
from tests.support.counting import CALLS
from tests.test_cost import Metered
from tests.test_edit_costs import EDITS, K, N, base
from tests.test_judge_cost import JUDGE, Judge, bounded, experiment
from themis_lib import InMemoryRunStore, PromptSpec, RunStore, TokenUsage
from themis_lib.explain.plan import StagePlan, plan_run
from themis_lib.identity.digests import canonical_json

STAGES = ["generate", "parse", "score[first]", "reduce"]


def planned(
    store: RunStore,
    spec: dict[str, Any] | None = None,
    **settings: Any,
) -> dict[str, StagePlan]:
    """The plan of the experiment of six cases, by stage."""
    pipeline = counted_experiment(spec, **settings).compile()
    return {plan.stage: plan for plan in plan_run(pipeline, store)}


def test_first_run_would_compute_everything() -> None:
    """Rows of the first stage are missing; the others depend on what it returns."""
    plans = planned(InMemoryRunStore())

    assert STAGES == list(plans)
    generate, parse = plans["generate"], plans["parse"]
    assert (12, 0, 12, 0) == (
        generate.rows,
        generate.cached,
        generate.missing,
        generate.unknown,
    )
    assert (12, 0, 0, 12) == (parse.rows, parse.cached, parse.missing, parse.unknown)
    assert 6 == plans["reduce"].unknown


def test_first_run_is_the_reason_once() -> None:
    """The stages behind the first need no reason of their own."""
    plans = planned(InMemoryRunStore())

    assert ("no run in this store yet",) == plans["generate"].reasons
    assert {()} == {plans[stage].reasons for stage in STAGES[1:]}


def test_warm_run_would_compute_nothing() -> None:
    """Every row of an unchanged experiment is cached, and needs no reason."""
    store = InMemoryRunStore()
    ran(store)

    for plan in planned(store).values():
        assert plan.rows == plan.cached
        assert (0, 0, ()) == (plan.missing, plan.unknown, plan.reasons)


@pytest.mark.parametrize(
    "edit",
    ["prompt spec", "a metric changed", "a case added", "cases renamed", "samples"],
)
def test_plan_foresees_what_an_edit_costs(edit: str) -> None:
    """The missing rows of generate and score are the calls that the run then makes."""
    store = InMemoryRunStore()
    ran(store)
    spec = base(Path("unused"))
    change, (generated, _, scored, _) = EDITS[edit]
    change(spec)

    plans = planned(store, spec)

    score = plans["score[first]"]
    assert generated == plans["generate"].missing
    assert scored <= score.missing + score.unknown


def test_equal_rows_are_computed_once() -> None:
    """A duplicated case of a deterministic generator misses no row of its own."""
    spec = base(Path("unused"))
    spec["generation"]["generator"]["use"] = (
        "tests.support.counting:DeterministicGenerator"
    )
    cases = spec["datasets"][0]["cases"]
    spec["datasets"][0]["cases"] = [cases[1], {**cases[1], "case_id": "again"}]

    generate = planned(InMemoryRunStore(), spec)["generate"]

    assert (4, 2) == (generate.rows, generate.missing)


def test_changed_setting_is_the_reason() -> None:
    """A setting of the stage is named with both values, and the run that had the first."""
    store = InMemoryRunStore()
    run = ran(store)

    plans = planned(store, generation__prompt_spec__prefix="p")

    assert (f'since run {run.run_id}: prompt_spec.prefix: null → "p"',) == plans[
        "generate"
    ].reasons
    assert (
        "depends on what the stage before it returns; a row that comes out the same is "
        "not computed again",
    ) == plans["parse"].reasons


def test_changed_seeds_are_the_reason() -> None:
    """Seeds are no setting of a stage, and are named all the same."""
    store = InMemoryRunStore()
    run = ran(store)

    plans = planned(store, seeds=[11, 13])

    assert (f"since run {run.run_id}: seeds[1]: 12 → 13",) == plans["generate"].reasons


def test_new_stage_is_the_reason() -> None:
    """A metric that no run had is new, and the others stay cached."""
    store = InMemoryRunStore()
    run = ran(store)
    added = {"use": "tests.support.counting:Metric", "id": "half", "scale": 0.5}
    metrics = [*base(Path())["evaluation"]["metrics"], added]

    plans = planned(store, evaluation__metrics=metrics)

    assert (f"run {run.run_id} had no such stage",) == plans["score[half]"].reasons
    assert 12 == plans["score[half]"].missing
    assert 12 == plans["score[first]"].cached


def test_new_data_is_the_reason() -> None:
    """Where no setting has changed, the rows themselves are new."""
    store = InMemoryRunStore()
    run = ran(store)

    generate = planned(store, with_cases(7))["generate"]

    assert (14, 12, 2) == (generate.rows, generate.cached, generate.missing)
    assert (
        f"the same stage as in run {run.run_id}; these rows are new, changed or were "
        "not finished",
    ) == generate.reasons


def test_runs_of_the_same_name_are_compared_first() -> None:
    """A run of another experiment is not compared with, though it shares more stages."""
    store = InMemoryRunStore()
    named = ran(
        store,
        generation__prompt_spec__prefix="p",
        evaluation__metrics__0__scale=2.0,
    )
    ran(store, name="another")

    generate = planned(store, generation__prompt_spec__prefix="q")["generate"]

    assert (
        f'since run {named.run_id}: prompt_spec.prefix: "p" → "q"',
    ) == generate.reasons


def test_planning_computes_nothing_and_writes_no_run() -> None:
    """No component is called, and the store has no run afterwards."""
    store = InMemoryRunStore()
    CALLS.clear()

    planned(store)

    assert {} == CALLS
    assert not store.list("runs")


def test_rows_of_another_cut_are_put_together() -> None:
    """In shards of another size every row is still found, through every stage."""
    store = InMemoryRunStore()
    ran(store)

    plans = planned(store, runtime__shard_size=3)

    assert {0} == {plan.rows - plan.cached for plan in plans.values()}


def test_plan_counts_the_calls_of_a_judge() -> None:
    """A new judge prompt costs a call for each answer; the scores depend on what it
    says.
    """
    store = InMemoryRunStore()
    spec = judged(Path("unused"))
    ran(store, spec)
    plain = {"use": "tests.support.counting:Metric", "id": "plain"}
    spec["evaluation"]["metrics"].append(plain)
    spec["evaluation"]["metrics"][0]["instructions"] = "Be strict."
    CALLS.clear()

    plans = planned(store, spec)

    judge, score = plans["judge[judged]"], plans["score[judged]"]
    assert {} == CALLS
    assert (N * K, 0) == (judge.missing, judge.unknown)
    assert (0, N * K) == (score.missing, score.unknown)
    assert (N * K, 0) == (plans["score[plain]"].missing, plans["score[plain]"].unknown)
    assert any("prompt_spec.instructions" in reason for reason in judge.reasons)


def test_plan_of_a_warm_judged_experiment_is_empty() -> None:
    """Every row is cached, verdicts included."""
    store = InMemoryRunStore()
    spec = judged(Path("unused"))
    ran(store, spec)

    plans = planned(store, spec)

    assert {0} == {plan.rows - plan.cached for plan in plans.values()}


def test_cost_is_estimated_from_the_nearest_run() -> None:
    """Rows of a changed prompt are taken to cost what the rows before it did."""
    store, metered = InMemoryRunStore(), Metered()
    before = experiment(metered, None)
    before.run(store)
    prompt_spec = PromptSpec(prefix="p")
    generation = before.generation.model_copy(update={"prompt_spec": prompt_spec})
    changed = before.model_copy(update={"generation": generation})

    plan = plan_run(changed.compile(), store)[0]

    assert 4 == plan.missing
    assert TokenUsage(input_tokens=10, output_tokens=4) == plan.usage
    assert 14.0 == plan.cost
    assert 4 == metered.calls


def test_cost_without_a_run_is_that_of_the_longest_answers() -> None:
    """Before a first run, a judge is taken to read the longest answers and to give its
    own longest.
    """
    judge = Judge()
    pipeline = experiment(bounded(7), judge).compile()

    plans = plan_run(pipeline, InMemoryRunStore())

    plan = next(plan for plan in plans if plan.stage == JUDGE)
    prompt_spec = pipeline.judges[0].prompt_spec
    instructions = len(prompt_spec.model_dump_json(exclude_defaults=True))
    request = len('1"x"') + 7 * 4 + instructions
    assert TokenUsage(input_tokens=request, output_tokens=4 * 5) == plan.usage
    assert request + 20.0 == plan.cost
    assert [] == judge.asked


def test_cost_of_known_requests_is_that_of_their_characters() -> None:
    """A judge added to a finished run is estimated by the texts that it will be asked."""
    store, judge = InMemoryRunStore(), Judge()
    experiment(Metered(), None).run(store)
    pipeline = experiment(Metered(), judge).compile()

    plans = plan_run(pipeline, store)
    experiment(Metered(), judge).run(store)

    plan = next(plan for plan in plans if plan.stage == JUDGE)
    prompt_spec = pipeline.judges[0].prompt_spec
    characters = 4 * len(prompt_spec.model_dump_json(exclude_defaults=True))
    for request in judge.asked:
        characters += len(canonical_json(request))
    assert 4 == len(judge.asked)
    assert (
        TokenUsage(input_tokens=round(characters / 4), output_tokens=4 * 5)
        == plan.usage
    )


def test_stages_without_a_price_are_named() -> None:
    """A model that may cost money lacks a price; a stage that calls none does not."""
    pipeline = experiment(bounded(), Judge(), prices={}).compile()

    plans = plan_run(pipeline, InMemoryRunStore())

    assert {"generate": True, JUDGE: True} == {
        plan.stage: plan.lacks_price for plan in plans if plan.calls_model
    }
    assert not any(plan.lacks_price for plan in plans if not plan.calls_model)
    assert {None} == {plan.cost for plan in plans}
