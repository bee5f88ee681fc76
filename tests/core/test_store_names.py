"""Names of stores that look like backends."""

from __future__ import annotations

from pathlib import Path

import pytest

from themis_lib import ConfigError, Experiment, evaluate
from themis_lib.core.config import StorageConfig


@pytest.mark.parametrize(
    ("store", "write"),
    [
        ("sqlite", "a folder (`results`)"),
        ("SQLite", "a folder of this name is `./SQLite`"),
        ("duckdb", "`./duckdb`"),
        ("jsonl", "the folder for them (`results`)"),
        ("parquet", "`./parquet`"),
        ("redis", "is a database"),
        ("postgres", "is a database"),
        ("mongodb", "is a database"),
        ("sqlite:///runs.db", "is a database"),
        ("postgresql+psycopg://host/name", "is a database"),
        ("redis://localhost:6379", "is a database"),
        ("s3", "write `s3://bucket/path`"),
        ("in-memory", "write `memory`"),
        ("local", "write `results`"),
        ("", "names no place"),
        (" ", "names no place"),
    ],
)
def test_backend_is_not_taken_for_a_folder(store: str, write: str) -> None:
    """The error says what to write; nothing is made."""
    with pytest.raises(ValueError, match="write ") as error:
        StorageConfig(store=store, parameters={"path": "runs.db"})

    assert write in str(error.value)
    assert repr(store) in str(error.value)


@pytest.mark.parametrize(
    "store",
    [
        "memory",
        "results",
        "./sqlite",
        "runs/parquet",
        "sqlite-runs",
        "my_csv",
        "s3://bucket/parquet",
        "memory://redis",
        "${STORE}",
    ],
)
def test_place_is_taken_as_it_is(store: str) -> None:
    """A folder, also one of such a name by its path, and any URL of files."""
    assert store == StorageConfig(store=store).store


def test_backend_is_refused_wherever_a_store_is_named(tmp_path: Path) -> None:
    """In a file of an experiment, and in one call."""
    file = tmp_path / "experiment.yaml"
    file.write_text(
        "generation: {generator: builtin/demo_generator}\n"
        "storage: {store: sqlite, parameters: {path: runs.db}}\n"
    )

    with pytest.raises(ConfigError, match="'sqlite' is a database"):
        Experiment.from_config(str(file))
    with pytest.raises(ConfigError, match="'jsonl' is a format"):
        evaluate(model=str, data=[{"input": "a"}], metric=str, store="jsonl")


def test_backend_from_the_environment_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What `${NAME}` stands for is looked at, too."""
    monkeypatch.setenv("STORE", "duckdb")

    with pytest.raises(ConfigError, match="'duckdb' is a database"):
        StorageConfig(store="${STORE}").resolved()


def test_empty_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows do not land in the working directory where `${NAME}` is empty."""
    monkeypatch.setenv("STORE", "")

    with pytest.raises(ConfigError, match="store '' names no place"):
        StorageConfig(store="${STORE}").resolved()
