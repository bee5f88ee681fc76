"""The money that a run may spend."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from themis_lib import BudgetError, RowError
from themis_lib.stages.budget import Budget, paid_call


def test_call_that_does_not_fit_waits_for_those_in_flight() -> None:
    """They may cost less than was set aside for them."""
    order: list[str] = []

    async def spend() -> float:
        budget = Budget(1.0)

        async def first() -> None:
            async with budget.reserved(0.9) as receipt:
                await asyncio.sleep(0.01)
                order.append("first")
                receipt.cost = 0.1

        async def second() -> None:
            await asyncio.sleep(0)
            async with budget.reserved(0.9) as receipt:
                order.append("second")
                receipt.cost = 0.2

        await asyncio.gather(first(), second())
        return budget.spent

    assert asyncio.run(spend()) == pytest.approx(0.3)
    assert ["first", "second"] == order


def test_call_that_can_never_fit_ends_the_run() -> None:
    """With nothing in flight there is nothing to wait for."""

    async def spend() -> None:
        async with Budget(1.0).reserved(1.5):
            pass

    with pytest.raises(BudgetError, match=r"\$0\.0000 of \$1\.0000 spent"):
        asyncio.run(spend())


def test_without_a_limit_everything_fits() -> None:
    """What is spent is counted all the same."""

    async def spend() -> float:
        budget = Budget(None)
        async with budget.reserved(1e9) as receipt:
            receipt.cost = 5.0
        return budget.spent

    assert 5.0 == asyncio.run(spend())


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("result", 0.25),
        (RowError("refused").marked(is_free=True), 0.0),
        (RowError("refused"), 0.5),
        (ValueError("broken"), 0.5),
    ],
)
def test_failed_call_counts_at_its_most(outcome: Any, expected: float) -> None:
    """Unless it was surely free: nobody says what the provider charged."""

    async def call(at: int) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def spend() -> float:
        budget = Budget(1.0)
        paid = paid_call(call, budget, most=lambda at: 0.5, cost=lambda at, _: 0.25)
        if isinstance(outcome, Exception):
            with pytest.raises(type(outcome)):
                await paid(0)
        else:
            assert outcome == await paid(0)
        return budget.spent

    assert expected == asyncio.run(spend())
