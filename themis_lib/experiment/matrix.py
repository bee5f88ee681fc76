"""A matrix: one experiment for each combination of settings, run on one store."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from themis_lib.errors import ConfigError, InputError, ThemisError, describe, nearest
from themis_lib.experiment.axes import Axes, Axis
from themis_lib.experiment.beside import resolve_beside
from themis_lib.experiment.data_file import check_shape
from themis_lib.experiment.experiment import Experiment, run_here
from themis_lib.experiment.model_shorthand import (
    SHORTHANDS,
    check_model_named,
    drop_named,
)
from themis_lib.experiment.notebook import run_to_end
from themis_lib.experiment.read_axes import read_axes
from themis_lib.experiment.spec import (
    apply_override,
    apply_overrides,
    experiment_file,
    experiment_from_spec,
    read_spec,
    refuse_repeated_keys,
    set_setting,
)
from themis_lib.runs.pipeline import Pipeline
from themis_lib.runs.results import RunResult
from themis_lib.runs.run import Run
from themis_lib.storage.store import RunStore

SECTION = "matrix"
# A budget is above 0: with this one, rows of the store are read and nothing is paid.
_NOTHING_LEFT = 1e-9


@dataclass(frozen=True)
class Cell:
    """One combination: its value on each axis, by label, and the experiment that it is.

    The experiment is named `<name of the matrix>-<name of the cell>`.
    """

    name: str
    values: Mapping[str, str]
    experiment: Experiment


@dataclass(frozen=True)
class CellResult:
    """How a cell ended: its run, or why it has none."""

    cell: Cell
    run: RunResult | None = None
    error: str | None = None


@dataclass(frozen=True)
class MatrixResult:
    """The cells of a matrix and how each ended, in the order of the matrix."""

    matrix: Matrix
    cells: tuple[CellResult, ...]

    @property
    def runs(self) -> dict[str, RunResult]:
        """The runs that ended, by the name of their cell."""
        return {item.cell.name: item.run for item in self.cells if item.run}

    def __repr__(self) -> str:
        counts = f"{len(self.runs)} of {len(self.cells)} cells"
        return f"MatrixResult: {self.matrix.name}, {counts}"


@dataclass(frozen=True)
class Matrix:
    """Experiments that differ in the settings of some axes, and share a store.

    `baseline` is the cell that the others are compared with.
    """

    name: str
    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]
    baseline: Cell

    @classmethod
    def from_config(
        cls,
        path: str | Path,
        *,
        overrides: Iterable[str] = (),
        limit: int | None = None,
        data: str | None = None,
    ) -> Matrix:
        """Return the matrix in a YAML file, with `key.path=value` overrides.

        In place of a file, `path` may name a task of the catalogue (`gsm8k`); its axes
        are overrides then, such as `matrix.model=[tiny, small]`. Other overrides hold for
        all cells, and so does `data`, a file to evaluate in place of the experiment's
        own. Raise `ConfigError` that names the file, the place in `matrix:` and the
        nearest valid choice; `DatasetError` as `Experiment.from_config` does.
        """
        where = str(path)
        overrides = list(overrides)
        # What changes the matrix itself comes before it, all else after it.
        of_matrix = [text for text in overrides if _is_of_matrix(text)]
        rest = [text for text in overrides if text not in of_matrix]
        spec, axes = _read_matrix(path, of_matrix)
        _refuse_lost_overrides(rest, axes)
        _refuse_lost_data(data, axes)
        cells: list[Cell] = []
        for values in axes.cells:
            name = axes.cell_name(values)
            place = f"{where}: matrix, cell {name!r}"
            settings = dict(axes.settings(values))
            cell_spec = _cell_spec(spec, settings, rest, data=data, where=place)
            cell_spec["name"] = f"{cell_spec['name']}-{name}"
            resolve_beside(cell_spec, Path(path).parent, data=data)
            experiment = experiment_from_spec(Experiment, cell_spec, where=place)
            if data is not None:
                check_shape(experiment, name=spec["name"])
            if limit is not None:
                experiment = experiment.limited(limit)
            cells.append(Cell(name, values, experiment))
        baseline = next(cell for cell in cells if cell.values == axes.baseline)
        return cls(spec["name"], axes.axes, tuple(cells), baseline)

    def changed(self, change: Callable[[Experiment], Experiment]) -> Matrix:
        """Return the matrix with each cell's experiment replaced by a function of it."""
        cells = {
            cell.name: replace(cell, experiment=change(cell.experiment))
            for cell in self.cells
        }
        baseline = cells[self.baseline.name]
        return replace(self, cells=tuple(cells.values()), baseline=baseline)

    def cell(self, name: str) -> Cell:
        """Return the cell of this name. Raise `ConfigError` with the nearest one."""
        by_name = {cell.name: cell for cell in self.cells}
        if name not in by_name:
            raise ConfigError(
                f"matrix {self.name!r} has no cell {name!r}; {nearest(name, by_name)}"
            )
        return by_name[name]

    @property
    def in_order(self) -> list[Cell]:
        """The cells as they are run: the baseline first."""
        others = [cell for cell in self.cells if cell is not self.baseline]
        return [self.baseline, *others]

    def baseline_of(self, cell: Cell) -> Cell | None:
        """Return the cell that a cell is compared with: the baseline on the same data.

        `None` for a baseline, and where that cell is excluded.
        """
        wanted = dict(self.baseline.values)
        for axis in self.axes:
            if axis.changes_data:
                wanted[axis.label] = cell.values[axis.label]
        for other in self.cells:
            if other.values == wanted and other is not cell:
                return other
        return None

    def compile(self, *, until_stage: str = "reduce") -> dict[str, Pipeline]:
        """Return the stages of each cell, by its name; every component is checked.

        Raise `InputError` for the first cell that is wrong.
        """
        pipelines = {}
        for cell in self.cells:
            try:
                pipelines[cell.name] = cell.experiment.compile(until_stage=until_stage)
                pipelines[cell.name].check_data()
            except InputError as error:
                raise in_cell(cell, error) from None
        return pipelines

    def run(
        self,
        store: RunStore | None = None,
        *,
        until_stage: str = "reduce",
    ) -> MatrixResult:
        """Run every cell in this process, one after another, and return the results.

        A row that cells have in common is computed once; a cell that fails does not
        stop the others. `max_cost` is for all cells together. Raise `InputError` before
        anything is generated.
        """
        return run_to_end(
            partial(self.run_async, store, until_stage=until_stage),
            instead="await matrix.run_async()",
        )

    async def run_async(
        self,
        store: RunStore | None = None,
        *,
        until_stage: str = "reduce",
    ) -> MatrixResult:
        """Run as `run` does, for callers that have an event loop."""
        self.compile(until_stage=until_stage)
        # One store, also in memory: cells find each other's rows in it.
        store = store or self.baseline.experiment.open_store()
        ended: dict[str, CellResult] = {}
        spent = 0.0
        for cell in self.in_order:
            experiment = within_budget(cell.experiment, spent)
            run = Run(experiment.compile(until_stage=until_stage), store)
            try:
                ended[cell.name] = CellResult(cell, await run_here(run))
            except ThemisError as error:
                ended[cell.name] = CellResult(cell, error=describe(error))
            spent += paid_by(run)
        return self.result(ended)

    def result(self, ended: Mapping[str, CellResult]) -> MatrixResult:
        """Return how all cells ended, from how each did, by name."""
        return MatrixResult(self, tuple(ended[cell.name] for cell in self.cells))


