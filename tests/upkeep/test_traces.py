"""Traces stay beside their rows for as long as a run needs them, and go with them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.store import app
from tests.support.scored import Scored, modules, scored
from tests.upkeep.test_prune import pruned
from themis_lib import RunStore
from themis_lib.runs.manifest import manifests
from themis_lib.upkeep.check import check
from themis_lib.upkeep.compact import compact
from themis_lib.upkeep.prune import unused

MODULE = """
from pathlib import Path

WORDS = Path(__file__).with_name("words.txt")


def metric(value, expected):
    return float(value in WORDS.read_text().split())
"""
FIRST, SECOND = [1.0, 0.0], [1.0, 1.0]
Score = Callable[[str], Scored]


@pytest.fixture
def score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Score]:
    """Scores two texts by the words that a file holds then."""
    name = f"traced_{tmp_path.name}"
    with modules(tmp_path, {name: MODULE}, monkeypatch) as module:

        def run(words: str) -> Scored:
            module.WORDS.write_text(words)
            return scored(module.metric, tmp_path / "store")

        yield run


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(str(tmp_path / "store"))


def traces(store: RunStore) -> list[str]:
    return [file.path for file in store.files("rows") if "/traces/" in file.path]


def give_up(store: RunStore, position: int) -> None:
    run = manifests(store)[position]
    shutil.rmtree(Path(store.root) / "runs" / run.run_id)


def test_traces_are_no_fault(score: Score, store: RunStore) -> None:
    """A store whose rows depend on files is found in order."""
    score("ab")
    score("ab cde")

    assert 2 == len(traces(store))
    assert [] == list(check(store))
    assert [] == unused(store, older_than_s=-60)


def test_damaged_trace_is_reported_and_its_rows_are_computed_again(
    score: Score, store: RunStore
) -> None:
    """Rows of which nobody can tell what they depend on are not used."""
    score("ab")
    path = traces(store)[0]
    store.replace(path, b"{")

    problems = [str(problem) for problem in check(store)]

    assert 1 == len(problems)
    assert f"{path}: cannot be read" in problems[0]
    assert [(2, SECOND), (0, SECOND)] == [score("ab cde") for _ in range(2)]


def test_compaction_keeps_traces(score: Score, store: RunStore) -> None:
    """After a compaction, rows are found again, and a change is seen."""
    score("ab")
    kept = traces(store)
    for outcome in compact(store):
        assert outcome.files_after

    assert kept == traces(store)
    assert (0, FIRST) == score("ab")
    assert (2, SECOND) == score("ab cde")


def test_traces_go_with_the_last_rows(score: Score, store: RunStore) -> None:
    """Where the only run of a metric is given up, nothing of it stays."""
    score("ab")
    give_up(store, 0)
    gone = [file.path for item in pruned(store) for file in item.files]

    assert [] == traces(store)
    assert 1 == sum("/traces/" in path for path in gone)
    assert (2, SECOND) == score("ab cde")


def test_traces_that_lead_to_rows_of_a_run_are_kept(
    score: Score, store: RunStore
) -> None:
    """The rows of a later content are found through the trace of an earlier one, whose
    own rows are gone.
    """
    score("ab")
    score("ab cde")
    give_up(store, 0)
    gone = [file.path for item in pruned(store) for file in item.files]

    assert any(path.startswith("rows/score/") for path in gone)
    assert 2 == len(traces(store))
    assert (0, SECOND) == score("ab cde")
    assert (2, FIRST) == score("ab")


def test_traces_of_kept_rows_are_kept(score: Score, store: RunStore) -> None:
    """The trace of a run that is still there stays, that of the other goes."""
    score("ab")
    score("ab cde")
    give_up(store, 1)
    pruned(store)

    assert 1 == len(traces(store))
    assert (0, FIRST) == score("ab")
    assert (2, SECOND) == score("ab cde")


def test_old_trace_of_young_rows_is_kept(score: Score, store: RunStore) -> None:
    """While a row stays, so does what it depends on, however old."""
    score("ab")
    give_up(store, 0)
    for path in traces(store):
        file = Path(store.root) / path
        long_ago = file.stat().st_mtime - 7200

        os.utime(file, (long_ago, long_ago))

    gone = [item.directory for item in unused(store, older_than_s=3600)]

    assert [] == gone
    assert (2, SECOND) == score("ab cde")


def test_commands_keep_rows_and_their_traces(score: Score, store: RunStore) -> None:
    """`check`, `compact`, `measure` and `prune` leave a store in which nothing is
    computed again.
    """
    score("ab")
    for arguments in (
        ["check"],
        ["measure"],
        ["compact"],
        ["prune", "--hours", "0", "--yes"],
        ["check"],
    ):
        name, *options = arguments
        result = CliRunner().invoke(app, [name, store.root, *options])
        assert 0 == result.exit_code, result.output

    assert (0, FIRST) == score("ab")
    assert (2, SECOND) == score("ab cde")
