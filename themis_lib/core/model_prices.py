"""The price of a model: the experiment's own, or the list price of its provider."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

from themis_lib.core.list_prices import list_price
from themis_lib.core.models import TokenUsage
from themis_lib.core.prices import Price, added

#: No list price has a tier that begins below.
LEAST_TIER = 30_000
# The date at the end of `gpt-4o-2024-08-06`.
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def _today() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True)
class PriceOf:
    """What a model costs, looked up when somebody asks for it.

    The experiment's own `prices` win over the list price, which holds only if the
    provider itself is called. A price of a model holds for its snapshots
    (`gpt-4o-2024-08-06`).
    """

    model: str | None
    prices: Mapping[str, Price]
    at_list_price: bool = False
    provider: str | None = None
    #: The model's name at its provider, where `model` says more than that.
    listed_as: str | None = None
    #: List prices are those of the day on which the run starts.
    day: date = field(default_factory=_today)

    @cached_property
    def own(self) -> Price | None:
        """The price that the experiment gives."""
        if self.model is None:
            return None
        # A price given for one snapshot wins over that of its model.
        without_date = _SNAPSHOT.sub("", self.model)
        return self.prices.get(self.model) or self.prices.get(without_date)

    @property
    def listed_model(self) -> str | None:
        """The name under which the model has a list price."""
        return self.listed_as or self.model

    @property
    def is_listed(self) -> bool:
        """Whether it is the list price, if there is one."""
        return self.own is None and self.model is not None and self.at_list_price

    @property
    def least_tier(self) -> int | None:
        """The input tokens from which on a request may be in a tier of the price.

        `None` if none can be.
        """
        # Most requests are short, and need no look at list prices.
        if self.is_listed:
            return LEAST_TIER
        tiers = self.own.tiers if self.own is not None else ()
        return min((tier.above for tier in tiers), default=None)

    @cached_property
    def price(self) -> Price | None:
        """The price; `None` if it is not known."""
        model = self.listed_model
        if model is None or not self.is_listed:
            return self.own
        return list_price(model, self.provider, self.day).price


def usage_in_tiers(
    price_of: PriceOf | None,
    rows: Iterable[Mapping[str, Any]],
) -> dict[int, TokenUsage]:
    """Return the tokens of requests that are in a tier of their price, by tier.

    A request is a row with the counts of `TokenUsage`.
    """
    in_tiers: dict[int, TokenUsage] = {}
    least = None if price_of is None else price_of.least_tier
    if price_of is None or least is None:
        return in_tiers
    for row in rows:
        if (row.get("input_tokens") or 0) <= least:
            continue
        price = price_of.price
        above = None if price is None else price.tier_of(row["input_tokens"])
        if above is not None:
            counts = {name: row.get(name) for name in TokenUsage.model_fields}
            earlier = in_tiers.get(above, TokenUsage())
            in_tiers[above] = added(earlier, TokenUsage(**counts))
    return in_tiers
