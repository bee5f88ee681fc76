"""Money with a judge: its dollars beside the candidate's, a price that is not known, a
budget, and a plan.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from flows.display import print_plan
from flows.runs import app as runs
from tests.test_cost import A_DOLLAR, Metered
from themis_lib import (
    BudgetError,
    Case,
    CostConfig,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    GenerationResult,
    InMemoryRunStore,
    Price,
    RunStatus,
    RunStore,
    RuntimeConfig,
    StorageConfig,
    TokenUsage,
)
from themis_lib.comparison.sides import run_side
from themis_lib.explain.plan import StagePlan, plan_run
from themis_lib.report.comparison_markdown import side_cells
from themis_lib.report.html import report_html
from themis_lib.report.markdown import cost_line

JUDGE = "judge[quality]"
BOTH = {"metered": A_DOLLAR, "judge": A_DOLLAR}
#: The candidates take 1, 2, 3 and 4 input tokens and one of output, the judge nine and
#: one for each of them.
CANDIDATES, VERDICTS = 14.0, 40.0


class Judge:
    """Ten tokens a verdict, and at most eleven."""

    component_id = "generator/judge"
    version = "1"
    model = "judge"
    reads = ("input",)

    def __init__(self, *, max_tokens: int | None = 5) -> None:
        self.asked: list[Any] = []
        self.max_tokens = max_tokens

    def fingerprint(self) -> str:
        return ""

    def most_tokens(self, case: Case, ctx: object) -> TokenUsage:
        return TokenUsage(input_tokens=9, output_tokens=2)

    async def generate(self, case: Case, ctx: object) -> GenerationResult:
        self.asked.append(case.input)
        usage = TokenUsage(input_tokens=9, output_tokens=1)
        return GenerationResult(final_output='{"verdict": "correct"}', usage=usage)


class FreeJudge(Judge):
    """The same on one's own machine."""

    is_free = True


def experiment(
    candidate: Any,
    judge: Any | None,
    *,
    prices: dict[str, Price] | None = None,
    max_cost: float | None = None,
) -> Experiment:
    cases = [
        Case(case_id=str(at), input=at, expected_output="x") for at in (1, 2, 3, 4)
    ]
    metric = {
        "use": "builtin/judge_correctness",
        "id": "quality",
        "judge": judge,
        "explain": False,
    }
    return Experiment(
        generation=GenerationConfig(generator=candidate),
        evaluation=EvaluationConfig(metrics=[] if judge is None else [metric]),
        datasets=[Dataset(dataset_id="d", cases=cases)],
        storage=StorageConfig(store="memory"),
        runtime=RuntimeConfig(max_concurrency=4),
        cost=CostConfig(prices=BOTH if prices is None else prices, max_cost=max_cost),
    )


def bounded(longest: int = 7) -> Metered:
    """A candidate of so many tokens at most."""
    metered = Metered()
    metered.max_tokens = longest  # type: ignore[attr-defined]
    return metered


def of_judge(plans: list[StagePlan]) -> StagePlan:
    return next(plan for plan in plans if plan.stage == JUDGE)


def shown(plans: list[StagePlan]) -> str:
    """A plan as the command line shows it."""
    console = Console(file=io.StringIO(), width=120)
    print_plan(plans, console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_each_stage_has_its_dollars() -> None:
    """Those of the run are their sum: what it paid, and what the store saved."""
    store = InMemoryRunStore()
    experiment(Metered(), None).run(store)

    result = experiment(Metered(), Judge()).run(store)

    assert (CANDIDATES + VERDICTS, VERDICTS) == (
        result.manifest.cost,
        result.manifest.cost_paid,
    )
    assert (
        "$40.00 paid, $14.00 saved by the store; "
        "generate: $0.00 of $14.00, 0 of 10 input, 0 of 4 output tokens in this run; "
        "judge[quality]: $40.00 of $40.00, 36 of 36 input, 4 of 4 output tokens in this run"
    ) == cost_line(result)


def test_a_judge_whose_price_is_not_known_is_named_beside_the_dollars() -> None:
    """The dollars of the other stages never stand as if they were all, wherever they
    stand.
    """
    result = experiment(Metered(), Judge(), prices={"metered": A_DOLLAR}).run()

    assert [JUDGE] == result.manifest.unpriced
    assert (
        "$14.00 paid, $0.00 saved by the store (without judge[quality], whose price is not known); "
        "generate: $14.00 of $14.00, 10 of 10 input, 4 of 4 output tokens in this run; "
        "judge[quality]: price not known, 36 of 36 input, 4 of 4 output tokens in this run"
    ) == cost_line(result)
    assert "Without judge[quality], whose price is not known." in report_html(result)
    assert ("at least $14.00", "at least $14.00") == side_cells(run_side(result))[4:6]


def test_a_list_of_runs_names_it_too(tmp_path: Path) -> None:
    """So do the command line and the page of an experiment's history."""
    experiment(Metered(), Judge(), prices={"metered": A_DOLLAR}).run(
        RunStore(str(tmp_path))
    )
    page = tmp_path / "history.html"

    listed = CliRunner().invoke(runs, ["--store", str(tmp_path), "--html", str(page)])

    assert (
        "$14.00 paid, $0.00 saved (without judge[quality], whose price is not known)"
        in listed.output
    )
    assert "at least $14.00" in page.read_text()


def test_a_free_judge_needs_no_price() -> None:
    """What runs on one's own machine is not missing from the dollars."""
    result = experiment(Metered(), FreeJudge(), prices={"metered": A_DOLLAR}).run()

    assert [] == result.manifest.unpriced
    assert "not known" not in f"{cost_line(result)}{report_html(result)}"


def test_a_judge_keeps_to_the_budget_and_the_next_run_goes_on() -> None:
    """It shares the candidates' budget, and no verdict that was paid for is asked for
    again.
    """
    store, candidate, judge = InMemoryRunStore(), Metered(), Judge()

    with pytest.raises(
        BudgetError, match=r"\$34\.0000 of \$35\.0000 spent.*may cost \$11"
    ):
        experiment(candidate, judge, max_cost=35.0).run(store)
    asked = len(judge.asked)
    result = experiment(candidate, judge, max_cost=100.0).run(store)

    assert (2, 4, 4) == (asked, len(judge.asked), candidate.calls)
    assert (RunStatus.COMPLETED, CANDIDATES + VERDICTS, 20.0) == (
        result.status,
        result.manifest.cost,
        result.manifest.cost_paid,
    )


def test_a_plan_does_not_guess_the_length_of_answers_without_end() -> None:
    """Where the candidate has no `max_tokens`, nothing says what its judge will
    read.
    """
    plans = plan_run(experiment(Metered(), Judge()).compile(), InMemoryRunStore())

    assert (None, None) == (of_judge(plans).usage, of_judge(plans).cost)
    assert "judge[quality]: how many tokens is not known before a first run" in shown(
        plans
    )


def test_a_plan_says_whose_price_is_not_known() -> None:
    """Tokens without dollars are not free."""
    plans = plan_run(
        experiment(bounded(), Judge(), prices={"metered": A_DOLLAR}).compile(),
        InMemoryRunStore(),
    )

    judged = of_judge(plans)
    assert judged.usage is not None
    assert (
        f"{JUDGE}: about {judged.usage.input_tokens:,} input and 20 output tokens, "
        "price not known"
    ) in shown(plans)
