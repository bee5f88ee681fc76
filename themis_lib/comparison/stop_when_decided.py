"""Running an experiment, or the cells of a matrix, until they are decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from themis_lib.comparison.gate_baselines import LAST_GOOD, ReadyGate, ready_gates
from themis_lib.comparison.gate_outcomes import judged, not_judged
from themis_lib.comparison.sequential_questions import (
    Question,
    StopRule,
    check_pipeline,
    differences_from,
    questions_against,
    questions_of_gates,
)
from themis_lib.comparison.until_decided import Decider, Side
from themis_lib.errors import BudgetError, ConfigError, ThemisError, describe
from themis_lib.experiment.experiment import (
    Experiment,
    run_here,
    stage_runner,
    window_of,
)
from themis_lib.experiment.matrix import Cell, CellResult, Matrix, MatrixResult
from themis_lib.experiment.notebook import progress_shown, run_to_end
from themis_lib.runs.compile import compile_experiment
from themis_lib.runs.pipeline import Pipeline
from themis_lib.runs.results import RunResult
from themis_lib.runs.run import Run
from themis_lib.stages.budget import Budget
from themis_lib.storage.store import RunStore


def run_until_decided(
    experiment: Experiment,
    against: RunResult | str | None = None,
    *,
    gates: Sequence[str] = (),
    delta: float | None = None,
    alpha: float = 0.05,
    order_seed: int = 0,
) -> RunResult:
    """Run an experiment in this process until it is decided, and return the result.

    It is compared with a finished run, named as in `find_run` or `last good`, or judged
    by gates. Cases come in a seeded random order; after each look an anytime-valid test
    says whether to go on. `delta` is the difference below which the two count as the
    same. How it was decided is in `result.manifest.sequential`.

    Raise `InputError`, before anything is generated, for what cannot be decided: cases
    in clusters, and metrics that declare no range of scores.
    """
    pipeline = experiment.compile()
    pipeline.check_data()
    store = experiment.open_store()
    ready = ready_gates(gates, pipeline=pipeline, store=store)
    name = against.run_id if isinstance(against, RunResult) else against
    rule = StopRule(alpha, delta, order_seed)
    questions = questions_of(pipeline, store, rule, against=name, gates=ready)

    async def run_async() -> RunResult:
        run = Run(pipeline, store, gates=not_judged(ready))
        # The first run with a gate on the last good one has nothing to decide.
        if not questions:
            return judged(await run_here(run), ready)
        with run:
            async with progress_shown(run.progress):
                side = Side("run", run, stage_runner(run), window_of(run))
                decider = Decider([side], {"run": questions}, rule)
                await decider.run()
            result = run.finish(decider.record("run", {}))
        return judged(result, ready)

    return run_to_end(run_async, instead="asyncio.to_thread(run_until_decided, …)")


def questions_of(
    pipeline: Pipeline,
    store: RunStore,
    rule: StopRule,
    *,
    against: str | None,
    gates: Sequence[ReadyGate],
) -> list[Question]:
    """Return what one run has to decide: its gates, or its difference from a run.

    Raise `InputError` for neither, for both, and for what cannot be decided.
    """
    if (against is None) == (not gates):
        raise ConfigError(
            "--until-decided needs one thing to decide: `--against RUN` (or "
            f"`--against '{LAST_GOOD}'`), or gates such as `--gate 'METRIC >= 0.8'`; "
            + ("here are both" if gates else "here is neither")
        )
    if against is not None:
        return questions_against(against, pipeline, store, rule)
    return questions_of_gates(gates, pipeline, rule)


def run_matrix_until_decided(
    matrix: Matrix,
    *,
    delta: float | None = None,
    alpha: float = 0.05,
    order_seed: int = 0,
) -> MatrixResult:
    """Run the cells of a matrix in step until each is decided against the baseline.

    The cells take turns on the same cases, look by look. A cell that is decided goes no
    further; the baseline goes on as long as one is open. The level is shared among all
    comparisons. `max_cost` is for all cells together. Raise as `run_until_decided` does.
    """
    rule = StopRule(alpha, delta, order_seed)
    pipelines = matrix_pipelines(matrix)
    groups = matrix_questions(matrix, pipelines, rule)
    store = matrix.baseline.experiment.open_store()

    async def run_async() -> MatrixResult:
        ended: dict[str, CellResult] = {}
        for questions in groups:
            runs = {name: Run(pipelines[name], store) for name in questions}
            with ExitStack() as stack:
                sides = []
                for name, run in runs.items():
                    stack.enter_context(run)
                    sides.append(Side(name, run, stage_runner(run), window_of(run)))
                decider = Decider(sides, questions, rule)
                await decider.run()
                for cell in matrix.cells:
                    if cell.name in questions:
                        ended[cell.name] = finished_cell(decider, cell)
        return matrix.result(ended)

    return run_to_end(
        run_async,
        instead="asyncio.to_thread(run_matrix_until_decided, …)",
    )


def matrix_pipelines(matrix: Matrix) -> dict[str, Pipeline]:
    """Return the stages of each cell, baseline first, all paid from one budget.

    Raise `InputError` for what is wrong with a cell.
    """
    matrix.compile()
    budget = Budget(matrix.baseline.experiment.cost.max_cost)
    return {
        cell.name: compile_experiment(cell.experiment, budget=budget)
        for cell in matrix.in_order
    }


def matrix_questions(
    matrix: Matrix,
    pipelines: Mapping[str, Pipeline],
    rule: StopRule,
) -> list[dict[str, list[Question]]]:
    """Return the questions of each cell, in groups that go in step: a baseline first.

    Raise `ConfigError` for a cell that is compared with nothing.
    """
    rule.check()
    compared: list[tuple[Cell, Cell]] = []
    groups: dict[str, dict[str, list[Question]]] = {}
    for cell in matrix.in_order:
        check_pipeline(pipelines[cell.name])
        baseline = matrix.baseline_of(cell)
        if baseline is not None:
            compared.append((cell, baseline))
    with_others = {cell.name for pair in compared for cell in pair}
    alone = [cell.name for cell in matrix.cells if cell.name not in with_others]
    if alone:
        raise ConfigError(
            f"--until-decided: cell {alone[0]!r} is compared with no other, so that "
            "nothing decides when it stops; run the matrix in full"
        )
    for cell, baseline in compared:
        pipeline = pipelines[cell.name]
        shared = [stage.metric_id for stage in pipelines[baseline.name].scores]
        group = groups.setdefault(baseline.name, {baseline.name: []})
        group[cell.name] = differences_from(
            pipeline,
            shared,
            rule,
            comparisons=len(compared),
            baseline_cell=baseline.name,
        )
        if not group[cell.name]:
            raise ConfigError(
                f"--until-decided: cells {baseline.name!r} and {cell.name!r} have no "
                "metric in common"
            )
    return list(groups.values())


def finished_cell(
    decider: Decider,
    cell: Cell,
) -> CellResult:
    """Finish the run of a cell that was driven in step, and return how it ended."""
    side = decider.sides[cell.name]
    run_ids = {name: each.run.run_id for name, each in decider.sides.items()}
    record = decider.record(cell.name, run_ids)
    # Out of money, what the looks so far show is a result.
    if side.error is not None and not isinstance(side.error, BudgetError):
        side.run.abandon(side.error)
        return CellResult(cell, error=describe(side.error))
    if not any(record.used.values()):
        # Its baseline failed before its turn came.
        error = ThemisError("the cell that it is compared with failed")
        side.run.abandon(error)
        return CellResult(cell, error=describe(error))
    try:
        return CellResult(cell, side.run.finish(record))
    except ThemisError as error:
        side.run.abandon(error)
        return CellResult(cell, error=describe(error))
