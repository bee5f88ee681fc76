"""A run prepared: loaded, compiled and checked in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.parameters import EvaluateParameters
from flows.preparing import prepare_run
from themis_lib import InputError

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
