"""The money that a run may spend: a call that could pass the limit is not made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from themis_lib.errors import BudgetError, ThemisError


@dataclass
class Receipt:
    """The dollars that a call cost, filled in by its caller."""

    cost: float = 0.0


class Budget:
    """Dollars that the stages of one run spent in this process, or set aside.

    A call is made when the most it can cost still fits. One that does not fit waits
    for those in flight, which may cost less than was set aside for them. If none is in
    flight, the run stops; every row paid for is saved.
    """

    def __init__(self, max_cost: float | None) -> None:
        self.max_cost = max_cost
        self.spent = 0.0
        self._set_aside = 0.0
        self._in_flight = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def reserved(self, most: float) -> AsyncIterator[Receipt]:
        """Set aside the most that a call can cost while it is in flight.

        Raise `BudgetError` if it can never fit.
        """
        async with self._changed:
            while not self._has_room_for(most):
                # Nothing that is in flight can make room any more.
                if not self._in_flight:
                    raise BudgetError(
                        f"stopped at the budget: ${self.spent:.4f} of "
                        f"${self.max_cost:.4f} spent, and the next call may cost "
                        f"${most:.4f}; every finished row is saved. Go on with a "
                        "higher max_cost"
                    )
                await self._changed.wait()
            self._set_aside += most
            self._in_flight += 1
        receipt = Receipt()
        try:
            yield receipt
        finally:
            # Also after an error, which may have cost as much as an answer.
            self.spent += receipt.cost
            self._set_aside -= most
            self._in_flight -= 1
            async with self._changed:
                self._changed.notify_all()

    def _has_room_for(self, most: float) -> bool:
        if self.max_cost is None:
            return True
        return self.spent + self._set_aside + most <= self.max_cost


def paid_call(
    call: Callable[[Any], Awaitable[Any]],
    budget: Budget,
    *,
    most: Callable[[Any], float],
    cost: Callable[[Any, Any], float],
) -> Callable[[Any], Awaitable[Any]]:
    """Wrap a call, of a row or of a batch, so that the budget pays for it.

    `most` returns the most that the call can cost, `cost` what it did cost once its
    result is known, both in dollars.
    """

    async def reserve_and_call(at: Any) -> Any:
        at_most = most(at)
        async with budget.reserved(at_most) as receipt:
            # If the call fails, nobody says what the provider charged: count the most.
            receipt.cost = at_most
            try:
                result = await call(at)
            except ThemisError as error:
                if error.is_free:
                    receipt.cost = 0.0
                raise
            receipt.cost = cost(at, result)
            return result

    return reserve_and_call
