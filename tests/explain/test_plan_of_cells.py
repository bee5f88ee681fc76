"""Plans of runs that follow each other: a row that two need is planned once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.counting import CALLS
from tests.support.matrices import MODELS, PARSERS, PROMPTS, matrix_of
from tests.test_edit_costs import K, N
from themis_lib.explain.plan import PlannedRows, StagePlan, plan_run

METRICS = {"evaluation.metrics.0.scale": [1.0, 0.5]}


def plans(folder: Path, matrix: Any) -> dict[str, list[StagePlan]]:
    found = matrix_of(folder, matrix)
    planned = PlannedRows()
    return {
        cell.name: plan_run(
            cell.experiment.compile(), cell.experiment.open_store(), planned
        )
        for cell in found.in_order
    }


@pytest.mark.parametrize(
    "matrix",
    [
        {"model": MODELS, "parser": PARSERS},
        {"model": MODELS, "prompt": PROMPTS},
        METRICS,
    ],
)
def test_planned_calls_are_those_that_are_made(matrix: Any, tmp_path: Path) -> None:
    """Together the cells generate what the plans of all say, and nothing afterwards."""
    planned = plans(tmp_path, matrix)
    CALLS.clear()

    matrix_of(tmp_path, matrix).run()

    assert CALLS["generate"] == sum(stages[0].missing for stages in planned.values())
    for stages in plans(tmp_path, matrix).values():
        assert [0, 0, 0] == [
            sum(getattr(item, name) for item in stages)
            for name in ("missing", "unknown", "shared")
        ]


def test_rows_of_an_earlier_cell_are_shared(tmp_path: Path) -> None:
    """They are neither computed nor counted again, whatever the stage."""
    first, second = plans(tmp_path, METRICS).values()

    assert [N * K, 0] == [first[0].missing, first[0].shared]
    assert [(0, 0, N * K), (0, 0, N * K), (0, N * K, 0)] == [
        (item.missing, item.unknown, item.shared) for item in second[:3]
    ]


def test_rows_of_a_stage_are_cached_or_counted_once(tmp_path: Path) -> None:
    """The four counts of a stage make up its rows."""
    for stages in plans(tmp_path, {"model": MODELS, "parser": PARSERS}).values():
        for item in stages:
            assert item.rows == item.cached + item.missing + item.unknown + item.shared
