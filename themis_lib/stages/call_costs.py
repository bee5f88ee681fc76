"""The dollars that a generator's calls can cost at most, and those they did cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from themis_lib.components.records import BuiltGenerator
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.core.prices import Price
from themis_lib.errors import ThemisError


@dataclass(frozen=True)
class CallCosts:
    """The costs of a generator's calls for some rows, by the rows' positions."""

    generator: BuiltGenerator
    price: Price
    cases: Sequence[Case]
    contexts: Sequence[GenerateContext]

    def most(self, position: int) -> float:
        """Return the most that the call for a row can cost.

        0 for a generator that cannot say: its calls are never held back.
        """
        most_tokens = self.generator.most_tokens
        if most_tokens is None:
            return 0.0
        tokens = most_tokens(self.cases[position], self.contexts[position])
        return self.price.most(tokens)

    def most_by_batch(self, position: int) -> float:
        """Return the most that a row can cost by its provider's batch API."""
        share = 1.0 if self.price.batch is None else self.price.batch
        return share * self.most(position)

    def most_of_batch(self, positions: range) -> float:
        """Return the most that one call for all of these rows can cost."""
        return sum(map(self.most, positions))

    def cost(
        self,
        position: int,
        result_and_latency: tuple[Any, float],
    ) -> float:
        """Return what the call for a row did cost."""
        result, _latency = result_and_latency
        return self._result_cost(result)

    def cost_of_batch(
        self,
        positions: range,
        results: Sequence[Any],
    ) -> float:
        """Return what one call for all of these rows did cost."""
        costs = []
        for position, result in zip(positions, results, strict=True):
            if not isinstance(result, Exception):
                costs.append(self._result_cost(result))
                continue
            is_free = isinstance(result, ThemisError) and result.is_free
            # Nobody says what a failed row was charged: count the most.
            if not is_free:
                costs.append(self.most(position))
        return sum(costs)

    def _result_cost(self, result: Any) -> float:
        """Return the price of a result's tokens.

        A generator may return anything; what is no result counts no tokens.
        """
        usage = result.usage if isinstance(result, GenerationResult) else None
        return self.price.cost(usage)
