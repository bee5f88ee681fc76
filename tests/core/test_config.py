"""The settings of an experiment: defaults, and what is refused at once."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from themis_lib import (
    ConfigError,
    CostConfig,
    GenerationConfig,
    PromptSpec,
    RuntimeConfig,
    StatisticsConfig,
    StorageConfig,
)


def test_no_prompt_spec_is_the_empty_one() -> None:
    """`prompt_spec: null` means the same as leaving it out."""
    without = GenerationConfig(generator="builtin/demo_generator")

    given = GenerationConfig(generator="builtin/demo_generator", prompt_spec=None)

    assert without == given
    assert PromptSpec() == given.prompt_spec


def test_wilson_and_clusters_contradict_each_other() -> None:
    """Wilson's interval takes cases as independent."""
    with pytest.raises(ValidationError, match="Wilson's interval"):
        StatisticsConfig(interval="wilson", cluster_by="topic")


@pytest.mark.parametrize(
    "settings",
    [{"max_concurrency": 0}, {"batch_size": 0}, {"timeout_s": 0}, {"retries": -1}],
)
def test_execution_settings_are_positive(settings: dict[str, float]) -> None:
    """Zero or less of what bounds an execution is refused."""
    with pytest.raises(ValidationError):
        RuntimeConfig(**settings)


@pytest.mark.parametrize("max_cost", [0, -1, float("inf"), float("nan")])
def test_a_budget_is_a_positive_number(max_cost: float) -> None:
    """A run cannot be given no money, or any amount of it."""
    with pytest.raises(ValidationError):
        CostConfig(max_cost=max_cost)


def test_storage_reads_references_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`${NAME}` in the URL and the options is the environment variable's value."""
    monkeypatch.setenv("THEMIS_TEST_FOLDER", "rows")
    storage = StorageConfig(
        store="s3://bucket/${THEMIS_TEST_FOLDER}",
        parameters={"key": "${THEMIS_TEST_FOLDER}"},
    )

    assert ("s3://bucket/rows", {"key": "rows"}) == storage.resolved()


def test_storage_refuses_literal_credentials() -> None:
    """A credential is never written into an experiment."""
    storage = StorageConfig(parameters={"secret": "swordfish"})

    with pytest.raises(ConfigError, match=r"storage.parameters.secret") as failure:
        storage.resolved()

    assert "swordfish" not in str(failure.value)


@pytest.mark.parametrize(
    ("store", "variable"),
    [
        ("sftp://me:swordfish@host/rows", "PASSWORD"),
        ("s3://me:swordfish@bucket", "PASSWORD"),
        ("https://host/rows?sas_token=swordfish&x=1", "SAS_TOKEN"),
        ("https://me:${USER_PW}@host/rows?x=1&api_key=swordfish", "API_KEY"),
    ],
)
def test_storage_refuses_literal_credentials_in_its_url(
    store: str, variable: str
) -> None:
    """Neither before the host nor in the query; the message has the reference to write."""
    with pytest.raises(ConfigError, match=r"^storage\.store") as failure:
        StorageConfig(store=store).resolved()

    assert f"'${{{variable}}}'" in str(failure.value)
    assert "swordfish" not in str(failure.value)


@pytest.mark.parametrize(
    "store",
    ["s3://bucket/a@b:c/rows", "sftp://me@host/rows", "https://host/rows?version=7"],
)
def test_url_without_a_credential_is_accepted(store: str) -> None:
    """A user, a version and signs in a path are no credentials."""
    assert store == StorageConfig(store=store).resolved()[0]


def test_other_processes_get_the_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the values that this process has read."""
    monkeypatch.setenv("THEMIS_TEST_PW", "swordfish")
    storage = StorageConfig(store="sftp://me:${THEMIS_TEST_PW}@host/rows")

    assert storage.store == storage.portable_url(storage.resolved()[0])
    assert "/tmp/rows" == StorageConfig(store="rows").portable_url("/tmp/rows")
