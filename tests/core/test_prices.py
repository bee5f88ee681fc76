"""What tokens cost, and which price a model has."""

from __future__ import annotations

import pytest

from themis_lib import Price, TokenUsage
from themis_lib.core.prices import LIST_PRICES, added, price_of

PRICE = Price(input=2.0, cached_input=0.5, output=8.0)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (TokenUsage(input_tokens=1_000_000, output_tokens=0), 2.0),
        (TokenUsage(input_tokens=1_000_000, cached_tokens=400_000), 1.2 + 0.2),
        (TokenUsage(input_tokens=1_000_000, cache_write_tokens=200_000), 2.0),
        (TokenUsage(output_tokens=1_000_000, reasoning_tokens=900_000), 8.0),
        (TokenUsage(), 0.0),
        (None, 0.0),
    ],
    ids=[
        "input",
        "cached input",
        "written at the price of input",
        "reasoning is output",
        "nothing counted",
        "no usage",
    ],
)
def test_cost_of_tokens(usage: TokenUsage | None, expected: float) -> None:
    """Cached input has a price of its own; reasoning tokens are among the output tokens
    already.
    """
    assert expected == pytest.approx(PRICE.cost(usage))


def test_cached_input_costs_what_input_does_where_nothing_is_said() -> None:
    """Without a price for cached input there is no discount."""
    assert 1.0 == Price(input=1.0, output=1.0).cost(
        TokenUsage(input_tokens=1_000_000, cached_tokens=500_000)
    )


def test_own_price_wins_over_the_list() -> None:
    """An experiment knows its own contract."""
    prices = {"gpt-4o": PRICE}

    assert PRICE == price_of("gpt-4o", prices, at_list_price=True)
    assert LIST_PRICES["gpt-4o"] == price_of("gpt-4o", {}, at_list_price=True)


def test_snapshot_costs_what_its_model_does() -> None:
    """`gpt-4o-2024-08-06` is `gpt-4o`."""
    expected = LIST_PRICES["gpt-4o"]

    assert expected == price_of("gpt-4o-2024-08-06", {}, at_list_price=True)


def test_list_prices_are_for_openai_alone() -> None:
    """The same name on another server may cost anything."""
    assert price_of("gpt-4o", {}, at_list_price=False) is None
    assert price_of(None, {}, at_list_price=True) is None


def test_counts_that_nobody_gave_stay_unknown() -> None:
    """Null and null is null; null and a count is the count."""
    total = added(
        TokenUsage(input_tokens=1), TokenUsage(input_tokens=2, cached_tokens=3)
    )

    assert TokenUsage(input_tokens=3, cached_tokens=3) == total
