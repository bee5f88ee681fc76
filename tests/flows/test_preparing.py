"""A run prepared: loaded, compiled and checked in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.parameters import EvaluateParameters
from flows.preparing import handing_over, prepare_matrix, prepare_run
from tests.support.deciding import guesses
from themis_lib import Experiment, InputError
from themis_lib.experiment.spec import experiment_from_spec

SPEC: dict[str, Any] = {
    "name": "mine",
    "generation": {"generator": "builtin/demo_generator"},
    "evaluation": {"metrics": ["builtin/exact_match"]},
    "datasets": [{"dataset_id": "d", "cases": [{"case_id": "a", "input": "x"}]}],
}


def asked(folder: Path, spec: dict[str, Any], **fields: Any) -> EvaluateParameters:
    path = folder / "experiment.yaml"
    path.write_text(
        yaml.safe_dump({"storage": {"store": str(folder / "store")}, **spec})
    )
    return EvaluateParameters(experiment=str(path), **fields)


def test_run_is_ready(tmp_path: Path) -> None:
    """Its stages, its store and its gates."""
    gates = ["exact_match >= 0.5"]

    prepared = prepare_run(asked(tmp_path, SPEC, gates=gates))

    assert "generate" == prepared.pipeline.stages[0].label
    assert str(tmp_path / "store") == prepared.store.url
    assert 1 == len(prepared.gates)


@pytest.mark.parametrize(
    ("changes", "fields", "expected"),
    [
        (
            {"generation": {"generator": "builtin/dmeo"}},
            {},
            "unknown generator 'builtin/dmeo'",
        ),
        ({"datasets": []}, {}, "datasets: there is none"),
        (
            {"datasets": [{"dataset_id": "d", "path": "nowhere.jsonl"}]},
            {},
            "dataset 'd'",
        ),
        ({}, {"gates": ["f1 >= 0.5"]}, "f1"),
        (
            {"storage": {"store": "memory"}},
            {"runner": "processes"},
            "memory of one process",
        ),
    ],
)
def test_what_is_wrong_is_said(
    changes: dict[str, Any], fields: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    """In one error, before anything is generated, under the experiment's name."""
    names: list[str] = []

    with pytest.raises(InputError, match=expected):
        prepare_run(
            asked(tmp_path, {**SPEC, **changes}, **fields), tell_name=names.append
        )

    assert ["mine"] == names


def test_cells_are_decided_against_their_own_last_good_runs(tmp_path: Path) -> None:
    """With `last good` they do not go in step: each has a question of its own, at the
    whole level.
    """
    spec = guesses(tmp_path / "store", cases=8)
    good = {}
    for name in ("a", "b"):
        whole = experiment_from_spec(
            Experiment, spec | {"name": f"guesses-{name}"}, where="spec"
        )
        good[name] = whole.run().run_id
    spec["matrix"] = {
        "guesser": {name: {"generation.generator.name": name} for name in ("a", "b")}
    }

    prepared = prepare_matrix(
        asked(tmp_path, spec, until_decided=True, against="last good")
    )

    questions = {name: cell.questions for name, cell in prepared.cells.items()}
    assert () == tuple(prepared.groups)
    for name, (question,) in questions.items():
        assert question.baseline is not None
        assert (good[name], 0.05) == (question.baseline.run_id, question.alpha)


def test_a_flow_takes_what_its_command_has_prepared(tmp_path: Path) -> None:
    """The same object, under the same name; with other parameters it prepares its own."""
    parameters = asked(tmp_path, SPEC)
    prepared = prepare_run(parameters)
    names: list[str] = []

    with handing_over(parameters.model_dump(), prepared):
        same = prepare_run(EvaluateParameters(**parameters.model_dump()))
        prepare_run(parameters, tell_name=names.append)
        other = prepare_run(parameters.model_copy(update={"limit": 1}))
    afterwards = prepare_run(parameters)

    assert prepared is same
    assert ["mine"] == names
    assert prepared is not other
    assert prepared is not afterwards


def test_a_flow_takes_the_cells_of_its_command(tmp_path: Path) -> None:
    """A cell is a flow run with other parameters, and prepares itself."""
    spec = {
        **SPEC,
        "matrix": {"seed": {"a": {"seeds": [1]}, "b": {"seeds": [2]}}},
    }
    parameters = asked(tmp_path, spec)
    prepared = prepare_matrix(parameters)

    with handing_over(parameters.model_dump(), prepared):
        same = prepare_matrix(parameters)
        cell = prepare_run(parameters.model_copy(update={"cell": "a"}))

    assert prepared is same
    assert "mine-a" == cell.experiment.name
