"""Money: what a run paid, what the store saved, what a plan expects, and a budget that
is never passed.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from themis_lib import (
    BudgetError,
    Case,
    ConfigError,
    CostConfig,
    Dataset,
    Experiment,
    GenerationConfig,
    GenerationResult,
    InMemoryRunStore,
    Price,
    RunStatus,
    RuntimeConfig,
    StorageConfig,
    TokenUsage,
    TransientError,
)
from themis_lib.core.prices import PriceTier
from themis_lib.report.cost_table import cost_rows
from themis_lib.report.html import report_html
from themis_lib.report.markdown import cost_line, markdown_report
from themis_lib.runs.manifest import manifests
from themis_lib.stages.budget import Budget

#: A dollar for each token, so that costs are counts.
A_DOLLAR = Price(input=1e6, output=1e6)


class Metered:
    """Takes as many input tokens as the input says, and one for the answer."""

    component_id = "generator/metered"
    version = "1"
    model = "metered"
    reads = ("input",)

    def __init__(self, *, says_most: bool = True) -> None:
        self.calls = 0
        self.says_most = says_most

    def fingerprint(self) -> str:
        return ""

    def most_tokens(self, case: Case, ctx: object) -> TokenUsage:
        return TokenUsage(input_tokens=case.input, output_tokens=2)  # type: ignore[arg-type]

    async def generate(self, case: Case, ctx: object) -> GenerationResult:
        await asyncio.sleep(0.001)
        self.calls += 1
        return GenerationResult(
            final_output="x", usage=TokenUsage(input_tokens=case.input, output_tokens=1)
        )  # type: ignore[arg-type]


class BlockingMetered(Metered):
    """The same, but not async."""

    def generate(self, case: Case, ctx: object) -> GenerationResult:  # type: ignore[override]
        self.calls += 1
        return GenerationResult(
            final_output="x", usage=TokenUsage(input_tokens=case.input, output_tokens=1)
        )  # type: ignore[arg-type]


class BatchMetered(Metered):
    """Whole batches; the first one never ends."""

    async def generate_batch(
        self, cases: list[Case], contexts: list[object]
    ) -> list[GenerationResult]:
        self.calls += 1
        if self.calls == 1:
            await asyncio.sleep(60)
        return [
            await self.generate(case, ctx)
            for case, ctx in zip(cases, contexts, strict=True)
        ]


class Slow(Metered):
    """Takes a third of a second, and at its most eight times what it costs."""

    def most_tokens(self, case: Case, ctx: object) -> TokenUsage:
        return TokenUsage(input_tokens=80, output_tokens=0)

    async def generate(self, case: Case, ctx: object) -> GenerationResult:
        await asyncio.sleep(0.3)
        return await super().generate(case, ctx)


class SlowBatch(Slow):
    """The same, by batches of one."""

    async def generate_batch(
        self, cases: list[Case], contexts: list[object]
    ) -> list[GenerationResult]:
        return [
            await self.generate(case, ctx)
            for case, ctx in zip(cases, contexts, strict=True)
        ]


class RefusedBatch(Metered):
    """A batch that the provider refuses without a charge."""

    async def generate_batch(
        self, cases: list[Case], contexts: list[object]
    ) -> list[GenerationResult]:
        self.calls += 1
        raise TransientError("busy").marked(is_free=True)


def experiment(
    generator: Any, cases: int = 10, *, tokens: int = 9, max_cost: float | None = None
) -> Experiment:
    dataset = Dataset(
        dataset_id="d",
        cases=[Case(case_id=str(at), input=tokens) for at in range(cases)],
    )
    return Experiment(
        generation=GenerationConfig(generator=generator),
        datasets=[dataset],
        storage=StorageConfig(store="memory"),
        runtime=RuntimeConfig(max_concurrency=4),
        cost=CostConfig(prices={"metered": A_DOLLAR}, max_cost=max_cost),
    )


def test_a_run_says_what_it_paid_and_what_the_store_saved() -> None:
    """Paid are the rows computed, saved those found."""
    store, generator = InMemoryRunStore(), Metered()

    first = experiment(generator, 10).run(store)
    second = experiment(generator, 15).run(store)

    assert (100.0, 100.0) == (first.manifest.cost, first.manifest.cost_paid)
    assert (150.0, 50.0) == (second.manifest.cost, second.manifest.cost_paid)
    assert (
        TokenUsage(input_tokens=135, output_tokens=15)
        == second.progress["generate"].usage
    )
    assert r"\$50.00 paid, \$100.00 saved by the store" in markdown_report(second)


def test_without_a_price_there_are_tokens_and_no_cost() -> None:
    """A model that nobody gave a price is not free: its cost is unknown."""
    unpriced = experiment(Metered()).model_copy(update={"cost": CostConfig()})

    result = unpriced.run()

    assert result.manifest.cost is None
    assert 90 == result.progress["generate"].usage.input_tokens
    assert "$" not in markdown_report(result)


@pytest.mark.parametrize("generator", [Metered, BlockingMetered])
def test_a_budget_is_never_passed_and_nothing_paid_for_is_lost(
    generator: type[Metered],
) -> None:
    """The run stops before the call that could pass it; the next run, with more money,
    makes only the missing calls.
    """
    store, metered = InMemoryRunStore(), generator()

    with pytest.raises(
        BudgetError, match=r"\$50\.0000 of \$55\.0000 spent.*may cost \$11"
    ):
        experiment(metered, 10, max_cost=55.0).run(store)
    made = metered.calls
    stopped = manifests(store)[-1]
    result = experiment(metered, 10, max_cost=200.0).run(store)

    assert 5 == made
    assert (RunStatus.FAILED, 50.0) == (stopped.status, stopped.cost_paid)
    assert "budget" in (stopped.error or "")
    assert 10 == metered.calls
    assert (RunStatus.COMPLETED, 50.0) == (result.status, result.manifest.cost_paid)


def test_a_batch_that_takes_too_long_is_given_up_under_a_budget_too() -> None:
    """Its rows fail, the others are there."""
    limited = experiment(BatchMetered(), 10, max_cost=1000.0)
    runtime = RuntimeConfig(batch_size=5, max_concurrency=5, timeout_s=0.2)

    result = limited.model_copy(update={"runtime": runtime}).run()

    assert (RunStatus.PARTIAL_FAILURE, 5) == (
        result.status,
        result.progress["generate"].failed,
    )
    assert 50.0 == result.manifest.cost_paid


def test_a_batch_that_was_refused_costs_nothing() -> None:
    """Every batch is asked for, though the budget has room for one at its most."""
    refused = RefusedBatch()
    limited = experiment(refused, 10, max_cost=60.0)
    runtime = RuntimeConfig(batch_size=5, max_concurrency=5)

    result = limited.model_copy(update={"runtime": runtime}).run()

    assert (2, 10) == (refused.calls, result.progress["generate"].failed)


class HalfBatch(Metered):
    """Of each batch the first row has no reply; what it cost nobody says."""

    async def generate_batch(
        self, cases: list[Case], contexts: list[object]
    ) -> list[GenerationResult | Exception]:
        answers = [
            await self.generate(case, ctx)
            for case, ctx in zip(cases[1:], contexts[1:], strict=True)
        ]
        return [TransientError("lost"), *answers]


def test_a_row_of_a_batch_without_a_reply_counts_at_its_most() -> None:
    """Two rows of a batch take 11 dollars for the lost one and 10 for the other; a
    third batch has no room.
    """
    limited = experiment(HalfBatch(), 6, max_cost=63.0)
    runtime = RuntimeConfig(batch_size=2, max_concurrency=2)

    with pytest.raises(BudgetError, match=r"\$42\.0000 of \$63\.0000 spent"):
        limited.model_copy(update={"runtime": runtime}).run()


@pytest.mark.parametrize("kind", [Slow, SlowBatch])
def test_waiting_for_money_takes_nothing_of_the_time_limit(kind: type[Metered]) -> None:
    """One call after another has room in the budget; together they take longer than one
    may.
    """
    limited = experiment(kind(), 8, max_cost=150.5)
    runtime = RuntimeConfig(batch_size=1, max_concurrency=8, timeout_s=1.0)

    result = limited.model_copy(update={"runtime": runtime}).run()

    assert (RunStatus.COMPLETED, 8) == (
        result.status,
        result.progress["generate"].computed,
    )


def test_a_cached_run_needs_no_budget() -> None:
    """What is in the store costs nothing, however small the budget."""
    store, metered = InMemoryRunStore(), Metered()
    experiment(metered).run(store)

    assert RunStatus.COMPLETED == experiment(metered, max_cost=0.01).run(store).status


def test_calls_in_flight_are_counted_at_their_most() -> None:
    """Concurrent calls cannot pass a budget together that each would keep to alone."""

    async def spend(budget: Budget) -> list[float]:
        async def call() -> float:
            async with budget.reserved(3.0) as receipt:
                most = budget.spent
                await asyncio.sleep(0)
                receipt.cost = 2.0
            return most

        return [
            result
            for result in await asyncio.gather(
                *(call() for _ in range(20)), return_exceptions=True
            )
            if isinstance(result, float)
        ]

    budget = Budget(10.0)
    made = asyncio.run(spend(budget))

    assert 4 == len(made)
    assert 8.0 == budget.spent


def test_a_price_below_zero_is_refused(tmp_path: Path) -> None:
    """One error names the setting."""
    path = tmp_path / "experiment.yaml"
    path.write_text(
        "generation: {generator: builtin/demo_generator}\n"
        "datasets: [{dataset_id: d, cases: []}]\n"
        "cost: {prices: {m: {input: -1, output: 1}}}\n"
    )

    with pytest.raises(ConfigError, match=r"cost\.prices\.m\.input"):
        Experiment.from_config(path)


class Unreadable(Metered):
    """Fails after it was paid for."""

    async def generate(self, case: Case, ctx: object) -> GenerationResult:
        self.calls += 1
        raise TransientError("no choices")


class Refusing(Metered):
    """Fails before anything is charged."""

    async def generate(self, case: Case, ctx: object) -> GenerationResult:
        self.calls += 1
        raise TransientError("HTTP 429").marked(is_free=True)


class Batched(Metered):
    """Many at a time."""

    generate = None  # type: ignore[assignment]

    def generate_batch(self, cases: Any, contexts: Any) -> list[GenerationResult]:
        self.calls += len(cases)
        usage = TokenUsage(input_tokens=9, output_tokens=1)
        return [GenerationResult(final_output="x", usage=usage) for _ in cases]


def test_a_call_that_fails_counts_at_its_most_unless_it_was_refused() -> None:
    """Nobody says what a lost reply cost; a refusal costs nothing."""
    unreadable, refusing = Unreadable(), Refusing()

    with pytest.raises(BudgetError):
        experiment(unreadable, 10, max_cost=35.0).run()
    experiment(refusing, 10, max_cost=35.0).run()

    assert 3 == unreadable.calls
    assert 10 == refusing.calls


def test_batches_keep_to_the_budget() -> None:
    """A batch is generated when all of it fits."""
    batched = Batched()
    limited = experiment(batched, 10, max_cost=70.0)
    limited = limited.model_copy(
        update={"runtime": RuntimeConfig(max_concurrency=4, batch_size=2)}
    )

    with pytest.raises(BudgetError):
        limited.run()

    assert 6 == batched.calls


class Nameless(Metered):
    """Says nothing of its model."""

    model = None  # type: ignore[assignment]


class Endless(Metered):
    """Answers without end."""

    max_tokens = None


@pytest.mark.parametrize(
    ("generator", "prices", "said"),
    [
        (
            Metered(),
            {},
            r"nothing says what 'metered' costs; add cost\.prices\.metered",
        ),
        (Nameless(), {}, "does not say what a call costs at most"),
        (Endless(), {"metered": A_DOLLAR}, "give it max_tokens"),
    ],
    ids=["no price", "no model", "no longest answer"],
)
def test_a_budget_that_could_not_hold_is_refused(
    generator: Any, prices: dict[str, Price], said: str
) -> None:
    """Before anything is generated."""
    limited = experiment(generator).model_copy(
        update={"cost": CostConfig(prices=prices, max_cost=1.0)}
    )

    with pytest.raises(ConfigError, match=said):
        limited.compile()


def test_what_is_free_needs_no_price() -> None:
    """A local model keeps to every budget."""
    assert experiment("builtin/demo_generator", max_cost=0.01).compile()


def test_equal_rows_are_paid_for_once_and_counted_once() -> None:
    """Samples of a deterministic generator are one row: nothing was saved by the
    store.
    """
    metered = Metered()
    metered.deterministic = True  # type: ignore[attr-defined]
    equal = experiment(metered, 3).model_copy(update={"seeds": [7, 7]})

    result = equal.run()

    assert (1, 10.0, 10.0) == (
        metered.calls,
        result.manifest.cost,
        result.manifest.cost_paid,
    )


class Cached(Metered):
    """A model at OpenAI's list prices that reads, writes and uses its prompt cache."""

    model = "gpt-4o-2024-08-06"
    provider = "openai"
    at_list_price = True

    async def generate(self, case: Case, ctx: object) -> GenerationResult:
        self.calls += 1
        usage = TokenUsage(
            input_tokens=case.input,  # type: ignore[arg-type]
            cached_tokens=400,
            cache_write_tokens=100,
            output_tokens=50,
            reasoning_tokens=20,
        )
        return GenerationResult(final_output="x", usage=usage)


