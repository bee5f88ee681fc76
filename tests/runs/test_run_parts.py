"""The record of the parts that hold a run's rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.counted_runs import counted_experiment, ran, with_cases
from tests.test_edit_costs import case
from themis_lib import (
    Case,
    GenerationResult,
    InMemoryRunStore,
    RunResult,
    StoreError,
    TransientError,
)
from themis_lib.core.contexts import GenerateContext
from themis_lib.runs.run_parts import (
    RunParts,
    content_of,
    parts_path,
    read_parts,
)

_REQUESTS: Iterator[int] = iter(range(100))


class Down:
    """A model that is down: it answers each request with another error."""

    component_id = "tests/down"
    version = "1"
    reads = ("input",)
    deterministic = True

    def fingerprint(self) -> str:
        return ""

    def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        raise TransientError(f"request {next(_REQUESTS)} failed")


COLUMNS = {"output": "1", "error": "2", "latency_s": "3", "transport": "4"}


def test_record_survives_its_file() -> None:
    """What is written is what is read, for a run of several shards."""
    run = ran(InMemoryRunStore())
    assert run.parts is not None

    assert run.parts == RunParts.from_bytes(run.parts.to_bytes())
    assert run.parts == read_parts(run.store, run.run_id)
    assert 3 == len(run.parts.shards)


def test_runs_share_the_parts_of_equal_shards() -> None:
    """A case that is added adds the parts of its shard, and no other."""
    store = InMemoryRunStore()
    first, again, grown = ran(store), ran(store), ran(store, with_cases(7))
    assert first.parts is not None
    assert grown.parts is not None

    assert first.parts == again.parts
    assert first.parts.paths < grown.parts.paths
    # Cases, outputs, answers, scores and results of the new shard.
    assert 5 == len(grown.parts.paths - first.parts.paths)


def test_run_that_stops_early_has_no_later_parts() -> None:
    """A run until `parse` has neither scores nor results."""
    run = counted_experiment().run(InMemoryRunStore(), until_stage="parse")
    assert run.parts is not None

    (names,) = {
        tuple(name for name, parts in shard.tables.items() if parts)
        for shard in run.parts.shards
    }
    assert ("cases", "outputs", "answers") == names


def test_equal_shards_that_failed_in_other_ways_are_two_parts() -> None:
    """Each shard of the run has the errors of its own rows."""
    run = ran(
        InMemoryRunStore(),
        datasets__0__cases=[{**case(1), "case_id": "a"}, {**case(1), "case_id": "b"}],
        runtime__shard_size=1,
        generation__generator={"use": "tests.runs.test_run_parts:Down"},
    )

    errors = run.table("outputs")["error"].to_pylist()

    assert 4 == run.progress["generate"].failed
    assert 4 == len(set(errors))


def test_content_is_what_is_the_same_at_every_call() -> None:
    """Latency and transport differ when a row is computed again; outputs may not."""
    assert content_of(COLUMNS) == content_of({**COLUMNS, "latency_s": "5"})
    assert content_of(COLUMNS) == content_of({**COLUMNS, "transport": "5"})
    assert content_of(COLUMNS) != content_of({**COLUMNS, "output": "5"})


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"shards": 3}', b'{"shards": [3]}', b"[1]"]
)
def test_damaged_record_is_named(content: bytes) -> None:
    """A record that cannot be read is no record of an empty run."""
    run = ran(InMemoryRunStore())
    run.store.hold({})
    run.store.replace(parts_path(run.run_id), content)

    with pytest.raises(StoreError, match=r"parts\.json cannot be read .*; remove"):
        RunResult(run.store, run.run_id).table("scores")


def test_lost_record_is_named() -> None:
    """A run that came to its end has one."""
    run = ran(InMemoryRunStore())
    run.store.remove(parts_path(run.run_id))

    with pytest.raises(StoreError, match=r"parts\.json is missing; remove"):
        RunResult(run.store, run.run_id).table("cases")
