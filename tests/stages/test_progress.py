"""Counts of rows while a run is in flight."""

from __future__ import annotations

import threading

from themis_lib import TokenUsage
from themis_lib.identity.part import Part
from themis_lib.stages.progress import Progress


def test_rows_are_counted_by_stage() -> None:
    """What is neither computed, failed nor skipped was cached."""
    progress = Progress()
    progress.expect("parse", 10)
    progress.advance("parse", 3)
    progress.finish("parse", Part(path="", rows=10, failed=1, skipped=2))

    counts = progress.stages()["parse"]

    assert (10, 10, 3, 1, 2) == (
        counts.total,
        counts.done,
        counts.computed,
        counts.failed,
        counts.skipped,
    )
    assert 4 == counts.cached


def test_computed_rows_of_a_shard_in_flight_are_not_cached_ones() -> None:
    """Before the shard is finished, no row counts as cached."""
    progress = Progress()
    progress.expect("parse", 10)
    progress.advance("parse", 3)

    assert 0 == progress.stages()["parse"].cached


def test_tokens_are_added_up() -> None:
    """Of this process and of others; what nobody counts stays unknown."""
    progress = Progress()
    progress.advance("generate", 1)
    assert progress.stages()["generate"].usage is None

    progress.advance("generate", 1, TokenUsage(input_tokens=2))
    progress.advance_by(
        "generate", Part(path="", rows=3, computed=3, usage={"input_tokens": 5})
    )

    counts = progress.stages()["generate"]
    assert (5, TokenUsage(input_tokens=7)) == (counts.computed, counts.usage)


def test_threads_lose_no_count() -> None:
    """Shards advance from many threads."""
    progress = Progress()

    def advance() -> None:
        for _ in range(500):
            progress.advance("score", 1)

    threads = [threading.Thread(target=advance) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 4000 == progress.stages()["score"].computed


def test_batches_that_are_waited_for() -> None:
    """The latest is told, and how many others there are."""
    progress = Progress()
    progress.note_batch("b1", "b1: in_progress, 0 of 9 rows after 1 min")
    one = progress.waiting_line()
    progress.note_batch("b2", "b2: in_progress, 3 of 9 rows after 2 min")
    two = progress.waiting_line()
    progress.note_batch("b1", None)
    progress.note_batch("b2", None)

    assert "waiting for b1: in_progress, 0 of 9 rows after 1 min" == one
    assert "waiting for b2: in_progress, 3 of 9 rows after 2 min (and 1 more)" == two
    assert progress.waiting_line() is None


def test_steps_of_another_process_are_counted() -> None:
    """Calls that rows were made of travel with the reference to their table."""
    counts = {"rows": 3, "computed": 2, "usage": {"input_tokens": 5}}
    part = Part("path", rows=1, computed=1, steps={"step[model]": counts})
    progress = Progress()

    for _ in range(2):
        progress.advance_by("generate", Part(**part.to_json()))

    item = progress.steps()["step[model]"]
    assert (6, 4, 10) == (item.rows, item.computed, item.usage.input_tokens)