def in_cell(
    cell: Cell,
    error: InputError,
) -> InputError:
    """Return an error of a cell's experiment, with the name of the cell before it."""
    return type(error)(f"matrix, cell {cell.name!r}: {error}")


def within_budget(
    experiment: Experiment,
    spent: float,
) -> Experiment:
    """Return an experiment with what is left of its budget after other cells."""
    budget = remaining(experiment.cost.max_cost, spent)
    cost = experiment.cost.model_copy(update={"max_cost": budget})
    return experiment.model_copy(update={"cost": cost})


def remaining(
    budget: float | None,
    spent: float,
) -> float | None:
    """Return what is left of a budget; `None` without one."""
    return None if budget is None else max(budget - spent, _NOTHING_LEFT)


def paid_by(run: Run) -> float:
    """Return the dollars that a run paid, also one that was stopped."""
    # What cannot begin has no record, and has paid nothing.
    if not run.begun:
        return 0.0
    return RunResult(run.store, run.run_id).manifest.cost_paid or 0.0


def has_matrix(
    path: str | Path,
    overrides: Iterable[str] = (),
) -> bool:
    """Return whether an experiment's file, or an override, makes a matrix.

    Raise `ConfigError` for a file that cannot be read.
    """
    return any(map(_is_of_matrix, overrides)) or SECTION in read_spec(path)


