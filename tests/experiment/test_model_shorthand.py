"""`model` and `judge`: what they stand for, in a file and on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.dataset_files import write_jsonl
from themis_lib import Experiment
from themis_lib.errors import ConfigError, DatasetError
from themis_lib.experiment.spec import load_spec

SPEC: dict[str, Any] = {
    "generation": {"generator": {"temperature": 0, "max_tokens": 9}},
    "evaluation": {"metrics": ["builtin/exact_match"]},
    "datasets": [
        {"dataset_id": "one", "huggingface": "a/b", "split": "test", "limit": 1},
        {"dataset_id": "two", "huggingface": "a/c"},
    ],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An experiment that leaves the model open."""
    return written(tmp_path, SPEC)


def written(folder: Path, spec: dict[str, Any]) -> Path:
    """Write an experiment file."""
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump(spec), encoding="utf-8")
    return file


def generator(path: Path, *overrides: str) -> Any:
    """Return the generator that an experiment has."""
    return load_spec(path, overrides=overrides)["generation"]["generator"]


def refusal(path: Path, *overrides: str) -> str:
    """Return the line that refuses an experiment."""
    with pytest.raises(ConfigError) as raised:
        Experiment.from_config(path, overrides=overrides)
    assert "\n" not in str(raised.value)
    return str(raised.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("anthropic:claude-a", {"use": "anthropic", "model": "claude-a"}),
        ("openai:gpt-4o-mini", {"use": "openai", "model": "gpt-4o-mini"}),
        ("vllm:org/name:tag", {"use": "vllm", "model": "org/name:tag"}),
        ("openrouter:a/b", {"use": "openrouter", "model": "a/b"}),
        ("ollama:llama3.2:1b", {"use": "ollama", "model": "llama3.2:1b"}),
        ("gemini:gemini-2.5-flash", {"use": "any", "model": "gemini:gemini-2.5-flash"}),
        ("bedrock:us.a.b-v1:0", {"use": "any", "model": "bedrock:us.a.b-v1:0"}),
        (
            "azure:my-deployment",
            {
                "use": "openai",
                "azure_endpoint": "${AZURE_OPENAI_ENDPOINT}",
                "model": "my-deployment",
            },
        ),
        ("llama:a/b.gguf", {"use": "llama", "model": "a/b.gguf"}),
        ("b.gguf", {"use": "llama", "model": "b.gguf"}),
        ("tiny", {"use": "llama", "model": "tiny"}),
    ],
)
def test_settings_without_a_name_are_for_the_model_that_is_named(
    path: Path, model: str, expected: dict[str, Any]
) -> None:
    assert {"temperature": 0, "max_tokens": 9, **expected} == generator(
        path, f"model={model}"
    )


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("replay:out.jsonl", {"use": "builtin/replay", "path": "out.jsonl"}),
        ("builtin/demo_generator", {"use": "builtin/demo_generator"}),
        ("my_models:answer", {"use": "my_models:answer"}),
        ("{use: my_models:Model, size: 3}", {"use": "my_models:Model", "size": 3}),
    ],
)
def test_generators_without_a_temperature_get_none(
    path: Path, model: str, expected: dict[str, Any]
) -> None:
    assert expected == generator(path, f"model={model}")


def test_a_named_model_replaces_the_generator_of_a_file(tmp_path: Path) -> None:
    """Its settings were for another model. Overrides are for the new one, in any order."""
    spec = {"generation": {"generator": {"use": "vllm", "model": "a", "top_p": 0.5}}}
    path = written(tmp_path, spec)

    found = generator(path, "generation.generator.temperature=1", "model=openai:b")

    assert {"use": "openai", "model": "b", "temperature": 1} == found


def test_the_settings_of_a_mapping_take_precedence(path: Path) -> None:
    found = generator(path, "model={use: openai, model: b, temperature: 1}")

    assert {"use": "openai", "model": "b", "temperature": 1, "max_tokens": 9} == found


def test_model_may_stand_in_the_file(tmp_path: Path) -> None:
    """There it is the same as on the command line, which takes precedence."""
    path = written(tmp_path, {**SPEC, "model": "tiny"})

    assert "tiny" == generator(path)["model"]
    assert "mini" == generator(path, "model=mini")["model"]


