"""A run leaves the garbage collector as it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.asking import questions
from themis_lib import FatalError, GenerationResult


class Looking:
    """Notes how the collector is set while it generates, and ends the run if told to."""

    component_id = "looking"
    version = "1"

    def __init__(self, *, ends: bool = False) -> None:
        self.ends = ends

    def fingerprint(self) -> str:
        return "1"

    async def generate(self, case: Any, context: Any) -> GenerationResult:
        if self.ends:
            raise FatalError("no more")
        thresholds = [*gc.get_threshold()]
        return GenerationResult(final_output=[gc.get_freeze_count() > 0, thresholds])


def seen_by(generator: Looking) -> Any:
    [case] = questions(generator).run().cases
    return case.generated_candidates[0].final_output


@pytest.fixture
def before() -> Iterator[tuple[Any, ...]]:
    """The collector as an application has it that has not frozen anything."""
    assert gc.isenabled()
    was_frozen = gc.get_freeze_count() > 0
    gc.unfreeze()
    yield (*gc.get_threshold(), gc.get_freeze_count())
    if was_frozen:
        gc.freeze()


def test_garbage_is_looked_for_seldom_in_a_run(before: tuple[Any, ...]) -> None:
    frozen, thresholds = seen_by(Looking())

    assert frozen
    assert thresholds[0] > before[0]
    assert before == (*gc.get_threshold(), gc.get_freeze_count())


def test_a_run_that_fails_leaves_the_collector_as_it_was(
    before: tuple[Any, ...],
) -> None:
    with pytest.raises(FatalError):
        questions(Looking(ends=True)).run()

    assert before == (*gc.get_threshold(), gc.get_freeze_count())


def test_an_application_that_has_decided_keeps_its_choice() -> None:
    gc.freeze()
    try:
        own = gc.get_threshold()
        assert [True, [*own]] == seen_by(Looking())
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
