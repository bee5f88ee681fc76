"""The folders that users' modules are imported from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.new_process import in_new_process
from themis_lib.components.module_folders import (
    SAFE_PATH,
    add_module_folder,
    leave_safe_path,
    make_importable,
    module_folders,
)


@pytest.fixture(autouse=True)
def _own_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THEMIS_MODULE_FOLDERS", "[]")
    monkeypatch.setattr(sys, "path", ["/libraries"])


def test_working_directory_is_the_only_one_at_first(tmp_path: Path) -> None:
    """It is last on the path: a file in it never takes the place of a library."""
    make_importable()

    assert [str(tmp_path)] == module_folders()
    assert ["/libraries", str(tmp_path)] == sys.path


def test_last_folder_added_is_the_first_to_be_searched(tmp_path: Path) -> None:
    """Also where the working directory was on the path before, as `python -m` has it."""
    make_importable()
    first, second = tmp_path / "first", tmp_path / "sec:ond"

    add_module_folder(first)
    add_module_folder(second)

    assert [str(second), str(first), str(tmp_path)] == module_folders()
    assert ["/libraries", *module_folders()] == sys.path


def test_folder_that_is_on_the_path_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook has the working directory first, as an empty text."""
    monkeypatch.setattr(sys, "path", ["", str(tmp_path / "a"), "/libraries"])

    add_module_folder(tmp_path / "a")

    assert ["", str(tmp_path / "a"), "/libraries"] == sys.path


def test_processes_search_the_folders_of_the_one_that_started_them(
    tmp_path: Path,
) -> None:
    """They compute its shards."""
    add_module_folder(tmp_path / "a")

    there = in_new_process(
        "from themis_lib.components.module_folders import module_folders\n"
        "print(json.dumps(module_folders()))",
        PYTHONPATH=str(Path(__file__).parents[2]),
    )

    assert module_folders() == there


@pytest.mark.parametrize(("held", "left"), [(SAFE_PATH, None), ("1", "1")])
def test_programs_of_components_find_the_working_directory(
    held: str, left: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless their user wants it otherwise."""
    monkeypatch.setenv("PYTHONSAFEPATH", held)

    leave_safe_path()

    assert left == os.environ.get("PYTHONSAFEPATH")
