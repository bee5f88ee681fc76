"""Files and variables that a metric reads, however it reads them, are checked before
its rows are used again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.scored import Scored, modules, scored

#: Each function reads words from a file in its own way.
MODULE = """
import asyncio, csv, io, json, mmap, os, pickle, sqlite3, threading, zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy
import pandas

HERE = Path(__file__).parent
PLACE = HERE / "words"
POOL = ThreadPoolExecutor(1)


def held(words, value):
    return float(value in words)


def by_open(value, expected):
    with open(PLACE / "words.txt") as file:
        return held(file.read().split(), value)


def by_name(value, expected):
    return held(io.open(os.path.join(str(PLACE), "words.txt")).read().split(), value)


def by_descriptor(value, expected):
    number = os.open(PLACE / "words.txt", os.O_RDONLY)
    try:
        return held(os.read(number, 1000).decode().split(), value)
    finally:
        os.close(number)


def by_pandas(value, expected):
    frame = pandas.read_csv(PLACE / "words.txt", names=["word"])
    return held(list(frame["word"]), value)


def by_numpy(value, expected):
    return held(numpy.loadtxt(PLACE / "words.txt", dtype=str, ndmin=1), value)


def in_a_pool(value, expected):
    return POOL.submit(by_open, value, expected).result()


def in_a_new_pool(value, expected):
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(by_open, [value], [expected]))[0]


def in_a_thread(value, expected):
    found = []
    thread = threading.Thread(target=lambda: found.append(by_open(value, expected)))
    thread.start()
    thread.join()
    return found[0]


async def in_a_coroutine(value, expected):
    return await asyncio.to_thread(by_open, value, expected)


def by_listing(value, expected):
    words = []
    for path in PLACE.glob("*.txt"):
        words += path.read_text().split()
    return held(words, value)


def if_it_is_there(value, expected):
    try:
        return by_open(value, expected)
    except OSError:
        return 0.5


def by_variable(value, expected):
    return held(os.environ.get("THEMIS_WORDS", "ab").split(), value)


VARIABLE = "THEMIS_WORDS"


def by_name_of_a_variable(value, expected):
    return held(os.environ.get(VARIABLE, "ab").split(), value)


def by_computed_name(value, expected):
    return held(os.getenv("_".join(["THEMIS", "WORDS"]), "ab").split(), value)


def by_library_of_variables(value, expected):
    return held(os.path.expandvars("$THEMIS_WORDS").split(), value)


class Declares:
    component_id = "mine/declares"
    version = "1"
    reads = ("value",)
    depends_on = (PLACE / "words.txt",)

    def fingerprint(self):
        return ""

    def score(self, parsed, case, ctx):
        from themis_lib import Score
        return Score(value=if_it_is_there(parsed.value, None))
"""
AT_IMPORT = """
from pathlib import Path

WORDS = (Path(__file__).parent / "words" / "words.txt").read_text().split()


def metric(value, expected):
    return float(value in WORDS)
"""
FIRST, SECOND = [1.0, 0.0], [1.0, 1.0]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A user's module, with a folder of words beside it."""
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "words.txt").write_text("ab\n")
    monkeypatch.delenv("THEMIS_WORDS", raising=False)
    files = {f"reading_{tmp_path.name}": MODULE}
    with modules(tmp_path, files, monkeypatch) as module:
        yield module


@pytest.fixture
def score(mine: ModuleType, tmp_path: Path) -> Callable[[str], Scored]:
    """Scores the texts with a metric of the module, by its name."""

    def run(name: str) -> Scored:
        metric = getattr(mine, name)
        return scored(metric() if name == "Declares" else metric, tmp_path / "store")

    return run


READING = [
    "by_open",
    "by_name",
    "by_descriptor",
    "by_pandas",
    "by_numpy",
    "in_a_pool",
    "in_a_new_pool",
    "in_a_thread",
    "in_a_coroutine",
    "by_listing",
    "Declares",
]


@pytest.mark.parametrize("name", READING)
def test_changed_file_is_seen(
    name: str, mine: ModuleType, score: Callable[[str], Scored]
) -> None:
    """A file with another content gives new rows; the earlier one finds the old."""
    words = mine.PLACE / "words.txt"
    first = [score(name) for _ in range(2)]
    words.write_text("ab\ncde\n")
    second = [score(name) for _ in range(2)]
    words.write_text("ab\n")

    assert [(2, FIRST), (0, FIRST)] == first
    assert [(2, SECOND), (0, SECOND)] == second
    assert (0, FIRST) == score(name)


