"""List prices: those of the installed genai-prices, as of a day."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from importlib.metadata import version

import pytest
from genai_prices.data import providers
from genai_prices.types import TieredPrices, Usage

from themis_lib import Price, TokenUsage
from themis_lib.core.list_prices import list_price, price_source
from themis_lib.core.model_prices import LEAST_TIER, PriceOf, usage_in_tiers
from themis_lib.core.prices import PriceTier

DAY = date(2026, 6, 1)
OWN = Price(input=2.0, cached_input=0.5, output=8.0)


def price_on(day: date, model: str, provider: str | None = None) -> Price:
    price = list_price(model, provider, day).price
    assert price is not None
    return price


def test_price_names_its_source() -> None:
    """The library and its version."""
    assert f"genai-prices {version('genai-prices')}" == price_source()
    assert price_source() == price_on(DAY, "gpt-4o", "openai").source


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-2024-08-06"])
def test_prices_are_those_of_the_provider(model: str) -> None:
    """Dollars for a million tokens of gpt-4o, as OpenAI publishes them."""
    price = price_on(DAY, model, "openai")

    assert (2.5, 1.25, 10.0) == (price.input, price.cached_input, price.output)


def test_price_of_long_requests_is_a_tier() -> None:
    """Anthropic's for claude-sonnet-4-5, as published: twice as much from 200,000 on."""
    price = price_on(DAY, "claude-sonnet-4-5", "anthropic")

    (tier,) = price.tiers
    assert (3.0, 0.3, 3.75, 15.0) == (
        price.input,
        price.cached_input,
        price.cache_write,
        price.output,
    )
    assert (200_000, 6.0, 22.5) == (tier.above, tier.input, tier.output)


def test_price_is_that_of_the_day() -> None:
    """OpenAI lowered the price of o3 on 10 June 2025."""
    before = list_price("o3", "openai", date(2025, 6, 9))

    assert before.price is not None
    assert (10.0, date(2025, 6, 10)) == (before.price.input, before.until)
    assert 2.0 == price_on(date(2025, 6, 10), "o3", "openai").input


def test_of_prices_that_change_within_a_day_the_highest_counts() -> None:
    """A budget has to hold at every hour."""
    by_hour = set()
    price = price_on(DAY, "deepseek-chat", "deepseek")
    for provider in providers:
        for model in provider.models:
            if (provider.id, model.id) == ("deepseek", "deepseek-chat"):
                for hour in range(24):
                    moment = datetime(2026, 6, 1, hour, 45, tzinfo=UTC)
                    by_hour.add(float(model.get_prices(moment).input_mtok))

    assert max(by_hour) == price.input


def test_provider_is_found_by_the_model_unless_it_is_named() -> None:
    """Its own names of models say whose they are."""
    assert price_on(DAY, "claude-sonnet-4-5").cache_write == 3.75
    assert list_price("claude-sonnet-4-5", "openai", DAY).price is None
    assert list_price("nobody-knows-it", None, DAY).price is None


def test_costs_are_those_of_the_library() -> None:
    """Of every model of every provider that is charged by the token, short and long."""
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    compared = 0
    for provider in providers:
        for model in provider.models:
            listed = list_price(model.id, provider.id, DAY)
            theirs = model.get_prices(noon)
            has_times = any(
                hasattr(each.constraint, "start_time")
                for each in (model.prices if isinstance(model.prices, list) else ())
            )
            # Another model of the provider may have the name as an alias.
            if listed.price is None or has_times or not model.is_match(model.id):
                continue
            for scale in (1, 1_000):
                usage = TokenUsage(
                    input_tokens=900 * scale,
                    cached_tokens=300 * scale,
                    cache_write_tokens=200 * scale,
                    output_tokens=70 * scale,
                    reasoning_tokens=30 * scale,
                )
                counts = Usage(
                    input_tokens=usage.input_tokens,
                    cache_read_tokens=usage.cached_tokens,
                    cache_write_tokens=usage.cache_write_tokens,
                    output_tokens=usage.output_tokens,
                    output_reasoning_tokens=usage.reasoning_tokens,
                )
                expected = float(theirs.calc_price(counts)["total_price"])
                assert expected == pytest.approx(listed.price.cost(usage)), model.id
            compared += 1

    assert compared > 1_500


def test_no_list_price_has_a_tier_of_short_requests() -> None:
    """So that short requests need no look at list prices."""
    starts = []
    for provider in providers:
        for model in provider.models:
            conditional = model.prices if isinstance(model.prices, list) else ()
            prices = [item.prices for item in conditional] or [model.prices]
            for price in prices:
                for value in vars(price).values():
                    if isinstance(value, TieredPrices):
                        starts += [tier.start for tier in value.tiers]

    assert LEAST_TIER < min(starts)


def test_own_price_wins_over_the_list() -> None:
    """An experiment knows its own contract, also for a model's snapshots."""
    own = PriceOf("gpt-4o-2024-08-06", {"gpt-4o": OWN}, at_list_price=True)

    assert OWN == own.price
    assert not own.is_listed
    listed = PriceOf("gpt-4o", {}, at_list_price=True, provider="openai").price
    assert listed is not None
    assert 2.5 == listed.input


def test_list_prices_are_for_the_provider_alone() -> None:
    """The same name on another server may cost anything."""
    assert PriceOf("gpt-4o", {}).price is None
    assert PriceOf(None, {}, at_list_price=True).price is None


def test_usage_in_tiers_is_that_of_long_requests() -> None:
    """Of a price of the provider's, or of the experiment's own."""
    short, long = {"input_tokens": 9}, {"input_tokens": 200_001, "output_tokens": 2}
    listed = PriceOf("claude-sonnet-4-5", {}, at_list_price=True)
    tier = PriceTier(above=8, input=1.0, output=1.0)
    own = PriceOf("m", {"m": OWN.model_copy(update={"tiers": [tier]})})

    assert {200_000: TokenUsage(**long)} == usage_in_tiers(listed, [short, long])
    assert {8: TokenUsage(input_tokens=200_010, output_tokens=2)} == usage_in_tiers(
        own, [short, long]
    )
    assert {} == usage_in_tiers(listed, [short])
    assert {} == usage_in_tiers(PriceOf("m", {"m": OWN}), [long])
    assert {} == usage_in_tiers(None, [long])


def test_library_is_imported_when_a_price_is_looked_up() -> None:
    """It takes a fifth of a second."""
    code = (
        "import sys, themis_lib.core.model_prices as prices\n"
        "of = prices.PriceOf('gpt-4o', {}, at_list_price=True)\n"
        "assert 'genai_prices' not in sys.modules\n"
        "of.price\n"
        "assert 'genai_prices' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
