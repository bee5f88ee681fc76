"""An experiment compiled: components built, seeds derived, mistakes named."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib import ConfigError, Experiment
from themis_lib.runs.compile import compile_experiment, derived_seed, seeds_of

DEMO: dict[str, Any] = {"generation": {"generator": "builtin/demo_generator"}}


def experiment(**fields: Any) -> Experiment:
    return Experiment.model_validate({**DEMO, **fields})


def test_without_parsers_the_output_is_the_answer() -> None:
    """The JSON identity stands in, so that every experiment has a parse stage."""
    pipeline = compile_experiment(experiment())

    assert ["builtin/json_identity"] == [
        parser.component_id for parser in pipeline.parse.parsers
    ]


def test_derived_seeds_keep_their_samples() -> None:
    """Asking for more samples keeps the seeds of the first ones."""
    policy = {"num_samples": 3, "base_seed": 7}
    generation = {**DEMO["generation"], "candidate_policy": policy}

    seeds = seeds_of(experiment(generation=generation))

    assert tuple(derived_seed(7, index) for index in range(3)) == seeds
    assert len(set(seeds)) == 3


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"seeds": []}, "seeds: the list is empty"),
        ({"seeds": [2**63]}, "seeds: a seed is a whole number of 64 bits"),
        (
            {
                "seeds": [1],
                "generation": {
                    **DEMO["generation"],
                    "candidate_policy": {"num_samples": 2},
                },
            },
            "seeds: 1 seed(s) for num_samples=2",
        ),
        (
            {"datasets": [{"dataset_id": "d", "cases": []}] * 2},
            "datasets: 2 datasets are named 'd'; give each a dataset_id of its own",
        ),
        (
            {"evaluation": {"metrics": ["builtin/f1", "builtin/f1"]}},
            (
                "evaluation.metrics: 2 metrics are named 'f1'; give each an `id` of "
                "its own"
            ),
        ),
        (
            {"evaluation": {"metrics": ["builtin/f1"], "agreement": {"f2": "label"}}},
            "evaluation.agreement: no metric 'f2'; choose one of 'f1'",
        ),
        (
            {
                "generation": {
                    **DEMO["generation"],
                    "reducer": {"use": "builtin/pass_at_k", "k": 2},
                }
            },
            "generation.reducer: builtin/pass_at_k needs k=2 samples",
        ),
        (
            {
                "cost": {"max_cost": 1.0},
                "generation": {"generator": "tests.support.counting:Generator"},
            },
            "cost.max_cost: generate: tests/counting_generator",
        ),
    ],
)
def test_mistakes_are_named(fields: dict[str, Any], expected: str) -> None:
    """The message names the setting and the fix, before anything is generated."""
    with pytest.raises(ConfigError) as failure:
        compile_experiment(experiment(**fields))

    assert str(failure.value).startswith(expected)


def test_last_stage_is_one_of_the_stages() -> None:
    """`until_stage` is checked like any setting."""
    with pytest.raises(
        ConfigError, match="until_stage 'judge': choose one of 'generate'"
    ):
        compile_experiment(experiment(), until_stage="judge")
