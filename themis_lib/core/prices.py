"""What tokens cost: a price for each model, from the experiment or from the small list
kept here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from themis_lib.core.models import FrozenModel, TokenUsage

PerMillion = Annotated[float, Field(ge=0)]


class Price(FrozenModel):
    """US dollars for a million tokens. Cached input costs what input does where nothing
    else is said.
    """

    input: PerMillion
    output: PerMillion
    cached_input: PerMillion | None = None

    def cost(self, usage: TokenUsage | None) -> float:
        """The dollars for these tokens; what a provider did not count costs nothing
        here.

        >>> Price(input=2.0, output=8.0).cost(TokenUsage(input_tokens=500_000, output_tokens=1_000))
        1.008
        """
        if usage is None:
            return 0.0
        cached = usage.cached_tokens or 0
        fresh = max((usage.input_tokens or 0) - cached, 0)
        cached_price = self.input if self.cached_input is None else self.cached_input
        return (
            fresh * self.input
            + cached * cached_price
            + (usage.output_tokens or 0) * self.output
        ) / 1e6


#: OpenAI's list prices, without batch or flex discounts, as published on this date. An
#: experiment's own go first.
LIST_PRICES_DATE = "2025-08-07"
LIST_PRICES: Mapping[str, Price] = {
    "gpt-4.1": Price(input=2.0, cached_input=0.5, output=8.0),
    "gpt-4.1-mini": Price(input=0.4, cached_input=0.1, output=1.6),
    "gpt-4.1-nano": Price(input=0.1, cached_input=0.025, output=0.4),
    "gpt-4o": Price(input=2.5, cached_input=1.25, output=10.0),
    "gpt-4o-mini": Price(input=0.15, cached_input=0.075, output=0.6),
    "gpt-5": Price(input=1.25, cached_input=0.125, output=10.0),
    "gpt-5-mini": Price(input=0.25, cached_input=0.025, output=2.0),
    "gpt-5-nano": Price(input=0.05, cached_input=0.005, output=0.4),
    "o3": Price(input=2.0, cached_input=0.5, output=8.0),
    "o4-mini": Price(input=1.1, cached_input=0.275, output=4.4),
}
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def price_of(generator: Any, prices: Mapping[str, Price]) -> Price | None:
    """The price of a generator's model: the experiment's, else the listed one where its
    provider is OpenAI itself.

    A snapshot (`gpt-4o-2024-08-06`) costs what its model does. Null where nothing says.
    """
    model = getattr(generator, "model", None)
    if not isinstance(model, str):
        return None
    listed = LIST_PRICES if getattr(generator, "at_list_price", False) else {}
    plain = _SNAPSHOT.sub("", model)
    return prices.get(model) or prices.get(plain) or listed.get(plain)


def added(first: TokenUsage, second: TokenUsage) -> TokenUsage:
    """The sum of two counts; null where neither says."""
    counts = {}
    for name in TokenUsage.model_fields:
        known = [
            count
            for usage in (first, second)
            if (count := getattr(usage, name)) is not None
        ]
        counts[name] = sum(known) if known else None
    return TokenUsage(**counts)
