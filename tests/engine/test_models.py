"""The choice of a model file and its digest, and what is remembered of it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support.model_files import LONG_AGO, gguf_file
from themis_lib import ModelError
from themis_lib.engine.hub import HubModel
from themis_lib.engine.models import MODELS, SIZES, find_model
from themis_lib.engine.places import remember
from themis_lib.engine.tiny import TINY
from themis_lib.identity.file_state import FileState

#: Bytes of a file that is worth remembering.
LARGE = 16 * 2**20


@pytest.fixture(autouse=True)
def folder(own_cache: Path) -> Path:
    """A new folder for everything that is remembered."""
    return own_cache


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "model.gguf"
    file.write_bytes(gguf_file())
    os.utime(file, (LONG_AGO, LONG_AGO))
    return file


# The digest


def test_digest_is_the_sha256_of_the_file(model: Path) -> None:
    found = find_model(model=str(model))

    assert ("model.gguf", model) == (found.name, found.path)
    assert hashlib.sha256(gguf_file()).hexdigest() == found.digest


def test_a_changed_file_has_another_digest(model: Path) -> None:
    """Also when it changes within one process."""
    before = find_model(model=model)
    content = bytearray(gguf_file())
    content[-1] = 1
    model.write_bytes(content)

    assert before.digest != find_model(model=model).digest
    assert hashlib.sha256(content).hexdigest() == find_model(model=model).digest


def test_a_large_file_has_the_digest_that_this_machine_remembers(model: Path) -> None:
    """As for other files; once its state is another one it is read again."""
    with model.open("ab") as file:
        file.truncate(LARGE)
    fact = {"state": asdict(FileState.of(model)), "sha256": "0" * 64}
    remember("file-digest", str(model), fact)

    assert "0" * 64 == find_model(model=model).digest
    model.touch()
    expected = hashlib.sha256(model.read_bytes()).hexdigest()
    assert expected == find_model(model=model).digest


# The choice


def test_sizes_are_in_the_registry() -> None:
    """`tiny` is bundled; the others are one GGUF file each, in a repository."""
    assert set(SIZES) <= set(MODELS)
    assert TINY == MODELS["tiny"]
    remotes = [MODELS[size] for size in SIZES if size != "tiny"]
    assert all(
        isinstance(remote, HubModel) and remote.filename.endswith(".gguf")
        for remote in remotes
    )


@pytest.mark.parametrize("arguments", [{"model": "tiny"}, {"size": "tiny"}])
def test_tiny_is_bundled(arguments: dict[str, str]) -> None:
    found = find_model(**arguments)

    assert ("tiny", TINY) == (found.name, found.path)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"model": "smal"}, "did you mean 'small'.*path of a .gguf file.*model_repo"),
        ({"model": "Qwen/Qwen2.5-7B-Instruct-GGUF"}, "no model of the registry"),
        ({"model": ""}, "no model of the registry"),
        ({"size": "medium"}, "size='medium' is unknown.*'mini'"),
        ({"size": "tiny.gguf"}, "did you mean 'tiny'"),
        ({"model_repo": "a/b"}, "give both"),
        ({"model_filename": "b.gguf"}, "give both"),
        ({"model": "tiny", "size": "tiny"}, "more than one"),
        (
            {"model": "tiny", "model_repo": "a/b", "model_filename": "c.gguf"},
            "more than one",
        ),
        (
            {"size": "tiny", "model_repo": "a/b", "model_filename": "c.gguf"},
            "more than one",
        ),
        ({"size": "tiny", "model_repo": "a/b"}, "give both"),
    ],
)
def test_unclear_choice_is_refused(arguments: dict[str, str], problem: str) -> None:
    """The error has the nearest name and the other ways, or what contradicts what."""
    with pytest.raises(ModelError, match=problem):
        find_model(**arguments)


def test_environment_chooses_where_the_caller_does_not(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`THEMIS_MODEL` is a registry name or a path, and an argument has precedence."""
    monkeypatch.setenv("THEMIS_MODEL", "tiny")
    named = find_model().path
    monkeypatch.setenv("THEMIS_MODEL", str(model))
    by_path = find_model().path
    argument = find_model(size="tiny").path
    monkeypatch.setenv("THEMIS_MODEL", "tinny")

    assert [TINY, model, TINY] == [named, by_path, argument]
    with pytest.raises(ModelError, match=r"THEMIS_MODEL='tinny'.*did you mean 'tiny'"):
        find_model()