def listed(cases: int, **settings: Any) -> Experiment:
    return experiment(Cached(), cases, tokens=1_000).model_copy(
        update={"cost": CostConfig(**settings)}
    )


def test_cost_rows_are_those_computed_by_hand() -> None:
    """Two requests before, two in this run: of each 1,000 input tokens, 400 of them
    cached and 100 written; 50 output tokens, 20 of them reasoning.
    """
    store = InMemoryRunStore()
    listed(2).run(store)

    result = listed(4).run(store)

    # At 2.50, 1.25 and 10 dollars a million; writing costs what input does.
    assert [
        ("generate", "input", "1,000", "2,000", "$2.50", "$0.0025", "$0.005"),
        ("generate", "cached input", "800", "1,600", "$1.25", "$0.001", "$0.002"),
        ("generate", "cache write", "200", "400", "$2.50", "$0.0005", "$0.001"),
        ("generate", "output", "60", "120", "$10.00", "$0.0006", "$0.0012"),
        ("generate", "reasoning", "40", "80", "$10.00", "$0.0004", "$0.0008"),
        ("generate", "saved by the prompt cache", "", "", "", "-$0.001", "-$0.002"),
    ] == cost_rows(result.manifest)
    assert 0.005 == pytest.approx(result.manifest.cost_paid)
    assert 0.010 == pytest.approx(result.manifest.cost)
    assert 0.001 == pytest.approx(result.manifest.cache_savings)


