"""Files that code opens while it is watched."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sqlite3
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from themis_lib.identity.watch import Watch, not_watching, watching


def seen(act: Callable[[], object], left_out: str = "") -> list[str]:
    watch = Watch(lambda path: bool(left_out) and path.startswith(left_out))
    with watching(watch):
        act()
    return [path for path, _ in watch.take_new()]


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


def test_searches_for_modules_are_not_noted(tmp_path: Path) -> None:
    """Python lists folders to find modules and distributions."""

    def act() -> None:
        importlib.invalidate_caches()
        importlib.util.find_spec("no_such_module")
        list(importlib.metadata.distributions(path=[str(tmp_path)]))

    assert [] == seen(act)


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


def test_folder_that_was_there_is_not_what_the_code_wrote(tmp_path: Path) -> None:
    """`exist_ok`, and a file that could not be made, leave nothing out."""
    words = tmp_path / "data" / "words.txt"
    words.parent.mkdir()
    words.write_text("a")

    def act() -> None:
        words.parent.mkdir(exist_ok=True)
        with pytest.raises(FileExistsError):
            words.open("x")
        words.read_text()

    assert [str(words.resolve())] == seen(act)


def test_file_that_is_opened_to_change_it_is_noted_until_it_is_changed(
    tmp_path: Path,
) -> None:
    """`numpy.memmap` opens a file like that, unless it is told not to."""
    weights, cache = tmp_path / "weights.bin", tmp_path / "cache.bin"
    weights.write_bytes(b"1")
    cache.write_bytes(b"1")

    def act() -> None:
        with weights.open("r+b") as file:
            file.read()
        with cache.open("r+b") as file:
            file.write(b"12")

    assert [str(weights.resolve())] == seen(act)


def test_database_is_noted_by_its_uri(tmp_path: Path) -> None:
    """sqlite takes a path, or a URI with options."""
    path = tmp_path / "the words.db"
    sqlite3.connect(path).close()
    path.write_bytes(b"")

    def act() -> None:
        uri = f"{path.as_uri()}?mode=ro"
        sqlite3.connect(uri, uri=True).close()

    assert [str(path.resolve())] == seen(act)


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


def test_files_read_in_threads_are_noted(tmp_path: Path) -> None:
    """Those of threads that the code starts, also when it uses them again later."""
    paths = [tmp_path / name for name in ("one.txt", "two.txt")]
    for path in paths:
        path.write_text("a")
    with ThreadPoolExecutor(1) as pool:
        first = seen(lambda: pool.submit(paths[0].read_text).result())
        second = seen(lambda: pool.submit(paths[1].read_text).result())

    assert [[str(path.resolve())] for path in paths] == [first, second]


def test_files_read_by_idle_threads_of_a_pool_are_noted(tmp_path: Path) -> None:
    """A pool may be older than the block that gives it work, and work for others."""
    path = tmp_path / "words.txt"
    path.write_text("a")
    other = tmp_path / "other.txt"
    other.write_text("b")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        assert [str(path.resolve())] == seen(
            lambda: pool.submit(path.read_text).result()
        )
        with watching(watch := Watch(lambda _: False)):
            pass
        pool.submit(other.read_text).result()
        assert [] == watch.take_new()


@pytest.mark.parametrize("event", ["open", "os.mkdir", "os.listdir", "sqlite3.connect"])
@pytest.mark.parametrize("arguments", [(), (object(),), ("a\0b", None, None)])
def test_events_that_are_no_files_raise_nothing(event: str, arguments: Any) -> None:
    """Any code may raise an event by the name of one of Python's."""
    assert [] == seen(lambda: sys.audit(event, *arguments))


def test_threads_of_others_are_not_watched(tmp_path: Path) -> None:
    """What a thread reads that no watched code started or gave work is not its own."""
    path = tmp_path / "words.txt"
    path.write_text("a")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        outside = copy_context()

        assert [] == seen(lambda: outside.run(pool.submit, path.read_text).result())


def test_programs_and_databases_are_noted(tmp_path: Path) -> None:
    """A program that is started, the files that its command names, and a database."""
    words, base = tmp_path / "words.txt", tmp_path / "base.db"
    words.write_text("a")
    sqlite3.connect(base).close()

    def act() -> None:
        subprocess.run(["cat", words], check=True, capture_output=True)
        sqlite3.connect(base).close()

    assert {str(words.resolve()), str(base.resolve())} <= set(seen(act))


def test_folders_that_code_lists_are_noted(tmp_path: Path) -> None:
    """By the names in them, however they are listed; not those that it made itself."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()

    def act() -> None:
        list((tmp_path / "one").glob("*.txt"))
        os.listdir(tmp_path / "two")  # noqa: PTH208
        (tmp_path / "own").mkdir()
        list((tmp_path / "own").iterdir())
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / "a").write_text("a")

    expected = [f"{(tmp_path / name).resolve()}/" for name in ("one", "two")]
    assert expected == seen(act)


def test_file_is_noted_again_in_another_state(tmp_path: Path) -> None:
    """A file that another program has changed since it was opened is another one."""
    path = tmp_path / "words.txt"
    path.write_text("a")

    def act() -> None:
        for text in ("ab", "ab"):
            path.read_text()
            path.read_text()
            with not_watching():
                path.write_text(text)
        path.read_text()

    assert 2 <= len(seen(act))
    assert {str(path.resolve())} == set(seen(act))


def test_variables_that_user_code_looks_up_are_noted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However the name is computed; not one that is set, one that a library looks up for
    itself, nor all of them where code hands the environment on.
    """
    monkeypatch.setenv("THEMIS_READ", "1")
    monkeypatch.setenv("THEMIS_SET", "0")
    name = "_".join(["THEMIS", "READ"])

    def act() -> None:
        assert "1" == os.environ[name] == os.getenv(name)
        assert os.environ.get("THEMIS_MISSING") is None
        os.environ["THEMIS_SET"] = "1"
        tempfile._candidate_tempdir_list()
        assert os.environ.copy() == dict(os.environ) == {**os.environ}

    assert ["env:THEMIS_READ", "env:THEMIS_MISSING"] == seen(act)


def test_variables_that_user_code_takes_one_by_one_are_noted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where it went through their names before, or something else did."""
    monkeypatch.setenv("THEMIS_READ", "1")

    def act() -> None:
        names = [name for name in os.environ if name.startswith("THEMIS_R")]
        assert ["1"] == [os.environ[name] for name in names]

    assert ["env:THEMIS_READ"] == seen(act)
