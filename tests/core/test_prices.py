"""What tokens cost."""

from __future__ import annotations

import pytest

from themis_lib import Price, TokenUsage
from themis_lib.core.prices import PriceTier, added

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


TIERED = Price(
    input=3.0,
    cached_input=0.3,
    cache_write=3.75,
    output=15.0,
    tiers=[
        PriceTier(
            above=200_000, input=6.0, cached_input=0.6, cache_write=7.5, output=22.5
        )
    ],
)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        # 100,000 · 3 + 60,000 · 0.3 + 40,000 · 3.75 + 1,000 · 15, by hand.
        (
            TokenUsage(
                input_tokens=200_000,
                cached_tokens=60_000,
                cache_write_tokens=40_000,
                output_tokens=1_000,
            ),
            0.483,
        ),
        # One token more, and all of them cost twice as much: 100,001 · 6 and so on.
        (
            TokenUsage(
                input_tokens=200_001,
                cached_tokens=60_000,
                cache_write_tokens=40_000,
                output_tokens=1_000,
            ),
            0.958506,
        ),
    ],
    ids=["up to the tier", "above it"],
)
def test_long_requests_cost_what_their_tier_says(
    usage: TokenUsage, expected: float
) -> None:
    """All tokens of a request are in the tier that its input tokens are in."""
    assert expected == pytest.approx(TIERED.cost(usage))


def test_sum_of_requests_keeps_their_tiers_apart() -> None:
    """Two short requests are no long one."""
    short = TokenUsage(input_tokens=150_000, output_tokens=10)
    long = TokenUsage(input_tokens=250_000, output_tokens=20)
    every = added(added(short, short), long)

    total = TIERED.total(every, {200_000: long})

    assert total == pytest.approx(2 * TIERED.cost(short) + TIERED.cost(long))
    # 300,000 · 3 + 20 · 15 + 250,000 · 6 + 20 · 22.5, by hand.
    assert 2.40075 == pytest.approx(total)


def test_reasoning_may_have_a_price() -> None:
    """Without one it is output."""
    usage = TokenUsage(output_tokens=1_000_000, reasoning_tokens=400_000)

    assert 8.0 == pytest.approx(PRICE.cost(usage))
    with_price = PRICE.model_copy(update={"reasoning": 3.0})
    assert 0.6 * 8.0 + 0.4 * 3.0 == pytest.approx(with_price.cost(usage))


def test_cache_saves_what_reading_it_is_cheaper_less_what_writing_costs() -> None:
    """100,000 cached tokens save 2.7 dollars a million; 20,000 written cost 0.75 more."""
    usage = TokenUsage(
        input_tokens=150_000, cached_tokens=100_000, cache_write_tokens=20_000
    )

    assert 0.27 - 0.015 == pytest.approx(TIERED.cache_savings(usage, {}))
    assert 0.0 == TIERED.cache_savings(TokenUsage(input_tokens=5), {})


def test_most_is_never_less_than_the_cost() -> None:
    """Whatever of the tokens is written to the cache."""
    most = TokenUsage(input_tokens=250_000, output_tokens=1_000)
    written = most.model_copy(update={"cache_write_tokens": 250_000})

    assert TIERED.most(most) >= TIERED.cost(written)
    assert TIERED.most(most) == pytest.approx(0.25 * 7.5 + 0.001 * 22.5)


def test_counts_that_nobody_gave_stay_unknown() -> None:
    """Null and null is null; null and a count is the count."""
    total = added(
        TokenUsage(input_tokens=1), TokenUsage(input_tokens=2, cached_tokens=3)
    )

    assert TokenUsage(input_tokens=3, cached_tokens=3) == total


def test_a_batch_costs_its_share() -> None:
    """Half, where the price says so; as much as live where it says nothing."""
    usage = TokenUsage(input_tokens=1_000, output_tokens=100)
    price = Price(input=2.0, output=8.0, batch=0.5)

    assert price.cost(usage) / 2 == price.cost_by_batch(usage)
    assert price.cost(usage) / 2 == price.saved_by_batch(usage)
    assert 0.0028 == pytest.approx(Price(input=2.0, output=8.0).cost_by_batch(usage))
