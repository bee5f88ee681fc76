"""An experiment as data: what travels to another process."""

from __future__ import annotations

import json

import pytest

from tests.support.counting import Generator
from themis_lib import ComponentError, Dataset, EvaluationConfig, GenerationConfig
from themis_lib.core.experiment_spec import ExperimentSpec
from themis_lib.core.models import Case

NAMED = GenerationConfig(generator={"use": "tests.support.counting:Generator"})


def test_everything_but_the_data_travels() -> None:
    """A worker gets the settings as they were written, and no cases."""
    spec = ExperimentSpec(
        generation=NAMED,
        datasets=[Dataset(dataset_id="d", cases=[Case(case_id="c", input="secret")])],
        seeds=[3],
    )

    sent = json.loads(spec.portable_json())

    assert {"generation", "seeds"} == set(sent)
    assert [3] == sent["seeds"]
    assert "secret" not in spec.portable_json()


def test_what_travels_is_the_same_experiment() -> None:
    """The JSON is read back as an equal experiment."""
    spec = ExperimentSpec(generation=NAMED, name="travelling")

    assert spec == ExperimentSpec.model_validate_json(spec.portable_json())


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        (
            ExperimentSpec(generation=GenerationConfig(generator=Generator())),
            "generation.generator",
        ),
        (
            ExperimentSpec(
                generation=NAMED,
                evaluation=EvaluationConfig(metrics=["builtin/f1", Generator()]),
            ),
            "evaluation.metrics[1]",
        ),
    ],
)
def test_live_objects_do_not_travel(spec: ExperimentSpec, place: str) -> None:
    """A live object is named by its place, with the fix."""
    with pytest.raises(ComponentError) as failure:
        spec.portable_json()

    assert str(failure.value).startswith(f"{place}: Generator is a live object")
    assert "module:attribute" in str(failure.value)


def test_written_configuration_has_no_literal_secret() -> None:
    """Of a URL, wherever it is; references stay."""
    spec = ExperimentSpec.model_validate(
        {
            "generation": {
                "generator": {"use": "m:g", "base_url": "http://me:pw@host/v1"}
            },
            "datasets": [{"dataset_id": "d", "path": "https://host/a.jsonl?sig=pw"}],
            "storage": {
                "store": "sftp://me:pw@host/a",
                "parameters": {"key": "${KEY}"},
            },
        }
    )

    written = spec.as_written()

    assert "pw" not in str(written)
    assert {"key": "${KEY}"} == written["storage"]["parameters"]
