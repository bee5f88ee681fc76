"""Prepares a run: everything about it loaded, compiled and checked, once, in one place.

The command and the flow both start here, so that both refuse the same things with the
same words before anything is generated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from flows.parameters import EvaluateParameters
from themis_lib import ConfigError, Experiment, InputError, Matrix, RunStore
from themis_lib.comparison.gate_baselines import ReadyGate, ready_gates
from themis_lib.experiment.matrix import in_cell
from themis_lib.runs.pipeline import Pipeline


@dataclass(frozen=True)
class PreparedRun:
    """An experiment that can run: its stages, its store and its gates."""

    experiment: Experiment
    pipeline: Pipeline
    store: RunStore
    gates: list[ReadyGate]


def prepare_run(
    parameters: EvaluateParameters,
    *,
    tell_name: Callable[[str], None] | None = None,
) -> PreparedRun:
    """Load, compile and check what is asked for. Raise `InputError` for what is wrong.

    `tell_name` is called with the experiment's name as soon as it is known: what is
    wrong afterwards can then be reported under it.
    """
    experiment = parameters.load()
    if tell_name is not None:
        tell_name(experiment.name)
    return _prepared(experiment, parameters)


def without_waiting(
    prepared: PreparedRun,
    parameters: EvaluateParameters,
) -> PreparedRun:
    """Return a run that ends while batches are open, and does not wait for them."""
    runtime = prepared.experiment.runtime
    if runtime.batch is None or not runtime.batch.wait:
        return prepared
    batch = runtime.batch.model_copy(update={"wait": False})
    changed = runtime.model_copy(update={"batch": batch})
    experiment = prepared.experiment.model_copy(update={"runtime": changed})
    pipeline = experiment.compile(until_stage=parameters.until_stage)
    return replace(prepared, experiment=experiment, pipeline=pipeline)


@dataclass(frozen=True)
class PreparedMatrix:
    """A matrix whose cells can run, each by its name."""

    matrix: Matrix
    cells: dict[str, PreparedRun]

    @property
    def store(self) -> RunStore:
        """Where all cells keep their rows and runs."""
        return self.cells[self.matrix.baseline.name].store


def prepare_matrix(parameters: EvaluateParameters) -> PreparedMatrix:
    """Load, compile and check every cell of a matrix.

    Raise `InputError` for the first thing that is wrong, with the cell's name.
    """
    matrix = parameters.load_matrix()
    cells = {}
    for cell in matrix.cells:
        try:
            cells[cell.name] = _prepared(cell.experiment, parameters)
        except InputError as error:
            raise in_cell(cell, error) from None
    prepared = PreparedMatrix(matrix, cells)
    if prepared.store.in_memory:
        raise ConfigError(
            f"storage.store={matrix.baseline.experiment.storage.store!r} ends with a "
            "run, and the cells of a matrix share their rows; give a folder or a URL"
        )
    return prepared


def _prepared(
    experiment: Experiment,
    parameters: EvaluateParameters,
) -> PreparedRun:
    pipeline = experiment.compile(until_stage=parameters.until_stage)
    if parameters.runner != "threads":
        experiment.check_portable()
    pipeline.check_data()
    store = experiment.open_store()
    gates = ready_gates(
        parameters.gates,
        pipeline=pipeline,
        store=store,
        by=parameters.gate_by,
    )
    return PreparedRun(
        experiment,
        pipeline,
        store,
        gates,
    )
