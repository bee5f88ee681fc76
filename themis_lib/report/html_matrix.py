"""The page of a matrix as one HTML file: a grid of scores, every cell, and the axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from themis_lib.comparison.matrix import (
    CellScore,
    MarginalMeans,
    MatrixComparison,
    Place,
    marginal_means,
)
from themis_lib.comparison.models import Difference
from themis_lib.core.experiment_spec import plain_data
from themis_lib.experiment.axes import Axis as MatrixAxis
from themis_lib.experiment.matrix import CellResult, MatrixResult
from themis_lib.report.html import REPORT_NAME
from themis_lib.report.html_charts import Axis, axis_over
from themis_lib.report.html_comparison import TONES
from themis_lib.report.html_page import render_page
from themis_lib.report.markdown import dollars
from themis_lib.runs.results import RunResult

MATRIX_NAME = "matrix.html"
#: Steps of a heat map: so many can be told apart, and the text on each can be read.
_SHADES = 8


@dataclass(frozen=True)
class HeatCell:
    """A cell in a heat map: its score and shade (0 for the lowest), or why it has none."""

    score: CellScore | None
    shade: int = 0
    missing: str = ""


@dataclass(frozen=True)
class HeatMap:
    """The scores over two axes, where every other axis has one value.

    `others` names these values; it is empty if there is no other axis.
    """

    others: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[HeatCell]]]


@dataclass(frozen=True)
class PlacePanel:
    """What the page shows of one dataset and metric."""

    place: Place
    axes: Sequence[MatrixAxis]
    maps: Sequence[HeatMap]
    low: float | None
    high: float | None
    difference_axis: Axis
    scores: Sequence[CellScore]
    means: Sequence[tuple[MarginalMeans, Axis]]


@dataclass(frozen=True)
class CellRun:
    """A cell's run: its cost, and the address of its report from this page."""

    ended: CellResult
    report: str | None = None
    cost: str = "—"
    paid: str = "—"


def matrix_html(comparison: MatrixComparison) -> str:
    """Return the page of a matrix. The same comparison gives the same page."""
    result = comparison.result
    return render_page(
        "matrix.html.jinja",
        scripts=(),
        data="",
        comparison=comparison,
        matrix=result.matrix,
        panels=[_panel(place, comparison) for place in comparison.places],
        tested=sum(score.difference is not None for score in comparison.scores),
        runs=list(map(_cell_run, result.cells)),
        total=_total_paid(list(result.runs.values())),
        plain=plain_data,
        tones=TONES,
    )


def write_matrix(comparison: MatrixComparison) -> str:
    """Write the page of a matrix beside the tables of its baseline's run.

    Where that failed, beside those of the first run. An earlier page is replaced.
    Return its address. Raises `StoreError` where the store refuses it.
    """
    result = comparison.result
    runs = result.runs
    run = runs.get(result.matrix.baseline.name) or next(iter(runs.values()))
    path = f"runs/{run.run_id}/{MATRIX_NAME}"
    page = matrix_html(comparison).encode()
    # A full disk or a denied permission becomes a `StoreError`.
    with run.store.refusals():
        run.store.replace(path, page)
    return run.store.uri(path)


def _panel(
    place: Place,
    comparison: MatrixComparison,
) -> PlacePanel:
    scores = comparison.at(place)
    axes = _varying_axes(scores, comparison.result.matrix.axes)
    known = [score.row.mean for score in scores if score.row.mean is not None]
    low = min(known, default=None)
    high = max(known, default=None)
    means = []
    for item in marginal_means(axes, scores):
        axis = axis_over(mean.mean for mean in item.means)
        means.append((item, axis))
    return PlacePanel(
        place=place,
        axes=axes,
        maps=list(_heat_maps(axes, scores, comparison, (low, high))),
        low=low,
        high=high,
        difference_axis=_difference_axis(scores),
        scores=scores,
        means=means,
    )


def _varying_axes(
    scores: Sequence[CellScore],
    axes: Sequence[MatrixAxis],
) -> list[MatrixAxis]:
    """Return the axes of which some scores have several values."""
    return [
        axis
        for axis in axes
        if len({score.cell.values[axis.label] for score in scores}) > 1
    ]


def _heat_maps(
    axes: Sequence[MatrixAxis],
    scores: Sequence[CellScore],
    comparison: MatrixComparison,
    span: tuple[float | None, float | None],
) -> Iterator[HeatMap]:
    """Yield a map of the first two axes for each combination of the others."""
    if len(axes) < 2:
        return
    down, across, *others = axes
    columns = [value.name for value in across.values]
    cell_at = _Cells(scores, comparison.result, span)
    for chosen in product(*(axis.values for axis in others)):
        rest: dict[str, str] = {}
        for axis, value in zip(others, chosen, strict=True):
            rest[axis.label] = value.name
        rows = []
        for row in down.values:
            here = {**rest, down.label: row.name}
            cells = [cell_at.find({**here, across.label: name}) for name in columns]
            rows.append((row.name, cells))
        names = ", ".join(f"{label} {name}" for label, name in rest.items())
        yield HeatMap(names, columns, rows)


class _Cells:
    """The scores in one place, found by the values of axes, on a scale of shades."""

    def __init__(
        self,
        scores: Sequence[CellScore],
        result: MatrixResult,
        span: tuple[float | None, float | None],
    ) -> None:
        # What does not vary here, such as the dataset, is the same for all.
        self._fixed = scores[0].cell.values
        self._scores = {_key(score.cell.values): score for score in scores}
        self._known = {_key(cell.values) for cell in result.matrix.cells}
        self._span = span

    def find(self, values: Mapping[str, str]) -> HeatCell:
        """Return the cell of these values, shaded by its mean."""
        key = _key({**self._fixed, **values})
        score = self._scores.get(key)
        if score is None:
            missing = "no score" if key in self._known else "excluded"
            return HeatCell(None, missing=missing)
        return _heat_cell(score, self._span)


def _heat_cell(
    score: CellScore,
    span: tuple[float | None, float | None],
) -> HeatCell:
    low, high = span
    mean = score.row.mean
    if mean is None or low is None or high is None:
        return HeatCell(score)
    # Where all are equal, the shade says nothing: the one in the middle.
    share = (mean - low) / (high - low) if high > low else 0.5
    return HeatCell(score, round(share * _SHADES))


def _key(values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(values.items()))


def _difference_axis(scores: Sequence[CellScore]) -> Axis:
    marks: list[float] = []
    for score in scores:
        item: Difference | None = score.difference
        if item is None:
            continue
        ends = (item.low, item.difference, item.high)
        marks += [value for value in ends if value is not None]
    # With zero in the middle, better and worse are always on the same sides.
    return axis_over(marks, around=0.0)


def _cell_run(ended: CellResult) -> CellRun:
    run = ended.run
    if run is None:
        return CellRun(ended)
    manifest = run.manifest
    report = None
    if run.store.exists(f"runs/{run.run_id}/{REPORT_NAME}"):
        report = f"../{run.run_id}/{REPORT_NAME}"
    return CellRun(
        ended,
        report,
        _dollars(manifest.cost, manifest.unpriced),
        _dollars(manifest.cost_paid, manifest.unpriced),
    )


def _dollars(
    amount: float | None,
    unpriced: Sequence[str],
) -> str:
    return "—" if amount is None else dollars(amount, leaves_out=unpriced)


def _total_paid(runs: Sequence[RunResult]) -> str | None:
    """Return what all runs paid; `None` where no price is known."""
    known = [run.manifest.cost_paid for run in runs]
    paid = [cost for cost in known if cost is not None]
    return dollars(sum(paid)) if paid else None
