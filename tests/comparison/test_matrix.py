"""Cells of a matrix beside their baseline: differences, one family for Holm, and the
means of each axis.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.matrices import MODELS, PROMPTS, matrix_of
from tests.test_edit_costs import case
from themis_lib import MatrixResult, compare
from themis_lib.comparison.matrix import (
    MatrixComparison,
    compare_matrix,
    marginal_means,
)
from themis_lib.stats.multiple import holm

SCALES = [1.0, 0.5, 0.25]


def ran(folder: Path, matrix: Any, **changes: Any) -> MatrixResult:
    return matrix_of(folder, matrix, **changes).run()


def conclusions(comparison: MatrixComparison) -> dict[str, str | None]:
    return {
        score.cell.name: score.difference and score.difference.conclusion
        for score in comparison.scores
    }


def test_each_cell_is_compared_with_the_baseline(tmp_path: Path) -> None:
    """A difference is that of `compare`, cell minus baseline."""
    result = ran(tmp_path, {"model": MODELS, "prompt": PROMPTS})
    alone = compare(result.runs["m1-plain"], result.runs["m3-loud"])

    scores = compare_matrix(result).scores

    by_name = {score.cell.name: score for score in scores}
    found = by_name["m3-loud"].difference
    assert [True, False] == [
        by_name[name].is_baseline for name in ("m1-plain", "m3-loud")
    ]
    assert by_name["m1-plain"].difference is None
    assert found is not None
    assert (alone.differences[0].difference, alone.differences[0].p_value) == (
        found.difference,
        found.p_value,
    )


def test_holm_is_over_all_cells(tmp_path: Path) -> None:
    """The p-values of all cells are one family."""
    comparison = compare_matrix(ran(tmp_path, {"evaluation.metrics.0.scale": SCALES}))

    found = [score.difference for score in comparison.scores if score.difference]
    assert 2 == len(found)
    assert holm([item.p_value for item in found]) == [item.p_adjusted for item in found]


def test_other_data_have_a_baseline_of_their_own(tmp_path: Path) -> None:
    """A cell is compared with the cell of the baseline's other values on its data, and
    datasets of one name are told apart by their values.
    """
    data = {
        name: {"datasets.0.cases": [case(number) for number in numbers]}
        for name, numbers in {"few": (0, 1), "more": (1, 2, 3)}.items()
    }
    result = ran(tmp_path, {"data": data, "prompt": PROMPTS})

    comparison = compare_matrix(result)

    assert {
        "few-plain": None,
        "few-loud": "same",
        "more-plain": None,
        "more-loud": "cannot tell",
    } == conclusions(comparison)
    assert ["numbers (few)", "numbers (more)"] == [
        place.data for place in comparison.places
    ]
    assert () == comparison.notes


def test_cells_without_a_baseline_are_named(tmp_path: Path) -> None:
    """One whose baseline is excluded, one whose metrics are others, and all of a
    baseline that failed, are compared with nothing.
    """
    metrics = {name: {"evaluation.metrics.0.id": name} for name in ("first", "second")}
    other = ran(tmp_path, {"metric": metrics})
    models = {
        "bad": {"generation.generator": "tests.support.failing:Hopeless"},
        "good": {"generation.generator.model": "m1"},
    }
    failed = ran(tmp_path, {"model": models})

    [note] = compare_matrix(other).notes
    assert note.startswith("second: ")
    assert "no metric in common" in note
    assert ("good: its baseline, bad, failed",) == compare_matrix(failed).notes


def test_excluded_baseline_on_other_data_is_named(tmp_path: Path) -> None:
    """Cells on data that the baseline's values are excluded on are not compared."""
    data = {
        "few": {"datasets.0.cases": [case(0), case(3)]},
        "more": {"datasets.0.cases": [case(1), case(3)]},
    }
    matrix = {
        "data": data,
        "prompt": PROMPTS,
        "exclude": [{"data": "more", "prompt": "plain"}],
    }

    comparison = compare_matrix(ran(tmp_path, matrix))

    assert ("more-loud: the baseline on its data is excluded",) == comparison.notes


def test_marginal_means_are_over_the_same_others(tmp_path: Path) -> None:
    """A combination of the other axes counts if all values have a score there: here
    that with `plain`, as m3 has no other.
    """
    matrix = {
        "evaluation.metrics.0.scale": SCALES,
        "prompt": PROMPTS,
        "exclude": [{"scale": 0.25, "prompt": "loud"}],
    }
    result = ran(tmp_path, matrix)
    scores = compare_matrix(result).scores

    by_scale, by_prompt = marginal_means(result.matrix.axes, scores)

    assert (1, 2) == (by_scale.combinations, by_prompt.combinations)
    assert ["1.0", "0.5", "0.25"] == [item.value for item in by_scale.means]
    # Five of the six plain cases are right, and of the loud ones four.
    assert [5 / 6, 5 / 12, 5 / 24] == pytest.approx(
        [item.mean for item in by_scale.means]
    )
    assert [0.75 * 5 / 6, 0.75 * 4 / 6] == pytest.approx(
        [item.mean for item in by_prompt.means]
    )


def test_axis_of_one_value_has_no_means(tmp_path: Path) -> None:
    """There is nothing to set beside it."""
    result = ran(tmp_path, {"generation.generator.model": ["m1"], "prompt": PROMPTS})

    found = marginal_means(result.matrix.axes, compare_matrix(result).scores)

    assert ["prompt"] == [item.axis.label for item in found]
