"""The price of a model: the experiment's own, or the list price of its provider."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property

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
    def is_listed(self) -> bool:
        """Whether it is the list price, if there is one."""
        return self.own is None and self.model is not None and self.at_list_price

    @cached_property
    def price(self) -> Price | None:
        """The price; `None` if it is not known."""
        if self.model is None or not self.is_listed:
            return self.own
        return list_price(self.model, self.provider, self.day).price


def usage_in_tiers(
    price_of: PriceOf | None,
    requests: Sequence[TokenUsage],
) -> dict[int, TokenUsage]:
    """Return the tokens of the requests that are in a tier of their price, by tier."""
    longest = max((usage.input_tokens or 0 for usage in requests), default=0)
    if price_of is None:
        return {}
    # Most requests are short, and need no look at list prices.
    if price_of.is_listed and longest <= LEAST_TIER:
        return {}
    price = price_of.price
    in_tiers: dict[int, TokenUsage] = {}
    if price is None or not price.tiers:
        return in_tiers
    for usage in requests:
        above = price.tier_of(usage.input_tokens)
        if above is not None:
            in_tiers[above] = added(in_tiers.get(above, TokenUsage()), usage)
    return in_tiers