def test_judge_is_the_judge_of_all_metrics(path: Path) -> None:
    spec = load_spec(path, overrides=["model=tiny", "judge=openai:gpt-4.1"])

    assert [{"use": "openai", "model": "gpt-4.1"}] == spec["evaluation"]["judge_models"]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            "openia:gpt-4o",
            "model: 'openia:gpt-4o': unknown provider 'openia'; did you mean",
        ),
        ("nobody:gpt-4o", "model: 'nobody:gpt-4o': unknown provider 'nobody'; "),
        (
            "my_openai:answer",
            "model: 'my_openai:answer': unknown provider 'my_openai'; did you mean "
            "'openai'?; a component of that name is {use: my_openai:answer}",
        ),
        ("openai:", "model: 'openai:': the name of the model is missing"),
        ("tinny", "model: unknown model 'tinny'; did you mean 'tiny'?"),
        ("7", "model: 7 is no model; write `openai:gpt-4o-mini`"),
    ],
)
def test_a_model_that_cannot_be_told_is_refused(
    path: Path, model: str, reason: str
) -> None:
    assert refusal(path, f"model={model}").startswith(reason)


def test_two_models_in_a_file_are_refused(tmp_path: Path) -> None:
    spec = {"model": "tiny", "generation": {"generator": "builtin/demo_generator"}}

    assert "both name a model" in refusal(written(tmp_path, spec))


def test_two_judges_in_a_file_are_refused(tmp_path: Path) -> None:
    spec = {**SPEC, "judge": "tiny", "evaluation": {"judge_models": ["llama"]}}

    assert "both name judges" in refusal(written(tmp_path, spec), "model=tiny")


def test_no_model_is_refused(path: Path) -> None:
    assert "generation.generator has no `use`; name a model" in refusal(path)


def test_an_unknown_setting_is_not_left_out(tmp_path: Path) -> None:
    """A misspelt one is the generator's to refuse."""
    spec = {"generation": {"generator": {"temprature": 0}}, "datasets": []}
    path = written(tmp_path, spec)

    experiment = Experiment.from_config(path, overrides=["model=openai:a"])

    with pytest.raises(Exception, match="did you mean 'temperature'"):
        experiment.compile()


def test_rating_settings_stay_with_a_generator_that_rates(tmp_path: Path) -> None:
    """What rates no choices gets none of them; the temperature goes with a rater."""
    settings = {"rates": "choices", "delimiter": " ", "temperature": 0}
    path = written(tmp_path, {"generation": {"generator": settings}})

    rater = generator(path, "model=tiny")
    recorded = generator(path, "model=replay:out.jsonl")

    assert {"use": "llama_choice", "model": "tiny", "delimiter": " "} == rater
    assert {"use": "builtin/replay", "path": "out.jsonl"} == recorded


def test_only_choices_can_be_rated(tmp_path: Path) -> None:
    path = written(tmp_path, {"generation": {"generator": {"rates": "words"}}})

    assert "generation.generator.rates: 'words'" in refusal(path, "model=tiny")


def test_data_takes_the_place_of_all_datasets(path: Path) -> None:
    """It is read as the first is; of several, it is named as the experiment."""
    spec = load_spec(path, overrides=["model=tiny"], data="my.jsonl")

    assert [{"dataset_id": "one", "path": "my.jsonl", "limit": 1}] == spec["datasets"]


def test_data_without_a_dataset_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {"model": "tiny"})

    with pytest.raises(
        ConfigError, match=r"there is no dataset whose place 'my\.jsonl'"
    ):
        load_spec(path, data="my.jsonl")


def test_data_is_checked_for_the_shape_alone_where_there_is_one(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "my.jsonl", [{"a": 1}])
    spec = {**SPEC, "about": {"title": "T", "shape": {"b": "a number"}}}

    with pytest.raises(
        DatasetError, match=r"no column 'b'.*data of experiment has b: a"
    ):
        Experiment.from_config(
            written(tmp_path, spec), overrides=["model=tiny"], data=data
        )

    bare = written(tmp_path, SPEC)
    assert Experiment.from_config(bare, overrides=["model=tiny"], data=data).datasets
