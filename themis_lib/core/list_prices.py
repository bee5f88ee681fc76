"""List prices of models, from the library genai-prices.

The prices are those that came with the installed version; nothing is fetched.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from themis_lib.core.prices import Price, PriceTier

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice

#: What a price of ours calls each of the library's.
_NAMES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "reasoning": "output_reasoning_mtok",
}


#: What providers charge for the same tokens by their batch APIs; the library has no share.
#: Half at each: openai.com/api/pricing, docs.claude.com (Batch processing),
#: ai.google.dev/gemini-api/docs/pricing (Batch), mistral.ai/pricing (Batch API).
_BATCH_SHARES = {"openai": 0.5, "anthropic": 0.5, "google": 0.5, "mistral": 0.5}


@dataclass(frozen=True)
class ListPrice:
    """The list price of a model from a day on; `None` if there is none.

    `until` is the day from which on the library has another price.
    """

    price: Price | None
    until: date | None = None


def list_price(
    model: str,
    provider: str | None,
    day: date,
) -> ListPrice:
    """Return what a provider charges for a model's tokens on a day, in UTC.

    Without a provider it is the one whose models have such names. Of prices that change
    in the course of a day it is the highest.
    """
    try:
        found_provider, info = _snapshot().find_provider_model(
            model, None, provider, None
        )
    except LookupError:
        return ListPrice(None)
    found = []
    for moment in _moments(info, day):
        price = _price_of(info.get_prices(moment))
        if price is not None:
            share = _BATCH_SHARES.get(found_provider.id)
            found.append(price.model_copy(update={"batch": share}))
    highest = max(found, key=lambda price: (price.input, price.output), default=None)
    return ListPrice(highest, _next_change(info, day))


def price_source() -> str:
    """Return the library and its version, as a price names its source."""
    return f"genai-prices {version('genai-prices')}"


# Importing the library takes a fifth of a second, which cached runs have no need of.
@cache
def _snapshot() -> DataSnapshot:
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    # Not the library's own, which other code of the process may keep up to date.
    return DataSnapshot(providers=providers, from_auto_update=False)


def _constraints(info: ModelInfo) -> list[Any]:
    if not isinstance(info.prices, list):
        return []
    return [item.constraint for item in info.prices if item.constraint is not None]


def _moments(
    info: ModelInfo,
    day: date,
) -> list[datetime]:
    """Return moments of a day at which all prices of that day hold."""
    moments = [datetime.combine(day, time(12), UTC)]
    for constraint in _constraints(info):
        for name in ("start_time", "end_time"):
            clock = getattr(constraint, name, None)
            if clock is not None:
                moments.append(datetime.combine(day, clock.replace(tzinfo=UTC)))
    return moments


def _next_change(
    info: ModelInfo,
    day: date,
) -> date | None:
    starts = [getattr(each, "start_date", None) for each in _constraints(info)]
    return min((start for start in starts if start and start > day), default=None)


def _price_of(listed: ModelPrice) -> Price | None:
    """Return a price of the library; `None` for one that is not by the token."""
    # A price for each request is none of its tokens.
    if (
        listed.input_mtok is None
        or listed.output_mtok is None
        or listed.requests_kcount
    ):
        return None
    starts = set()
    for name in _NAMES.values():
        for tier in getattr(getattr(listed, name), "tiers", ()):
            starts.add(tier.start)
    tiers = [
        PriceTier(above=start, **_dollars(listed, start)) for start in sorted(starts)
    ]
    return Price(**_dollars(listed, 0), tiers=tiers, source=price_source())


def _dollars(
    listed: ModelPrice,
    start: int,
) -> dict[str, Any]:
    """Return the prices of requests with more input tokens than `start`."""
    dollars = {}
    for ours, theirs in _NAMES.items():
        value = getattr(listed, theirs)
        if value is None:
            continue
        price = getattr(value, "base", value)
        for tier in getattr(value, "tiers", ()):
            if tier.start <= start:
                price = tier.price
        dollars[ours] = float(price)
    return dollars
