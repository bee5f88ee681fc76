"""The cells of a matrix side by side: their scores, and each against its baseline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from themis_lib.comparison.compare import concluded_differences
from themis_lib.comparison.models import Difference
from themis_lib.comparison.run_pair import RunPair
from themis_lib.comparison.sequential_differences import stopped_notes
from themis_lib.errors import InputError
from themis_lib.experiment.axes import Axis
from themis_lib.experiment.matrix import Cell, MatrixResult
from themis_lib.runs.results import RunResult, SummaryRow
from themis_lib.runs.sequential import CONFIDENCE_SEQUENCE
from themis_lib.runs.summary import ALL_CASES

_IN_STEP = (
    "cells stopped when decided: their differences have confidence sequences in place of "
    "intervals, and the conclusions of the tests that stopped them, which share the level "
    "among all comparisons"
)


class Place(NamedTuple):
    """What cells are scored on: one dataset and one metric.

    `data` names the dataset, and the values of axes that change what is in it.
    """

    data: str
    metric_id: str


@dataclass(frozen=True)
class CellScore:
    """The score of a cell in one place, and its difference from the baseline.

    The difference is `None` for a baseline, and where nothing can be compared.
    """

    cell: Cell
    place: Place
    row: SummaryRow
    difference: Difference | None
    is_baseline: bool


@dataclass(frozen=True)
class MatrixComparison:
    """The scores of all cells that ended, in the order of the matrix.

    `notes` say which cells are compared with nothing, and why; `stopped_notes` what is
    to be known of cells that stopped when they were decided.
    """

    result: MatrixResult
    scores: tuple[CellScore, ...]
    notes: tuple[str, ...] = ()
    stopped_notes: tuple[str, ...] = ()

    @property
    def places(self) -> list[Place]:
        """The datasets and metrics, each once, in order."""
        return list(dict.fromkeys(score.place for score in self.scores))

    def at(self, place: Place) -> list[CellScore]:
        """Return the scores in one place."""
        return [score for score in self.scores if score.place == place]


class AxisMean(NamedTuple):
    """The mean score of one value of an axis, over the cells that it is in."""

    value: str
    mean: float


@dataclass(frozen=True)
class MarginalMeans:
    """The mean of each value of an axis over the same values of all other axes.

    `combinations` of the other axes have a score for every value of this one.
    """

    axis: Axis
    means: tuple[AxisMean, ...]
    combinations: int


def compare_matrix(
    result: MatrixResult,
    *,
    delta: float | None = None,
) -> MatrixComparison:
    """Compare each cell with the baseline, or the cell that is the baseline on its data.

    Differences are paired by case; Holm's p is over all cells, datasets and metrics.
    `delta` is as in `compare`.
    """
    pairs, notes = _pairs_of(result)
    found = {}
    differences = concluded_differences(pairs, delta=delta)
    for item in differences:
        found[item.run_id, item.dataset_id, item.metric_id] = item
    scores: list[CellScore] = []
    shared = _shared_names(result)
    for cell in result.matrix.cells:
        run = result.runs.get(cell.name)
        if run is None:
            continue
        for row in run.summary:
            if row.slice != ALL_CASES:
                continue
            data = row.dataset_id
            if data in shared:
                data += f" ({_data_name(cell, result)})"
            score = CellScore(
                cell,
                Place(data, row.metric_id),
                row,
                found.get((run.run_id, row.dataset_id, row.metric_id)),
                is_baseline=_is_baseline(cell, result),
            )
            scores.append(score)
    stopped = stopped_notes(pairs, differences)
    if any(item.interval_method == CONFIDENCE_SEQUENCE for item in differences):
        stopped.insert(0, _IN_STEP)
    return MatrixComparison(result, tuple(scores), tuple(notes), tuple(stopped))


def _pairs_of(result: MatrixResult) -> tuple[list[RunPair], list[str]]:
    """Return each cell beside its baseline, and why others are compared with nothing."""
    runs = result.runs
    pairs: list[RunPair] = []
    notes: list[str] = []
    for cell in result.matrix.cells:
        if cell.name not in runs or _is_baseline(cell, result):
            continue
        baseline = result.matrix.baseline_of(cell)
        if baseline is None:
            notes.append(f"{cell.name}: the baseline on its data is excluded")
        elif baseline.name not in runs:
            notes.append(f"{cell.name}: its baseline, {baseline.name}, failed")
        else:
            try:
                pairs.append(_pair(runs[baseline.name], runs[cell.name]))
            except InputError as error:
                notes.append(f"{cell.name}: {error}")
    return pairs, notes


def marginal_means(
    axes: Sequence[Axis],
    scores: Sequence[CellScore],
) -> list[MarginalMeans]:
    """Return the means of the values of each axis, of scores in one place.

    A combination of the other axes counts if every value has a score there: what is
    missing would else make a difference. Axes with one value there are left out.
    """
    found = []
    for axis in axes:
        means = _means_of(axis, scores)
        if means is not None:
            found.append(means)
    return found


def _means_of(
    axis: Axis,
    scores: Sequence[CellScore],
) -> MarginalMeans | None:
    by_others: defaultdict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    present: dict[str, None] = {}
    for score in scores:
        value = score.cell.values[axis.label]
        present[value] = None
        others = [
            name for label, name in score.cell.values.items() if label != axis.label
        ]
        if score.row.mean is not None:
            by_others[tuple(others)][value] = score.row.mean
    whole = [means for means in by_others.values() if len(means) == len(present)]
    if len(present) < 2 or not whole:
        return None
    means = []
    for value in present:
        total = sum(of_values[value] for of_values in whole)
        means.append(AxisMean(value, total / len(whole)))
    return MarginalMeans(axis, tuple(means), len(whole))


def _pair(
    baseline: RunResult,
    candidate: RunResult,
) -> RunPair:
    return RunPair(
        baseline,
        candidate,
        cluster_by=candidate.manifest.statistics.cluster_by,
        slices=(),
    )


def _is_baseline(
    cell: Cell,
    result: MatrixResult,
) -> bool:
    """Return whether a cell has the baseline's value on every axis but the data's."""
    baseline = result.matrix.baseline
    return all(
        axis.changes_data or cell.values[axis.label] == baseline.values[axis.label]
        for axis in result.matrix.axes
    )


def _shared_names(result: MatrixResult) -> set[str]:
    """Return the names of datasets that are other data in other cells."""
    data_of: defaultdict[str, set[str]] = defaultdict(set)
    for cell in result.matrix.cells:
        for dataset in cell.experiment.datasets:
            data_of[dataset.dataset_id].add(_data_name(cell, result))
    return {name for name, data in data_of.items() if len(data) > 1}


def _data_name(
    cell: Cell,
    result: MatrixResult,
) -> str:
    return ", ".join(_data_values(cell, result))


def _data_values(
    cell: Cell,
    result: MatrixResult,
) -> Iterator[str]:
    for axis in result.matrix.axes:
        if axis.changes_data:
            yield axis.value(cell.values[axis.label]).in_cell
