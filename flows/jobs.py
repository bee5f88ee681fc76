"""What `python -m flows.run` is asked for: one run, or all cells of a matrix.

Both can show their prompts, be planned and run, and print how they ended.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from flows import exit_codes
from flows.opening import write_text
from flows.parameters import EvaluateParameters
from flows.preparing import (
    PreparedMatrix,
    PreparedRun,
    handing_over,
    prepare_matrix,
    prepare_run,
)
from flows.terminal import assemble
from themis_lib import RunResult, RunStore
from themis_lib.report.junit import junit_xml
from themis_lib.runs.run import Run

# Modules of Prefect and of displays are imported where they are used: bad input is
# refused without waiting for them.
if TYPE_CHECKING:
    from flows.display import Follower


@dataclass(frozen=True)
class Ending:
    """What is printed below a result: where it is, and what to type next."""

    seconds: float
    page: str
    command: str
    junit: Path | None


class Job(ABC):
    """What a command was asked to run, loaded and checked."""

    store: RunStore

    @abstractmethod
    def print_prompts(
        self,
        count: int,
        console: Console,
    ) -> None:
        """Print the first prompts as they will be sent."""

    @abstractmethod
    def print_plan(self, console: Console) -> None:
        """Print what would be computed, and why."""

    @abstractmethod
    async def run(
        self,
        api_url: str,
        parameters: dict[str, Any],
        follower: Follower,
    ) -> Any:
        """Run against a server, and return how it ended, for `print_end`."""

    @abstractmethod
    def print_end(
        self,
        finished: Any,
        console: Console,
        ending: Ending,
    ) -> int:
        """Print how it ended, write its JUnit file, and return the exit code."""


def job_of(parameters: EvaluateParameters) -> Job:
    """Return what is asked for. Raise `InputError` for what is wrong with it."""
    if parameters.is_matrix:
        return MatrixJob(prepare_matrix(parameters))
    return RunJob(prepare_run(parameters))


class RunJob(Job):
    """One run of one experiment."""

    def __init__(self, prepared: PreparedRun) -> None:
        self.prepared = prepared
        self.store = prepared.store

    def print_prompts(
        self,
        count: int,
        console: Console,
    ) -> None:
        """Print the prompts of the first cases."""
        from flows.display import print_prompt
        from themis_lib.explain.first_prompts import first_prompts

        for prompt in first_prompts(self.prepared.pipeline, count):
            print_prompt(prompt, console)

    def print_plan(self, console: Console) -> None:
        """Print what each stage would compute, and why."""
        from flows.display import print_plan
        from themis_lib.explain.plan import plan_run

        plans = plan_run(self.prepared.pipeline, self.store)
        print_plan(plans, console)
        if self.prepared.questions:
            from flows.stop_plan import print_stop_plans

            print_stop_plans(
                self.prepared.questions,
                self.prepared.pipeline,
                self.store,
                plans,
                console,
            )

    async def run(
        self,
        api_url: str,
        parameters: dict[str, Any],
        follower: Follower,
    ) -> Any:
        """Run the flow, its progress shown by the follower."""
        from flows.local import run_to_end

        with handing_over(parameters, self.prepared):
            return await run_to_end(
                api_url,
                parameters,
                follow=lambda run: follower.follow(run.progress),
            )

    def print_end(
        self,
        finished: Any,
        console: Console,
        ending: Ending,
    ) -> int:
        """Print the run's scores, stages, errors, gates and files."""
        from flows.display import print_result

        result = RunResult(finished.run.store, finished.run.run_id)
        print_result(
            result,
            console,
            seconds=ending.seconds,
            page=ending.page,
            command=ending.command,
        )
        _write_junit(ending.junit, [result])
        return exit_codes.run_code(result)


class MatrixJob(Job):
    """All cells of a matrix."""

    def __init__(self, prepared: PreparedMatrix) -> None:
        self.prepared = prepared
        self.store = prepared.store

    def print_prompts(
        self,
        count: int,
        console: Console,
    ) -> None:
        """Print the prompts of the first cases in each cell."""
        for name, run in self.prepared.cells.items():
            heading = assemble(("cell ", "dim"), (name, "bold cyan"))
            console.print(heading, soft_wrap=True)
            RunJob(run).print_prompts(count, console)

    def print_plan(self, console: Console) -> None:
        """Print what each cell would compute; a row that two share counts once."""
        from flows.matrix_display import print_matrix_plan
        from themis_lib.explain.plan import PlannedRows, plan_run

        planned = PlannedRows()
        plans = {}
        for cell in self.prepared.matrix.in_order:
            run = self.prepared.cells[cell.name]
            plans[cell.name] = plan_run(run.pipeline, run.store, planned)
        print_matrix_plan(plans, console)
        for group in self.prepared.groups:
            from flows.stop_plan import print_stop_plans

            # All differences of a group have one plan: none of its cells has run.
            name = next(name for name, questions in group.items() if questions)
            run = self.prepared.cells[name]
            print_stop_plans(group[name], run.pipeline, run.store, plans[name], console)

    async def run(
        self,
        api_url: str,
        parameters: dict[str, Any],
        follower: Follower,
    ) -> Any:
        """Run the flow over all cells, the progress of each shown by the follower."""
        from flows.local import run_matrix_to_end

        numbers: dict[str, int] = {}
        for number, cell in enumerate(self.prepared.matrix.in_order, start=1):
            numbers[cell.experiment.name] = number

        def follow(run: Run) -> None:
            name = run.pipeline.experiment.name
            title = f"{name}  (cell {numbers[name]} of {len(numbers)})"
            follower.follow(run.progress, title=title)

        with handing_over(parameters, self.prepared):
            return await run_matrix_to_end(
                api_url,
                parameters,
                follow=follow,
            )

    def print_end(
        self,
        finished: Any,
        console: Console,
        ending: Ending,
    ) -> int:
        """Print the scores of all cells, each against the baseline, and what failed."""
        from flows.cells import matrix_result
        from flows.matrix_display import MatrixScreen, cost_text
        from themis_lib.comparison.matrix import compare_matrix

        result = matrix_result(self.prepared.matrix, finished.cells, self.store)
        runs = list(result.runs.values())
        places = {
            "cost": cost_text(runs),
            "report": finished.page,
            "page": ending.page,
            "next": f"{ending.command} --plan    # what an edit would cost",
        }
        screen = MatrixScreen(compare_matrix(result), finished.cells, console)
        screen.show(seconds=ending.seconds, places=places)
        _write_junit(ending.junit, runs)
        return exit_codes.worst_code(end.code for end in finished.cells.values())


def _write_junit(
    file: Path | None,
    results: list[RunResult],
) -> None:
    if file is None:
        return
    by_name = {result.manifest.name: result for result in results}
    gates = {name: result.manifest.gates for name, result in by_name.items()}
    write_text(file, junit_xml(gates, by_name))
