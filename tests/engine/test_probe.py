"""Whatever makes bits depend on company, cuts or slots is found, each by a planted fault."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.feigned import Faults, FeignedContext, FeignedWeights, Row
from themis_lib.engine import invariance, probe, sliding_window
from themis_lib.engine.invariance import Invariance, measure

FREE = ("equal", 1, 8, 1, 2)
#: The prompts, their steps, each width at three steps, and cuts: an idle machine takes
#: five seconds for so many tokens of SmolLM2.
MOST_ROWS = 560
WINDOW = 512


@pytest.fixture
def examine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Invariance]:
    """Examine a model that has these faults."""

    def examined(
        faults: Faults | Callable[[Row], bool], *, threads: int = 1, window: int = 0
    ) -> Invariance:
        if not isinstance(faults, Faults):
            faults = Faults(faults)

        def context(weights: Any, **sizes: int) -> FeignedContext:
            return FeignedContext(faults, **sizes)

        for module in (probe, sliding_window):
            monkeypatch.setattr(module, "Context", context)
        weights = FeignedWeights(sliding_window=window)
        monkeypatch.setattr(invariance, "Weights", lambda path, **options: weights)
        return measure(Path("none"), threads=threads)[1]

    return examined


def ways(found: Invariance) -> tuple[Any, ...]:
    return found.decode, found.narrowest, found.width, found.cut_at, found.shortest


def decoding(row: Row) -> bool:
    return row.kind == "decode"


def prefilling(row: Row) -> bool:
    return row.kind == "prefill"


def test_without_a_fault_nothing_is_lost(examine) -> None:
    """And little is computed."""
    faults = Faults()
    assert FREE == ways(examine(faults))
    assert faults.computed <= MOST_ROWS


@pytest.mark.parametrize("width", range(2, 9))
@pytest.mark.parametrize("from_on", [True, False], ids=["and more", "only"])
def test_a_kernel_for_so_many_sequences_is_found(examine, width, from_on) -> None:
    """Fewer than four together are not worth while: then at least so many are decoded."""

    def other(row: Row) -> bool:
        return decoding(row) and (row.rows >= width if from_on else row.rows == width)

    found = examine(other)
    if width > 4:
        assert ("equal", 1, width - 1) == ways(found)[:3]
    elif from_on:
        assert ("fixed", width, 8) == ways(found)[:3]
    else:
        assert ("fixed", width + 1, 8) == ways(found)[:3]
    assert (1, 2) == ways(found)[3:]


@pytest.mark.parametrize("slot", range(8))
def test_a_slot_that_differs_in_company_is_found(examine, slot) -> None:
    """Wherever it lies, texts are decoded alone."""
    found = examine(lambda row: decoding(row) and row.rows > 1 and row.slot == slot)
    assert "alone" == found.decode


@pytest.mark.parametrize("place", range(2, 8))
def test_a_row_that_differs_by_its_place_is_found(examine, place) -> None:
    """As where rows are multiplied by fours, and those left over alone."""
    found = examine(lambda row: decoding(row) and row.index == place)
    assert "alone" == found.decode if place < 4 else place == found.width


@pytest.mark.parametrize("group", [2, 4, 8])
@pytest.mark.parametrize("kind", [decoding, prefilling])
def test_rows_left_over_by_a_kernel_are_found(examine, kind, group) -> None:
    """Cuts keep to multiples of 32, and single texts have company or none."""
    found = examine(lambda row: kind(row) and row.index >= row.rows // group * group)
    if kind is prefilling:
        assert ("equal", 1, 8, 32, 32) == ways(found)
    else:
        assert "equal" != found.decode or found.width < group


@pytest.mark.parametrize("position", [6, 12, 32, 33, 40, 64, 70, 72])
@pytest.mark.parametrize("width", range(2, 9))
@pytest.mark.parametrize("below", [True, False], ids=["before", "behind"])
def test_a_kernel_for_so_many_at_some_positions_is_found(
    examine, position, width, below
) -> None:
    """So many sequences are never said to be equal to one."""

    def other(row: Row) -> bool:
        there = row.position < position if below else row.position >= position
        return decoding(row) and row.rows >= width and there

    found = examine(other)
    assert found.decode != "equal" or found.width < width


@pytest.mark.parametrize("multiple", [2, 4, 8, 16, 32])
def test_positions_that_differ_in_company_are_found(examine, multiple) -> None:
    """Two sequences are tried at each position."""
    found = examine(
        lambda row: decoding(row) and row.rows > 1 and row.position % multiple == 0
    )
    assert "equal" != found.decode


@pytest.mark.parametrize("reach", [9, 13, 33, 40, 43, 64, 73])
def test_longer_neighbours_that_matter_are_found(examine, reach) -> None:
    """What a text is decoded beside may be longer than it."""
    found = examine(lambda row: decoding(row) and row.rows > 1 and row.reach >= reach)
    assert "equal" != found.decode


@pytest.mark.parametrize("rows", range(3, 71))
def test_a_kernel_for_short_parts_is_found(examine, rows) -> None:
    """Below so many rows; up to 32, prompts are still cut at multiples of 32."""
    found = examine(lambda row: prefilling(row) and row.rows < rows)
    assert ((32, 32) if rows <= 32 else (0, 0)) == ways(found)[3:]


@pytest.mark.parametrize("rows", range(2, 9))
def test_a_kernel_for_parts_of_one_size_is_found(examine, rows) -> None:
    """Each size to the most sequences."""
    found = examine(lambda row: prefilling(row) and row.rows == rows)
    assert (32, 32) == ways(found)[3:]


@pytest.mark.parametrize("multiple", [2, 4, 8, 16, 32])
def test_cuts_that_are_not_aligned_are_found(examine, multiple) -> None:
    """Cut at multiples of 32, prompts have the bits of whole ones."""
    found = examine(lambda row: prefilling(row) and row.start % multiple != 0)
    assert (32, 32) == ways(found)[3:]


@pytest.mark.parametrize("begun", range(2, 69, 3))
def test_cuts_behind_some_place_are_found(examine, begun) -> None:
    """Up to 32, no cut is left; behind it, none that is nearer to the end than 32."""
    found = examine(lambda row: prefilling(row) and row.start >= begun)
    assert ((0, 0) if begun <= 32 else (32, 32)) == ways(found)[3:]


@pytest.mark.parametrize(
    "faults",
    [
        Faults(left_by_trim=lambda count: True),
        Faults(left_by_trim=lambda count: count > 4),
        Faults(left_by_copy=True),
    ],
    ids=["trim", "trim of a text", "copy"],
)
def test_what_another_text_leaves_in_a_slot_is_found(examine, faults) -> None:
    """Then no prompt is cut, so that none shares what a slot holds."""
    found = examine(faults)
    assert (0, 0) == ways(found)[3:]


@pytest.mark.parametrize("rows", [1, 2, 8, 33, 70])
def test_threads_that_matter_are_found(examine, rows) -> None:
    """One thread computes then, and nothing else is lost."""
    found = examine(lambda row: row.threads > 1 and row.rows >= rows, threads=3)
    assert (True, FREE) == (found.threads_matter, ways(found))


def beyond(row: Row) -> bool:
    return row.position >= WINDOW


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (lambda row: decoding(row) and row.rows > 1 and beyond(row), ("alone", 1, 2)),
        (
            lambda row: prefilling(row) and 0 < row.start < WINDOW < row.reach,
            ("equal", 0, 0),
        ),
        *[
            (
                partial(
                    lambda n, row: prefilling(row) and row.rows < n and beyond(row), n
                ),
                ("equal", 0, 0),
            )
            for n in (3, 8, 33, 39, 64)
        ],
    ],
)
def test_what_differs_only_beyond_the_window_is_found(examine, other, expected) -> None:
    """Prompts of up to 70 tokens say nothing of it."""
    assert FREE == ways(examine(other))
    found = examine(other, window=WINDOW)
    assert expected == (found.decode, found.cut_at, found.shortest)


def test_a_sliding_window_costs_little_more_than_itself(examine) -> None:
    """The prompt is computed once, and from shortly before the end of the window on."""
    faults = Faults()
    assert FREE == ways(examine(faults, window=WINDOW))
    assert faults.computed <= MOST_ROWS + WINDOW + 3 * 70