def test_cost_and_its_source_are_in_every_report() -> None:
    """In the terminal and in Markdown, on the page, and in the record of the run."""
    result = listed(2).run()
    source = f"genai-prices {version('genai-prices')}"

    line = cost_line(result)
    record = result.manifest.stage("generate")

    assert (
        f"$0.0050 paid, $0.00 saved by the store (prices: {source}); "
        "$0.0010 saved by the provider's prompt cache; "
        "generate: $0.0050 of $0.0050, 2,000 of 2,000 input, 800 of 800 cached, "
        "200 of 200 cache write, 100 of 100 output, 40 of 40 reasoning tokens in this run"
    ) == line
    assert "| generate | cached input | 800 | 800 | \\$1.25 |" in markdown_report(
        result
    )
    page = report_html(result)
    assert f"Prices: {source}." in page
    assert "<td>saved by the prompt cache</td>" in page
    assert record is not None
    assert record.price is not None
    assert (source, 2.5) == (record.price.source, record.price.input)


def test_own_prices_win_over_list_prices() -> None:
    """And are charged by tier where they have one: 2 · 1,000 tokens of long requests."""
    tier = PriceTier(above=999, input=2.0, output=0.0)
    own = Price(input=1.0, output=0.0, tiers=[tier])

    result = listed(2, prices={"gpt-4o": own}).run()

    assert 0.004 == pytest.approx(result.manifest.cost_paid)
    assert ["the experiment"] == result.manifest.price_sources
    assert ("input, requests above 999", "1,000") == cost_rows(result.manifest)[0][1:3]


def test_only_a_first_run_in_a_store_looks_up_list_prices(tmp_path: Path) -> None:
    """The store keeps them: a cached run does not import the library."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.test_cost import listed\n"
        "from themis_lib import RunStore\n"
        "run = listed(2).run(RunStore(sys.argv[1]))\n"
        "assert abs(run.manifest.cost - 0.005) < 1e-9, run.manifest.cost\n"
        "assert sys.argv[2] == str('genai_prices' in sys.modules)\n"
    )
    for is_imported in (True, False):
        arguments = [str(tmp_path), str(is_imported)]
        subprocess.run([sys.executable, "-c", code, *arguments], check=True)
