"""What components read beside their rows is checked before rows are used again."""

from __future__ import annotations

import mimetypes
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from themis_lib import FatalError, RunStore, evaluate
from themis_lib.stages.dependencies import dependency_digest
from themis_lib.storage.traces import read_traces

MODULE = """
import os
import threading
from functools import lru_cache
from pathlib import Path

WORDS = Path(__file__).with_name("words.txt")
KEPT = None
CALLS = []
READ = threading.Event()
EDITED = threading.Event()


@lru_cache
def cached_words():
    return WORDS.read_text().split()


def reads(value, expected):
    CALLS.append(value)
    return value in WORDS.read_text().split()


def reads_once(value, expected):
    CALLS.append(value)
    return value in cached_words()


def edited_meanwhile(value, expected):
    CALLS.append(value)
    text = WORDS.read_text()
    READ.set()
    EDITED.wait()
    return value in text.split()


def keeps(value, expected):
    global KEPT
    CALLS.append(value)
    if KEPT is None:
        KEPT = WORDS.read_text().split()
    return value in KEPT


def reads_variable(value, expected):
    CALLS.append(value)
    return value == os.environ.get("THEMIS_WORD")


def reads_credential(value, expected):
    CALLS.append(value)
    return bool(os.environ.get("THEMIS_API_KEY"))


class Declares:
    component_id = "mine/declares"
    version = "1"
    reads = ("value",)
    depends_on = (WORDS, "env:THEMIS_WORD")

    def fingerprint(self):
        return ""

    def score(self, parsed, case, ctx):
        from themis_lib import Score

        CALLS.append(parsed.value)
        return Score(value=1.0)
"""
DATA = [{"input": text, "expected_output": text} for text in ("a", "b")]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A user's module, with a file of words beside it."""
    name = f"mine_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / "words.txt").write_text("a")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("THEMIS_WORD", "a")
    monkeypatch.setenv("THEMIS_API_KEY", "s3cr3t")
    yield __import__(name)
    del sys.modules[name]


def scores(mine: Any, metric: Any, store: str) -> tuple[int, list[float]]:
    """How often the metric was called, and the scores."""
    mine.CALLS.clear()
    result = evaluate(
        model=str,
        data=DATA,
        parser="builtin/text",
        metric=metric,
        store=store,
    )
    found = [next(iter(case.final_scores.values())) for case in result.cases]
    return len(mine.CALLS), found


@pytest.mark.parametrize("name", ["reads", "reads_once"])
def test_changed_file_is_seen_and_the_old_one_found_again(
    mine: Any, name: str, tmp_path: Path
) -> None:
    """Rows are computed again for another content of a file that a metric reads, also
    where `lru_cache` keeps it, and found again for the earlier one.
    """
    store = str(tmp_path / "store")
    metric = getattr(mine, name)

    first = [scores(mine, metric, store) for _ in range(2)]
    mine.WORDS.write_text("a b")
    second = [scores(mine, metric, store) for _ in range(2)]
    mine.WORDS.write_text("a")
    third = scores(mine, metric, store)

    assert [(2, [1.0, 0.0]), (0, [1.0, 0.0])] == first
    assert [(2, [1.0, 1.0]), (0, [1.0, 1.0])] == second
    assert (0, [1.0, 0.0]) == third


def edit_meanwhile(mine: Any) -> None:
    """Change the words once the metric has read them, and let it go on."""
    mine.READ.wait()
    mine.WORDS.write_text("b")
    mine.EDITED.set()


def test_file_that_changes_in_a_run_leaves_no_rows_of_either_content(
    mine: Any, tmp_path: Path
) -> None:
    """Rows that read a file before and after an edit are computed again for both."""
    store = str(tmp_path / "store")

    # Not by the metric: what that writes itself is no input.
    threading.Thread(target=edit_meanwhile, args=[mine]).start()
    torn = scores(mine, mine.edited_meanwhile, store)
    after = scores(mine, mine.edited_meanwhile, store)
    mine.WORDS.write_text("a")
    before = scores(mine, mine.edited_meanwhile, store)

    assert (2, [1.0, 1.0]) == torn
    assert [0.0, 1.0] == after[1]
    assert [1.0, 0.0] == before[1]


def test_file_that_changes_in_every_run_leaves_no_rows(
    mine: Any, tmp_path: Path
) -> None:
    """However often it did so before, rows of two contents are used by no later run."""
    store = str(tmp_path / "store")

    for _ in range(3):
        mine.WORDS.write_text("a")
        mine.READ.clear()
        mine.EDITED.clear()
        editing = threading.Thread(target=edit_meanwhile, args=[mine])
        editing.start()
        assert (2, [1.0, 1.0]) == scores(mine, mine.edited_meanwhile, store)
        editing.join()
    mine.WORDS.write_text("a")

    assert (2, [1.0, 0.0]) == scores(mine, mine.edited_meanwhile, store)
    assert (0, [1.0, 0.0]) == scores(mine, mine.edited_meanwhile, store)


def test_module_that_keeps_what_it_read_is_refused(mine: Any, tmp_path: Path) -> None:
    """A file that has changed since the process read it, and is not read again, stops
    the run; a module imported anew computes with the new content.
    """
    store = str(tmp_path / "store")
    scores(mine, mine.keeps, store)
    mine.WORDS.write_text("a b")

    with pytest.raises(FatalError, match=r"words\.txt has changed since this process"):
        scores(mine, mine.keeps, store)
    mine.KEPT = None

    assert (2, [1.0, 1.0]) == scores(mine, mine.keeps, store)