def _read_matrix(
    path: str | Path,
    overrides: Iterable[str],
) -> tuple[dict[str, Any], Axes]:
    """Return an experiment's spec without its matrix, and the axes of that.

    The overrides are those of the matrix. An experiment without a name is called as its
    file.
    """
    spec = read_spec(path)
    spec["name"] = str(spec.get("name") or Path(path).stem)
    for override in overrides:
        apply_override(spec, override)
    if SECTION not in spec:
        raise ConfigError(f"{path}: there is no `{SECTION}:` in it")
    refuse_repeated_keys(experiment_file(path), SECTION)
    return spec, read_axes(spec.pop(SECTION), where=str(path))


def _cell_spec(
    spec: Mapping[str, Any],
    settings: Mapping[str, Any],
    overrides: Sequence[str],
    *,
    data: str | None,
    where: str,
) -> dict[str, Any]:
    """Return the experiment of a cell: its settings, then the overrides of all cells.

    The model that a cell or an override names comes before other settings, which are for
    that model.
    """
    cell_spec = copy.deepcopy(dict(spec))
    for setting, value in settings.items():
        if setting in SHORTHANDS:
            drop_named(cell_spec, setting)
            cell_spec[setting] = copy.deepcopy(value)
    named = [text for text in overrides if _path_of(text) in SHORTHANDS]
    apply_overrides(cell_spec, named, data=data, where=where)
    for setting, value in settings.items():
        if setting not in SHORTHANDS:
            set_setting(cell_spec, setting, copy.deepcopy(value), where=where)
    others = [text for text in overrides if text not in named]
    apply_overrides(cell_spec, others, where=where)
    check_model_named(cell_spec, where=where)
    return cell_spec


def _path_of(override: str) -> str:
    return override.partition("=")[0].strip()


def _is_of_matrix(override: str) -> bool:
    return _path_of(override).partition(".")[0] == SECTION


def _refuse_lost_overrides(
    overrides: Sequence[str],
    axes: Axes,
) -> None:
    """Refuse an override of a setting that cells set: they would all be the same."""
    for override in overrides:
        path = _path_of(override)
        setting = SHORTHANDS.get(path, path)
        for changed in axes.paths:
            target = SHORTHANDS.get(changed, changed)
            # A model that is named comes before the settings of cells.
            is_within = target.startswith(f"{setting}.") and path not in SHORTHANDS
            if target == setting or is_within:
                raise ConfigError(
                    f"override {override!r}: the matrix sets {changed!r} itself; "
                    "change it there, or leave it out of the matrix"
                )


def _refuse_lost_data(
    data: str | None,
    axes: Axes,
) -> None:
    """Refuse a file in place of the data that cells set: it would not be read."""
    if data is None:
        return
    for changed in ("datasets", "datasets.0", "datasets.0.path"):
        if changed in axes.paths:
            raise ConfigError(
                f"data {data!r}: the matrix sets {changed!r} itself; change it there, or "
                "leave it out of the matrix"
            )
