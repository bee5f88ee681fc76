"""Run the experiments of a policy and judge its gates: pass, fail or underpowered.

    python -m flows.ci POLICY.yaml [--store URL] [--no-run] [--until-decided]
                       [--markdown FILE] [--junit FILE] [--json FILE]

A policy lists experiments with required and advisory gates (`comparison/policy.py`).
Everything in it is checked before anything runs. On GitHub the verdict is also in the
summary of the job. Exit codes: 0 passed, 2 bad input, 5 a required gate failed or its
result is missing, 6 none failed, but for one of them the data cannot tell, 130 stopped
by Ctrl-C.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.ci_display import print_judged, print_verdict
from flows.exit_codes import BAD_INPUT, INTERRUPTED, gates_code
from flows.github import commands_stopped, write_job_summary
from flows.opening import one_line_errors, write_text
from flows.parameters import EvaluateParameters
from flows.policy_runs import JudgedJob, PolicyJob, judge_job, prepare_jobs, run_job
from flows.running import print_error, run_on_prefect
from flows.terminal import open_console
from flows.typed import command, typed_arguments
from themis_lib import InputError, RunResult
from themis_lib.comparison.policy import load_policy
from themis_lib.comparison.policy_verdict import (
    PolicyGate,
    PolicyVerdict,
    policy_verdict,
)
from themis_lib.report.exports import check_file
from themis_lib.report.junit import junit_xml
from themis_lib.report.policy_markdown import policy_markdown, problem_markdown
from themis_lib.runs.manifest import GateRecord

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@dataclass(frozen=True)
class Reports:
    """The files that a verdict is written to."""

    markdown: Path | None = None
    junit: Path | None = None
    json: Path | None = None

    def check(self) -> None:
        """Refuse a file that cannot be written. Raise `ConfigError`."""
        for option, file in (
            ("--markdown", self.markdown),
            ("--junit", self.junit),
            ("--json", self.json),
        ):
            if file is not None:
                check_file(option, file)

    def write(
        self,
        verdict: PolicyVerdict,
        jobs: Sequence[JudgedJob],
    ) -> None:
        """Write the verdict to every file, and to the summary of the job."""
        results = {job.run.experiment: job.result for job in jobs if job.result}
        text = policy_markdown(verdict, results)
        if self.junit is not None:
            names = [job.run.experiment for job in jobs]
            required = _records_by_name(names, verdict.required)
            advisory = _records_by_name(names, verdict.advisory)
            write_text(self.junit, junit_xml(required, results, advisory))
        if self.json is not None:
            write_text(self.json, verdict.model_dump_json(indent=2) + "\n")
        self.write_markdown(text)

    def write_markdown(self, text: str) -> None:
        """Write Markdown to its file, and to the summary of the job."""
        if self.markdown is not None:
            write_text(self.markdown, text)
        try:
            write_job_summary(text)
        except OSError as error:
            # The verdict stands, whatever becomes of the summary.
            print_error(f"the job's summary cannot be written: {error.strerror}")


@app.command()
def ci(
    policy: Annotated[
        Path,
        typer.Argument(help="The policy's YAML file."),
    ],
    store: Annotated[
        str | None,
        typer.Option(help="A folder or fsspec URL for rows and runs."),
    ] = None,
    no_run: Annotated[
        bool,
        typer.Option("--no-run", help="Judge the latest runs; compute nothing."),
    ] = False,
    until_decided: Annotated[
        bool,
        typer.Option(
            "--until-decided",
            help="Stop each experiment once its required gates are decided.",
        ),
    ] = False,
    markdown: Annotated[
        Path | None,
        typer.Option(help="Write the verdict as Markdown, for a pull request."),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option(help="Write the gates as JUnit XML."),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(help="Write the verdict as JSON."),
    ] = None,
) -> None:
    """Run the experiments of a policy and judge its gates: pass, fail, underpowered."""
    console = open_console()
    reports = Reports(markdown, junit, json)
    with one_line_errors():
        reports.check()
    with commands_stopped():
        try:
            jobs = prepare_jobs(
                policy,
                load_policy(policy),
                store,
                until_decided=until_decided,
            )
            code = _judge_policy(policy.stem, jobs, no_run, reports, console)
        except InputError as error:
            print_error(str(error))
            # A comment that says `pass` must not outlive a policy that is broken since.
            with contextlib.suppress(InputError):
                reports.write_markdown(problem_markdown(policy.stem, str(error)))
            code = BAD_INPUT
        except KeyboardInterrupt:
            again = command("ci", *typed_arguments())
            print_error(f"stopped; every finished row is saved. Go on with: {again}")
            code = INTERRUPTED
    raise typer.Exit(code)


def _judge_policy(
    name: str,
    prepared: Sequence[PolicyJob],
    no_run: bool,
    reports: Reports,
    console: Console,
) -> int:
    def run(parameters: EvaluateParameters) -> RunResult:
        result, _ = run_on_prefect(parameters.model_dump(), console)
        return result

    jobs = []
    gates: list[PolicyGate] = []
    for job in prepared:
        judged = judge_job(job) if no_run else run_job(job, run)
        print_judged(judged, console)
        jobs.append(judged)
        gates += judged.gates
    verdict = policy_verdict(name, prepared[0].policy, gates, [job.run for job in jobs])
    print_verdict(verdict, console)
    reports.write(verdict, jobs)
    return gates_code(verdict.outcome)


def _records_by_name(
    names: Iterable[str],
    gates: Sequence[PolicyGate],
) -> dict[str, list[GateRecord]]:
    """Return the records of gates by experiment, in the policy's order."""
    records: dict[str, list[GateRecord]] = {name: [] for name in names}
    for gate in gates:
        records[gate.experiment].append(gate.record)
    return records


if __name__ == "__main__":
    app()
