"""Digests of files and folders: of their content."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from themis_lib.stages.file_digests import file_digest


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder for data."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def test_digest_of_a_file_is_of_its_content(data: Path) -> None:
    """Another content, no file, and another salt are told apart; a touch is not."""
    path = data / "words.txt"
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


def test_digest_of_a_folder_is_of_its_files(data: Path) -> None:
    """A file added, renamed or changed anywhere in a folder is another digest."""
    (data / "in").mkdir()
    (data / "in" / "a").write_text("1")
    digests = [file_digest(str(data), "")]
    shutil.copy(data / "in" / "a", data / "b")
    digests.append(file_digest(str(data), ""))
    (data / "b").rename(data / "c")
    digests.append(file_digest(str(data), ""))

    assert 3 == len(set(digests))
