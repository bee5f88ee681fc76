"""Files that code opens while it is watched."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable
from pathlib import Path

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
