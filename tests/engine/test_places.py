"""Facts are kept in the folder that the environment names, and damage is noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.model_files import run_choosing
from themis_lib.engine.places import cache_folder, recall, remember


@pytest.fixture(autouse=True)
def folder(own_cache: Path) -> Path:
    """A new folder for everything that is remembered."""
    return own_cache


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "list", "folder"])
def test_a_damaged_memory_is_computed_again(folder: Path, damage: str) -> None:
    """A remembered fact with one character changed is no fact."""
    remember("kind", "key", {"sha256": "ab" * 32})
    (file,) = (folder / "facts" / "kind").iterdir()
    content = file.read_text()
    if damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        changed = {
            "flip": content.replace("abab", "acab", 1),
            "cut": content[:-2],
            "empty": "",
            "list": "[]",
        }
        file.write_text(changed[damage])

    assert None is recall("kind", "key")


def test_facts_are_remembered_by_kind_and_key(folder: Path) -> None:
    """The last fact under a key is recalled, and no temporary file stays."""
    remember("kind", "key", {"n": 1})
    remember("kind", "key", {"n": 2})

    assert [{"n": 2}, None, None] == [
        recall("kind", "key"),
        recall("kind", "other"),
        recall("other", "key"),
    ]
    assert 1 == len([file for file in folder.rglob("*") if file.is_file()])


def test_folder_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`THEMIS_CACHE_DIR`, else `XDG_CACHE_HOME` where absolute, else the home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("THEMIS_CACHE_DIR", "~/mine")
    chosen = [cache_folder()]
    monkeypatch.setenv("THEMIS_CACHE_DIR", "")
    chosen.append(cache_folder())
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    chosen.append(cache_folder())

    assert [
        tmp_path / "mine",
        Path("/xdg/themis"),
        tmp_path / ".cache" / "themis",
    ] == chosen


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0,
    reason="only root can become a user without a home",
)
def test_no_home_is_a_clear_error() -> None:
    """A user without a home is told which variable to set."""
    program = (
        "import os\n"
        "from themis_lib.engine.places import cache_folder\n"
        "for name in ('HOME', 'XDG_CACHE_HOME', 'THEMIS_CACHE_DIR'): os.environ.pop(name, None)\n"
        "os.setuid(54321)\n"
        "try: cache_folder()\n"
        "except ValueError as error: print(type(error).__name__, error)"
    )

    assert (
        "ConfigError no home directory to keep a cache in: set THEMIS_CACHE_DIR to "
        "a folder\n"
    ) == run_choosing(program).stdout


def test_a_fact_that_cannot_be_written_is_forgotten(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file is in the place of the folder: nothing is kept, and nothing raised."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(tmp_path / "file"))

    remember("kind", "key", {"n": 1})

    assert None is recall("kind", "key")


def test_asking_creates_nothing(folder: Path) -> None:
    recall("kind", "key")

    assert not folder.exists()
