"""What `python -m flows.ci` shows: each experiment as it ends, then its gates."""

from __future__ import annotations

from rich.console import Console

from flows.display import GATE_STYLE, gates_text
from flows.policy_runs import JudgedJob
from flows.result_tables import policy_table
from flows.terminal import assemble
from themis_lib.comparison.policy_verdict import PolicyVerdict
from themis_lib.report.policy_markdown import verdict_line
from themis_lib.runs.manifest import GateOutcome


def print_judged(
    job: JudgedJob,
    console: Console,
) -> None:
    """Print how an experiment of a policy ended, in one line."""
    run = job.run
    if run.run_id is None:
        line = assemble((run.experiment, "bold"), f"  no result: {run.problem}")
    else:
        line = assemble(
            (run.experiment, "bold"),
            f"  {run.status}  {run.case_count} cases in "
            f"{job.seconds:.1f} s, "
            f"{run.computed:,} row(s) computed, {run.cached:,} cached",
        )
    console.print(line, soft_wrap=True)


def print_verdict(
    verdict: PolicyVerdict,
    console: Console,
) -> None:
    """Print a verdict: a table of all gates, then why some did not simply pass."""
    console.print(policy_table(verdict.gates))
    for run in verdict.runs:
        unusual = []
        for gate in verdict.gates:
            has_passed = gate.record.outcome is GateOutcome.PASS and not gate.is_missing
            if gate.experiment == run.experiment and not has_passed:
                unusual.append(gate.record)
        if unusual:
            console.print(assemble((run.experiment, "bold")), soft_wrap=True)
            console.print(gates_text(unusual), end="", soft_wrap=True)
    style = f"bold {GATE_STYLE[verdict.outcome]}"
    line = assemble(
        (verdict.policy, "bold"),
        "  ",
        (verdict.outcome.value, style),
        f"  {verdict_line(verdict)}",
    )
    console.print(line, soft_wrap=True)
