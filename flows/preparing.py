"""Prepares a run: everything about it loaded, compiled and checked, once, in one place.

The command and the flow both start here, so that both refuse the same things with the
same words before anything is generated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from flows.parameters import EvaluateParameters
from themis_lib import (
    ConfigError,
    Experiment,
    InputError,
    Matrix,
    RunResult,
    RunStore,
)
from themis_lib.comparison.gate_baselines import ReadyGate, ready_gates
from themis_lib.comparison.sequential_questions import Question, StopRule
from themis_lib.experiment.matrix import in_cell
from themis_lib.runs.manifest import GateRecord
from themis_lib.runs.pipeline import Pipeline

# What judges gates and decides when to stop is imported where it is used: most runs have
# neither, and one that finds its rows in the store is short.


@dataclass(frozen=True)
class PreparedRun:
    """An experiment that can run: its stages, its store, its gates, and when it stops.

    With a `rule` it stops when its `questions` are decided.
    """

    experiment: Experiment
    pipeline: Pipeline
    store: RunStore
    gates: list[ReadyGate]
    rule: StopRule | None = None
    questions: Sequence[Question] = ()

    def gates_not_judged(self) -> list[GateRecord]:
        """Return the records of the gates for a run that is still under way."""
        if not self.gates:
            return []
        from themis_lib.comparison.gate_outcomes import not_judged

        return not_judged(self.gates)

    def judged(self, result: RunResult) -> RunResult:
        """Return a run with its gates judged, the outcomes written to its record."""
        if not self.gates:
            return result
        from themis_lib.comparison.gate_outcomes import judged

        return judged(result, self.gates)


def prepare_run(
    parameters: EvaluateParameters,
    *,
    tell_name: Callable[[str], None] | None = None,
) -> PreparedRun:
    """Load, compile and check what is asked for. Raise `InputError` for what is wrong.

    `tell_name` is called with the experiment's name as soon as it is known: what is
    wrong afterwards can then be reported under it.
    """
    handed = _handed_over(parameters)
    if isinstance(handed, PreparedRun):
        if tell_name is not None:
            tell_name(handed.experiment.name)
        return handed
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
    """A matrix whose cells can run, each by its name.

    If they go in step, `groups` has the questions of each cell, a baseline first, and
    all cells pay from one budget.
    """

    matrix: Matrix
    cells: dict[str, PreparedRun]
    groups: Sequence[Mapping[str, Sequence[Question]]] = ()

    @property
    def store(self) -> RunStore:
        """Where all cells keep their rows and runs."""
        return self.cells[self.matrix.baseline.name].store


def prepare_matrix(parameters: EvaluateParameters) -> PreparedMatrix:
    """Load, compile and check every cell of a matrix.

    Raise `InputError` for the first thing that is wrong, with the cell's name.
    """
    handed = _handed_over(parameters)
    if isinstance(handed, PreparedMatrix):
        return handed
    matrix = parameters.load_matrix()
    cells = {}
    for cell in matrix.cells:
        try:
            cells[cell.name] = _prepared(
                cell.experiment,
                parameters,
                is_cell_in_step=parameters.goes_in_step,
            )
        except InputError as error:
            raise in_cell(cell, error) from None
    prepared = PreparedMatrix(matrix, cells)
    if prepared.store.in_memory:
        raise ConfigError(
            f"storage.store={matrix.baseline.experiment.storage.store!r} ends with a "
            "run, and the cells of a matrix share their rows; give a folder or a URL"
        )
    rule = parameters.stop_rule
    if rule is not None and parameters.goes_in_step:
        return _in_step(prepared, rule)
    return prepared


#: What a command has prepared for the flow that it runs, and what it was asked for.
_HANDED_OVER: ContextVar[tuple[dict[str, Any], PreparedRun | PreparedMatrix] | None] = (
    ContextVar("handed_over", default=None)
)


@contextmanager
def handing_over(
    parameters: dict[str, Any],
    prepared: PreparedRun | PreparedMatrix,
) -> Iterator[None]:
    """Have a flow that is run with these parameters in the block take what is prepared.

    Reading the experiment and the first cases a second time would only take time.
    """
    token = _HANDED_OVER.set((parameters, prepared))
    try:
        yield
    finally:
        _HANDED_OVER.reset(token)


def _handed_over(parameters: EvaluateParameters) -> PreparedRun | PreparedMatrix | None:
    handed = _HANDED_OVER.get()
    # The cells of a matrix are flow runs with other parameters in the same block.
    if handed is None or handed[0] != parameters.model_dump():
        return None
    return handed[1]


def _in_step(
    prepared: PreparedMatrix,
    rule: StopRule,
) -> PreparedMatrix:
    """Return the cells with one budget, and what has to be decided about each."""
    from themis_lib.comparison.stop_when_decided import (
        matrix_pipelines,
        matrix_questions,
    )

    pipelines = matrix_pipelines(prepared.matrix)
    groups = matrix_questions(prepared.matrix, pipelines, rule)
    cells = {}
    for name, cell in prepared.cells.items():
        cells[name] = replace(cell, pipeline=pipelines[name])
    return replace(prepared, cells=cells, groups=groups)


def _prepared(
    experiment: Experiment,
    parameters: EvaluateParameters,
    *,
    is_cell_in_step: bool = False,
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
    rule = parameters.stop_rule
    questions: list[Question] = []
    if rule is not None and not is_cell_in_step:
        from themis_lib.comparison.stop_when_decided import questions_of

        questions = questions_of(
            pipeline,
            store,
            rule,
            against=parameters.against,
            gates=gates,
        )
    return PreparedRun(
        experiment,
        pipeline,
        store,
        gates,
        rule,
        questions,
    )
