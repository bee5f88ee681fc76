"""The stages and their order."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from themis_lib import ConfigError, Experiment, InMemoryRunStore
from themis_lib.identity.part import Part
from themis_lib.runs.pipeline import STAGES, Pipeline
from themis_lib.stages.stage import Stage
from themis_lib.storage.shard import Shard

SPEC: dict[str, Any] = {
    "generation": {"generator": "builtin/demo_generator"},
    "evaluation": {
        "metrics": [
            "builtin/exact_match",
            {
                "use": "builtin/judge_correctness",
                "id": "judged",
                "judge": "builtin/demo_generator",
            },
        ]
    },
    "datasets": [{"dataset_id": "d", "cases": [{"case_id": "c", "input": "x"}]}],
}


def pipeline(until_stage: str = "reduce") -> Pipeline:
    return Experiment.model_validate(SPEC).compile(until_stage=until_stage)


@pytest.mark.parametrize(
    ("until_stage", "expected"),
    [
        ("generate", ["generate"]),
        ("parse", ["generate", "parse"]),
        (
            "score",
            [
                "generate",
                "parse",
                "judge[judged]",
                "score[exact_match]",
                "score[judged]",
            ],
        ),
    ],
)
def test_stages_up_to_the_last(until_stage: str, expected: list[str]) -> None:
    """Judges run with the scores; what is after the last stage does not run."""
    assert expected == [stage.label for stage in pipeline(until_stage).stages]


@pytest.mark.parametrize("until_stage", STAGES)
def test_shard_goes_through_the_stages_in_order(until_stage: str) -> None:
    """Each stage is run once, after those it reads."""
    ran: list[str] = []

    async def run_stage(stage: Stage, shard: Shard) -> Part:
        assert compiled.is_readable(stage, shard)
        ran.append(stage.label)
        return Part(path=stage.label, rows=1)

    compiled = pipeline(until_stage)
    shard = Shard(index=0, start=0, dataset_id="d", cases=Part(path="cases", rows=1))

    asyncio.run(compiled.evaluate_shard(shard, run_stage))

    assert sorted(stage.label for stage in compiled.stages) == sorted(ran)


def test_rows_of_a_stage() -> None:
    """A row for each case and sample; after reduction for each case and metric."""
    compiled = pipeline()
    shard = Shard(index=0, start=0, dataset_id="d", cases=Part(path="cases", rows=3))

    assert 3 == compiled.rows_in(compiled.generate, shard)
    assert 6 == compiled.rows_in(compiled.reduce, shard)


def test_identity_covers_seeds_and_every_stage() -> None:
    """Another seed is another experiment; another name is not."""
    first = pipeline()
    named = Experiment.model_validate({**SPEC, "name": "other"}).compile()
    seeded = Experiment.model_validate({**SPEC, "seeds": [5]}).compile()

    assert first.fingerprint == named.fingerprint
    assert first.fingerprint != seeded.fingerprint


def test_experiment_needs_data() -> None:
    """Without a dataset nothing is generated."""
    compiled = Experiment.model_validate({**SPEC, "datasets": []}).compile()

    with pytest.raises(ConfigError, match="datasets: there is none"):
        list(compiled.shards(InMemoryRunStore()))


def test_first_cases_are_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a check before the run, or as the data is cut if there was none."""
    looked: list[str] = []
    monkeypatch.setattr(
        Pipeline, "_check_first_cases", lambda _, name, cases: looked.append(name)
    )
    checked, unchecked = pipeline(), pipeline()
    store = InMemoryRunStore()

    checked.check_data()
    list(checked.resolved(store).shards(store))
    after_check = list(looked)
    list(unchecked.shards(store))

    assert 1 == len(after_check)
    assert 2 == len(looked)
