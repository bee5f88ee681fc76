"""The prices of tokens by model: the experiment's own, or those of a small list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from themis_lib.core.models import FrozenModel, TokenUsage

PerMillion = Annotated[float, Field(ge=0)]


class Price(FrozenModel):
    """US dollars for a million tokens.

    Without `cached_input`, cached tokens cost as much as other input, and so do tokens
    written to the provider's cache without `cache_write`.
    """

    input: PerMillion
    output: PerMillion
    cached_input: PerMillion | None = None
    cache_write: PerMillion | None = None

    def cost(self, usage: TokenUsage | None) -> float:
        """Return the dollars for these tokens; uncounted ones cost nothing here.

        >>> Price(input=2.0, output=8.0).cost(TokenUsage(input_tokens=500_000, output_tokens=1_000))
        1.008
        """
        if usage is None:
            return 0.0
        cached = usage.cached_tokens or 0
        stored = usage.cache_write_tokens or 0
        # Both are counted among the input tokens.
        fresh = max((usage.input_tokens or 0) - cached - stored, 0)
        cached_price = self.input if self.cached_input is None else self.cached_input
        stored_price = self.input if self.cache_write is None else self.cache_write
        # Reasoning tokens are among the output tokens.
        written = usage.output_tokens or 0
        of_input = fresh * self.input + cached * cached_price + stored * stored_price
        return (of_input + written * self.output) / 1e6


#: OpenAI's list prices, without batch or flex discounts, as published on this date.
LIST_PRICES_DATE = "2025-08-07"
LIST_PRICES: Mapping[str, Price] = {
    "gpt-4.1": Price(
        input=2.0,
        cached_input=0.5,
        output=8.0,
    ),
    "gpt-4.1-mini": Price(
        input=0.4,
        cached_input=0.1,
        output=1.6,
    ),
    "gpt-4.1-nano": Price(
        input=0.1,
        cached_input=0.025,
        output=0.4,
    ),
    "gpt-4o": Price(
        input=2.5,
        cached_input=1.25,
        output=10.0,
    ),
    "gpt-4o-mini": Price(
        input=0.15,
        cached_input=0.075,
        output=0.6,
    ),
    "gpt-5": Price(
        input=1.25,
        cached_input=0.125,
        output=10.0,
    ),
    "gpt-5-mini": Price(
        input=0.25,
        cached_input=0.025,
        output=2.0,
    ),
    "gpt-5-nano": Price(
        input=0.05,
        cached_input=0.005,
        output=0.4,
    ),
    "o3": Price(
        input=2.0,
        cached_input=0.5,
        output=8.0,
    ),
    "o4-mini": Price(
        input=1.1,
        cached_input=0.275,
        output=4.4,
    ),
}
# The date at the end of `gpt-4o-2024-08-06`.
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def price_of(
    model: str | None,
    prices: Mapping[str, Price],
    *,
    at_list_price: bool,
) -> Price | None:
    """Return the price of a model, `None` if it is not known.

    The experiment's own `prices` win over the listed ones, which hold only if the
    provider itself is called. A snapshot (`gpt-4o-2024-08-06`) costs what its model
    does.
    """
    if model is None:
        return None
    without_date = _SNAPSHOT.sub("", model)
    # A price given for one snapshot wins over that of its model.
    price = prices.get(model) or prices.get(without_date)
    if price is None and at_list_price:
        price = LIST_PRICES.get(without_date)
    return price


def added(
    first: TokenUsage,
    second: TokenUsage,
) -> TokenUsage:
    """Return the sum of two usages; a count is `None` if neither usage has it."""
    counts = {}
    for name in TokenUsage.model_fields:
        of_first, of_second = getattr(first, name), getattr(second, name)
        # A sum with an unknown part is still the part that is known.
        if of_first is None or of_second is None:
            counts[name] = of_second if of_first is None else of_first
        else:
            counts[name] = of_first + of_second
    return TokenUsage(**counts)
