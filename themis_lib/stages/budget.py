"""The money that a run may spend: calls that might pass the limit are not made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from themis_lib.errors import BudgetError


@dataclass
class Receipt:
    """What a call cost, filled in by whoever made it."""

    cost: float = 0.0


class Budget:
    """Dollars spent by the stages of one run in this process, and set aside for the
    calls in flight.

    A call is made when what it costs at most still fits. One that does not fit waits
    for those in flight, which may cost less than was set aside for them; when none is
    in flight the run stops, and every row paid for is saved.
    """

    def __init__(self, max_cost: float | None) -> None:
        self.max_cost = max_cost
        self.spent = 0.0
        self._set_aside = 0.0
        self._calls = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def reserved(self, most: float) -> AsyncIterator[Receipt]:
        """A place for a call that costs `most` dollars at most. Raises `BudgetError`
        where it can never fit.
        """
        await self._set_money_aside(most)
        receipt = Receipt()
        try:
            yield receipt
        finally:
            self.spent += receipt.cost
            self._set_aside -= most
            self._calls -= 1
            async with self._changed:
                self._changed.notify_all()

    async def _set_money_aside(self, most: float) -> None:
        async with self._changed:
            while (
                self.max_cost is not None
                and self.spent + self._set_aside + most > self.max_cost
            ):
                if not self._calls:
                    raise BudgetError(
                        f"stopped at the budget: ${self.spent:.4f} of ${self.max_cost:.4f} spent, and the next call "
                        f"may cost ${most:.4f}; every finished row is saved. Go on with a higher max_cost"
                    )
                await self._changed.wait()
            self._set_aside += most
            self._calls += 1
