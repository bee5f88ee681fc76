"""What a run is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from flows.parameters import EvaluateParameters
from themis_lib import ConfigError
from themis_lib.core.store_names import DEFAULT_STORE

SPEC = """
generation: {generator: builtin/demo_generator}
datasets: [{dataset_id: d, cases: [{case_id: a, input: x}, {case_id: b, input: y}]}]
storage: {store: results}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(SPEC)
    return str(path)


def test_file_is_enough(experiment: str) -> None:
    """The experiment is named by its file."""
    loaded = EvaluateParameters(experiment=experiment).load()

    assert ("mine", "results") == (loaded.name, loaded.storage.store)


def test_what_is_asked_for_wins_over_the_file(experiment: str) -> None:
    """Store, limit, workers, budget and overrides."""
    loaded = EvaluateParameters(
        experiment=experiment,
        store="elsewhere",
        limit=1,
        workers=3,
        max_cost=0.5,
        overrides=["name=other", "storage.store=ignored"],
    ).load()

    assert "elsewhere" == loaded.storage.store
    assert (3, 0.5, "other") == (
        loaded.runtime.workers,
        loaded.cost.max_cost,
        loaded.name,
    )
    assert 1 == len(loaded.datasets[0].cases)  # type: ignore[union-attr]


def test_unknown_parameter_is_refused(experiment: str) -> None:
    """A misspelt field of the form is an error."""
    with pytest.raises(ValidationError, match="limt"):
        EvaluateParameters(experiment=experiment, limt=3)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """With the folder in which it was looked for."""
    with pytest.raises(ConfigError, match=r"'nowhere.yaml' cannot be read from"):
        EvaluateParameters(experiment="nowhere.yaml").load()


def test_form_leaves_empty_fields_out() -> None:
    """The schema has no default of null, which the form would send."""
    for field in EvaluateParameters.model_json_schema()["properties"].values():
        assert field.get("default", "") is not None


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        ("", DEFAULT_STORE),
        ("storage: {parameters: {auto_mkdir: true}}", DEFAULT_STORE),
        ("storage: {store: memory}", "memory"),
        ("storage: {store: elsewhere}", "elsewhere"),
    ],
)
def test_rows_are_kept_unless_memory_is_asked_for(
    tmp_path: Path, storage: str, expected: str
) -> None:
    """A file that names no store gets the default one, with its own options."""
    path = tmp_path / "mine.yaml"
    path.write_text(SPEC.replace("storage: {store: results}", storage))

    loaded = EvaluateParameters(experiment=str(path)).load()

    assert expected == loaded.storage.store
    assert ("parameters" in storage) == bool(loaded.storage.parameters)


def test_override_asks_for_memory(tmp_path: Path) -> None:
    """As the file itself would."""
    path = tmp_path / "mine.yaml"
    path.write_text(SPEC.replace("storage: {store: results}", ""))

    asked = EvaluateParameters(experiment=str(path), overrides=["storage.store=memory"])

    assert "memory" == asked.load().storage.store
