"""What `--plan` prints of a run that stops when decided: the cases it is to take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from flows.terminal import as_text, filled_table
from themis_lib.comparison.expected_stops import StopPlan, stop_plans
from themis_lib.comparison.sequential_questions import Question
from themis_lib.explain.plan import StagePlan
from themis_lib.report.markdown import dollars
from themis_lib.runs.pipeline import Pipeline
from themis_lib.storage.store import RunStore

_HEADINGS = ("true difference", "cases, mean", "median", "decided", "cost, mean")


def print_stop_plans(
    questions: Sequence[Question],
    pipeline: Pipeline,
    store: RunStore,
    stages: Sequence[StagePlan],
    console: Console,
) -> None:
    """Print how many cases each question is expected to take, and for how much.

    `stages` are the plan of the whole data, whose cost is shared evenly over its cases.
    """
    cases: Counter[str] = Counter()
    for shard in pipeline.shards(store):
        cases[shard.dataset_id] += shard.cases.rows
    costs = [item.cost for item in stages if item.cost is not None]
    per_case = sum(costs) / cases.total() if costs and cases else None
    for plan in stop_plans(questions, cases):
        _print_plan(plan, per_case, console)


def _print_plan(
    plan: StopPlan,
    per_case: float | None,
    console: Console,
) -> None:
    question = plan.question
    what = f"{question.metric_id} on {question.dataset_id}"
    if question.gate is not None:
        what = f"gate {question.gate.text!r} on {question.dataset_id}"
    console.print(
        as_text(f"{what}: cases until it is decided, of {plan.cases:,}", style="bold"),
        soft_wrap=True,
    )
    headings = _HEADINGS if per_case is not None else _HEADINGS[:-1]
    rows = []
    for item in plan.assumed:
        cells = [
            f"{item.difference:+.4g}",
            f"{item.stop.mean:,.0f}",
            f"{item.stop.median:,.0f}",
            f"{100 * item.stop.decided:.0f} %",
        ]
        if per_case is not None:
            cells.append(dollars(per_case * item.stop.mean))
        rows.append(cells)
    console.print(filled_table(headings, rows))
    limit = "from the baseline" if question.is_difference else "from the gate's limit"
    console.print(
        as_text(
            f"differences {limit}; simulated 400 times each with {plan.basis}; a run "
            "that is not decided takes all cases"
        ),
        soft_wrap=True,
    )
