"""Files that code opens while it is watched."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import sqlite3
import sysconfig
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from themis_lib.identity.watch import (
    Watch,
    file_digest,
    not_watching,
    variable_digest,
    watching,
)


def seen(act: Callable[[], object], left_out: str = "") -> list[str]:
    watch = Watch(lambda path: bool(left_out) and path.startswith(left_out))
    with watching(watch):
        act()
    return watch.take_new()


def test_files_that_are_read_are_noted_once(tmp_path: Path) -> None:
    """However a file is opened for reading, and however often, it is named once."""
    path = tmp_path / "words.txt"
    path.write_text("a")

    def act() -> None:
        path.read_text()
        with open(path, "rb"):  # noqa: PTH123
            pass
        os.close(os.open(path, os.O_RDONLY))

    assert [str(path.resolve())] == seen(act)


def test_listed_folders_and_databases_are_noted(tmp_path: Path) -> None:
    """A folder is named apart from the files in it; searches for modules are not."""
    (tmp_path / "in").mkdir()

    def act() -> None:
        list((tmp_path / "in").iterdir())
        sqlite3.connect(tmp_path / "data.db").close()
        sqlite3.connect(":memory:").close()
        importlib.invalidate_caches()
        importlib.util.find_spec("no_such_module")
        list(importlib.metadata.distributions(path=[str(tmp_path)]))

    folder = str(tmp_path.resolve())
    assert [f"{folder}/in/*", f"{folder}/data.db"] == seen(act)


def test_threads_of_the_watched_code_are_watched(tmp_path: Path) -> None:
    """A thread begins without the context of the code that started it; one whose work
    is the run's own is none of it.
    """
    path = tmp_path / "words.txt"
    path.write_text("a")

    def act() -> None:
        thread = threading.Thread(target=path.read_text)
        thread.start()
        thread.join()

    def act_for_the_run() -> None:
        names = {"__name__": "themis_lib.data", "path": path}
        exec("def read(): path.read_text()", names)
        thread = threading.Thread(target=names["read"])
        thread.start()
        thread.join()

    assert [str(path.resolve())] == seen(act)
    assert [] == seen(act_for_the_run)


def test_digest_of_a_list_is_of_its_names(tmp_path: Path) -> None:
    """A file that comes or goes is another list; its content and caches are not."""
    digests = [file_digest(f"{tmp_path}/*", "")]
    (tmp_path / "a").write_text("1")
    digests.append(file_digest(f"{tmp_path}/*", ""))
    (tmp_path / "a").write_text("2")
    (tmp_path / "__pycache__").mkdir()
    digests.append(file_digest(f"{tmp_path}/*", ""))

    assert digests[0] != digests[1] == digests[2]


def test_missing_file_is_noted(tmp_path: Path) -> None:
    """A file that is looked for and not there is a dependency, too."""

    def act() -> None:
        with pytest.raises(FileNotFoundError):
            (tmp_path / "none.txt").read_text()

    assert [str((tmp_path / "none.txt").resolve())] == seen(act)


def test_what_the_code_wrote_itself_is_left_out(tmp_path: Path) -> None:
    """A temporary file is no input."""

    def act() -> None:
        (tmp_path / "scratch").write_text("x")
        (tmp_path / "scratch").read_text()

    assert [] == seen(act)


def test_libraries_the_system_and_what_is_left_out_are_not_noted(
    tmp_path: Path,
) -> None:
    """Files of the standard library, of the system, and those left out are no inputs."""
    (tmp_path / "row").write_text("x")

    def act() -> None:
        (Path(sysconfig.get_paths()["stdlib"]) / "ast.py").read_text()
        Path("/proc/self/stat").read_text()
        (tmp_path / "row").read_text()

    assert [] == seen(act, left_out=str(tmp_path.resolve()))


def test_nothing_is_noted_outside_a_block(tmp_path: Path) -> None:
    """Neither after the block nor inside a block that does not watch."""
    path = tmp_path / "words.txt"
    path.write_text("a")
    watch = Watch(lambda _: False)

    with watching(watch), not_watching():
        path.read_text()
    path.read_text()

    assert [] == watch.take_new()


def test_digest_of_a_file_is_of_its_content(tmp_path: Path) -> None:
    """Another content, no file, and another salt are told apart; a touch is not."""
    path = tmp_path / "words.txt"
    absent = file_digest(str(path), "salt")
    path.write_text("a")
    first = file_digest(str(path), "salt")
    os.utime(path, (1, 1))
    touched = file_digest(str(path), "salt")
    path.write_text("b")

    assert first == touched
    assert 4 == len(
        {absent, first, file_digest(str(path), "salt"), file_digest(str(path), "x")}
    )


def test_digest_of_a_folder_is_of_its_files(tmp_path: Path) -> None:
    """A file added, renamed or changed anywhere in a folder is another digest."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("1")
    digests = [file_digest(str(tmp_path), "")]
    shutil.copy(tmp_path / "in" / "a", tmp_path / "b")
    digests.append(file_digest(str(tmp_path), ""))
    (tmp_path / "b").rename(tmp_path / "c")
    digests.append(file_digest(str(tmp_path), ""))

    assert 3 == len(set(digests))


def test_digest_of_a_variable_is_of_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset, empty and set are three values; none of them is shown."""
    monkeypatch.delenv("THEMIS_TEST", raising=False)
    digests = [variable_digest("THEMIS_TEST", "salt")]
    for value in ("", "de_DE"):
        monkeypatch.setenv("THEMIS_TEST", value)
        digests.append(variable_digest("THEMIS_TEST", "salt"))

    assert 3 == len(set(digests))
    assert "de_DE" not in "".join(digests)