def test_variable_is_seen(
    mine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another value of an environment variable that the code names is another score."""
    store = str(tmp_path / "store")
    first = [scores(mine, mine.reads_variable, store) for _ in range(2)]
    monkeypatch.setenv("THEMIS_WORD", "b")

    assert [(2, [1.0, 0.0]), (0, [1.0, 0.0])] == first
    assert (2, [0.0, 1.0]) == scores(mine, mine.reads_variable, store)


def test_credential_is_no_dependency(
    mine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another key of a provider computes nothing again, and leaves no trace."""
    store = str(tmp_path / "store")
    scores(mine, mine.reads_credential, store)
    monkeypatch.setenv("THEMIS_API_KEY", "another")

    assert (0, [1.0, 1.0]) == scores(mine, mine.reads_credential, store)
    assert not list(tmp_path.rglob("traces"))


@pytest.mark.parametrize(
    "edit",
    [
        lambda mine, _: mine.WORDS.write_text("other"),
        lambda _, patch: patch.setenv("THEMIS_WORD", "b"),
    ],
    ids=["file", "variable"],
)
def test_declared_dependencies_are_seen(
    mine: Any,
    edit: Callable[[Any, pytest.MonkeyPatch], object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a component names in `depends_on` counts, read or not."""
    store = str(tmp_path / "store")
    first = scores(mine, mine.Declares(), store)[0]
    again = scores(mine, mine.Declares(), store)[0]
    edit(mine, monkeypatch)

    assert (2, 0, 2) == (first, again, scores(mine, mine.Declares(), store)[0])


def test_traces_hold_names_and_no_values(mine: Any, tmp_path: Path) -> None:
    """What is stored says which file was read, and not what it says."""
    store = str(tmp_path / "store")
    result = scores(mine, mine.reads, store)
    directories = [path.parent for path in tmp_path.rglob("traces/*.json")]

    assert (2, [1.0, 0.0]) == result
    assert 1 == len(directories)
    directory = directories[0].parent.relative_to(tmp_path / "store")
    traces = read_traces(RunStore(store), str(directory))
    assert {str(mine.WORDS.resolve())} == traces.keys()


HIDDEN = """
import mimetypes
import sqlite3
from pathlib import Path

from themis_lib import Score

TYPES = Path(__file__).with_name("words.txt")
{at_import}


class Metric:
    component_id = "mine/hidden"
    version = "1"
    reads = ("value",)

    def __init__(self):
        self.words = sqlite3.connect(":memory:", check_same_thread=False)
        self.words.execute("CREATE TABLE words AS SELECT ? AS word", [{when_made}])

    def fingerprint(self):
        return ""

    def score(self, parsed, case, ctx):
        with Path(__file__).with_name("calls.txt").open("a") as log:
            log.write("x")
        known = self.words.execute("SELECT word FROM words").fetchone()[0]
        guessed = mimetypes.guess_type(parsed.value + ".words")[0]
        return Score(value=float(known == parsed.value or guessed == "a/b"))
"""


@pytest.mark.parametrize(
    ("at_import", "when_made", "before", "after"),
    [
        ("mimetypes.init([str(TYPES)])", "''", "c/d words", "a/b words"),
        ("", "TYPES.read_text()", "c", "a"),
    ],
    ids=["a library's state", "an attribute"],
)
def test_file_that_a_component_was_made_from_is_seen(
    at_import: str,
    when_made: str,
    before: str,
    after: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where its content shows nowhere; the rows of the earlier content stay."""
    name = f"hidden_{tmp_path.name}"
    source = HIDDEN.format(at_import=at_import, when_made=when_made)
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))

    found = []
    for content in (before, after, after, before):
        (tmp_path / "words.txt").write_text(content)
        (tmp_path / "calls.txt").write_text("")
        sys.modules.pop(name, None)
        result = evaluate(
            model=str,
            data=DATA[:1],
            parser="builtin/text",
            metric={"use": f"{name}:Metric"},
            store=str(tmp_path / "store"),
        )
        mean = result.summary[0].mean
        found.append((len((tmp_path / "calls.txt").read_text()), mean))

    mimetypes.init()
    assert [(1, 0.0), (1, 1.0), (0, 1.0), (0, 0.0)] == found


def test_digest_of_a_variable_is_of_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset, empty and set are three values; none of them is shown."""
    monkeypatch.delenv("THEMIS_TEST", raising=False)
    digests = [dependency_digest("env:THEMIS_TEST", "salt")]
    for value in ("", "de_DE"):
        monkeypatch.setenv("THEMIS_TEST", value)
        digests.append(dependency_digest("env:THEMIS_TEST", "salt"))

    assert 3 == len(set(digests))
    assert "de_DE" not in "".join(digests)


def test_digest_of_a_beginning_is_of_all_variables_that_begin_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another variable, or another value, is another digest; a credential is not."""
    digests = [dependency_digest("env:THEMIS_LIMIT_", "")]
    for name, value in (("A", "1"), ("A", "2"), ("B", "2"), ("API_KEY", "s3cr3t")):
        monkeypatch.setenv(f"THEMIS_LIMIT_{name}", value)
        digests.append(dependency_digest("env:THEMIS_LIMIT_", ""))

    assert 4 == len(set(digests))
    assert digests[-1] == digests[-2]


def test_names_and_values_that_are_no_text_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux takes any bytes for them."""
    digests = set()
    for byte in (b"\xfe", b"\xff"):
        monkeypatch.setitem(os.environb, b"THEMIS_BYTES", byte)
        digests.add(dependency_digest("env:THEMIS_BYTES", ""))
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + byte)).write_text("a")
        digests.add(dependency_digest(f"{tmp_path}/", ""))

    assert 4 == len(digests)