def test_file_added_to_a_listed_folder_is_seen(
    mine: ModuleType, score: Callable[[str], Scored]
) -> None:
    """A new file is read by a metric that reads all of a folder, and seen."""
    first = [score("by_listing") for _ in range(2)]
    (mine.PLACE / "more.txt").write_text("cde")

    assert [(2, FIRST), (0, FIRST)] == first
    assert (2, SECOND) == score("by_listing")
    (mine.PLACE / "more.txt").unlink()
    assert (0, FIRST) == score("by_listing")


def deleted(words: Path) -> None:
    words.unlink()


def made_a_folder(words: Path) -> None:
    words.unlink()
    words.mkdir()


def gone_with_its_folder(words: Path) -> None:
    shutil.rmtree(words.parent)


@pytest.mark.parametrize("change", [deleted, made_a_folder, gone_with_its_folder])
@pytest.mark.parametrize("name", ["if_it_is_there", "Declares"])
def test_file_that_is_gone_is_seen(
    name: str,
    change: Callable[[Path], None],
    mine: ModuleType,
    score: Callable[[str], Scored],
) -> None:
    """A file that was read and is none any more gives new rows, and so does its
    return.
    """
    words = mine.PLACE / "words.txt"
    first = score(name)
    change(words)
    missing = [score(name) for _ in range(2)]
    shutil.rmtree(mine.PLACE, ignore_errors=True)
    mine.PLACE.mkdir()
    words.write_text("ab\ncde\n")

    assert (2, FIRST) == first
    assert [(2, [0.5, 0.5]), (0, [0.5, 0.5])] == missing
    assert (2, SECOND) == score(name)


@pytest.mark.parametrize("name", ["by_open", "Declares"])
def test_file_that_is_missing_at_first_is_seen_later(
    name: str, mine: ModuleType, score: Callable[[str], Scored]
) -> None:
    """A file that was looked for, or declared, and comes to be there is a change."""
    name = {"by_open": "if_it_is_there"}.get(name, name)
    (mine.PLACE / "words.txt").unlink()
    first = [score(name) for _ in range(2)]
    (mine.PLACE / "words.txt").write_text("ab")

    assert [(2, [0.5, 0.5]), (0, [0.5, 0.5])] == first
    assert (2, FIRST) == score(name)


def test_touched_and_unrelated_files_cost_nothing(
    mine: ModuleType, score: Callable[[str], Scored]
) -> None:
    """Another time of a file, and a file that nobody reads, compute nothing."""
    score("by_open")
    os.utime(mine.PLACE / "words.txt", (1, 1))
    (mine.PLACE / "other.txt").write_text("cde")

    assert (0, FIRST) == score("by_open")


@pytest.mark.parametrize(
    "name",
    [
        "by_variable",
        "by_name_of_a_variable",
        "by_computed_name",
        "by_library_of_variables",
    ],
)
def test_variable_is_seen(
    name: str, score: Callable[[str], Scored], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another value of a variable that the code reads gives new rows."""
    monkeypatch.setenv("THEMIS_WORDS", "ab")
    first = [score(name) for _ in range(2)]
    monkeypatch.setenv("THEMIS_WORDS", "ab cde")

    assert [(2, FIRST), (0, FIRST)] == first
    assert (2, SECOND) == score(name)


def test_file_that_is_read_at_import_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a module has read counts by its value: an edit is seen by the next import,
    and until then computes nothing again.
    """
    (tmp_path / "words").mkdir()
    words = tmp_path / "words" / "words.txt"
    words.write_text("ab")
    name = f"at_import_{tmp_path.name}"
    store = tmp_path / "store"

    with modules(tmp_path, {name: AT_IMPORT}, monkeypatch) as module:
        first = [scored(module.metric, store) for _ in range(2)]
        words.write_text("ab cde")
        kept = scored(module.metric, store)
    with modules(tmp_path, {name: AT_IMPORT}, monkeypatch) as module:
        second = [scored(module.metric, store) for _ in range(2)]

    assert [(2, FIRST), (0, FIRST)] == first
    assert (0, FIRST) == kept
    assert [(2, SECOND), (0, SECOND)] == second
