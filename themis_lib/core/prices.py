"""Prices of tokens, and what tokens cost at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from themis_lib.core.models import Count, FrozenModel, TokenUsage

PerMillion = Annotated[float, Field(ge=0)]
#: The tokens of the requests above each of a price's tiers, by its `above`.
TierUsage = Mapping[int, TokenUsage]


class _TokenPrices(FrozenModel):
    input: PerMillion
    output: PerMillion
    cached_input: PerMillion | None = None
    cache_write: PerMillion | None = None
    reasoning: PerMillion | None = None

    @property
    def of_cached(self) -> float:
        """Dollars for a million tokens that were read from the provider's cache."""
        return self.input if self.cached_input is None else self.cached_input

    @property
    def of_cache_write(self) -> float:
        """Dollars for a million tokens that were written to the provider's cache."""
        return self.input if self.cache_write is None else self.cache_write

    @property
    def of_reasoning(self) -> float:
        """Dollars for a million tokens of reasoning."""
        return self.output if self.reasoning is None else self.reasoning


class PriceTier(_TokenPrices):
    """The prices of all tokens of a request with more than `above` input tokens."""

    above: Count


class Price(_TokenPrices):
    """US dollars for a million tokens.

    Without `cached_input`, cached tokens cost as much as other input, and so do tokens
    written to the provider's cache without `cache_write`. Without `reasoning`, tokens
    of reasoning cost as much as other output. `tiers` are the prices of long requests.
    `batch` is the share of these prices that the same tokens cost by batch; `None` is
    not known.
    `source` says where the price is from; `None` is the experiment.
    """

    batch: Annotated[float, Field(gt=0, le=1)] | None = None
    tiers: list[PriceTier] = Field(default_factory=list)
    source: str | None = None

    def cost(self, usage: TokenUsage | None) -> float:
        """Return the dollars for one request's tokens; uncounted ones cost nothing here.

        >>> Price(input=2.0, output=8.0).cost(TokenUsage(input_tokens=500_000, output_tokens=1_000))
        1.008
        """
        if usage is None:
            return 0.0
        above = self.tier_of(usage.input_tokens)
        return self.total(usage, {} if above is None else {above: usage})

    def cost_by_batch(self, usage: TokenUsage | None) -> float:
        """Return the dollars for these tokens if they come by batch.

        >>> Price(input=2.0, output=8.0, batch=0.5).cost_by_batch(TokenUsage(output_tokens=1_000))
        0.004
        """
        return self.total(usage, {}) - self.saved_by_batch(usage)

    def saved_by_batch(self, usage: TokenUsage | None) -> float:
        """Return by how many dollars these tokens are cheaper by batch.

        Long requests count as others here: their discount is never less.
        """
        share = 1.0 if self.batch is None else self.batch
        return (1.0 - share) * self.total(usage, {})

    def most(self, usage: TokenUsage) -> float:
        """Return the most dollars that a request of at most these tokens can cost.

        Nobody knows before how many of them the provider will read from its cache.
        """
        costs = []
        above = self.tier_of(usage.input_tokens) or 0
        passed = [tier for tier in self.tiers if tier.above <= above]
        for prices in (self, *passed):
            of_input = max(prices.input, prices.of_cached, prices.of_cache_write)
            of_output = max(prices.output, prices.of_reasoning)
            read = (usage.input_tokens or 0) * of_input
            costs.append((read + (usage.output_tokens or 0) * of_output) / 1e6)
        return max(costs)

    def tier_of(self, input_tokens: int | None) -> int | None:
        """Return the `above` of a request's tier; `None` if it is in none."""
        passed = [tier.above for tier in self.tiers if (input_tokens or 0) > tier.above]
        return max(passed, default=None)

    def total(
        self,
        usage: TokenUsage | None,
        in_tiers: TierUsage,
    ) -> float:
        """Return the dollars for the tokens of many requests.

        `in_tiers` are those of them that belong to requests in a tier.
        """
        return sum(line.cost for line in self.lines(usage, in_tiers))

    def cache_savings(
        self,
        usage: TokenUsage | None,
        in_tiers: TierUsage,
    ) -> float:
        """Return what the provider's prompt cache saved, less what writing to it cost.

        >>> price = Price(input=2.0, cached_input=0.5, output=8.0)
        >>> price.cache_savings(TokenUsage(input_tokens=9, cached_tokens=1_000_000), {})
        1.5
        """
        saved = 0.0
        for prices, part in self._parts(usage, in_tiers):
            saved += (part.cached_tokens or 0) * (prices.input - prices.of_cached)
            written = part.cache_write_tokens or 0
            saved -= written * (prices.of_cache_write - prices.input)
        return saved / 1e6

    def lines(
        self,
        usage: TokenUsage | None,
        in_tiers: TierUsage,
    ) -> list[CostLine]:
        """Return a line for each kind of tokens and each tier that has some."""
        lines = []
        for prices, part in self._parts(usage, in_tiers):
            above = prices.above if isinstance(prices, PriceTier) else None
            cached = part.cached_tokens or 0
            stored = part.cache_write_tokens or 0
            thought = part.reasoning_tokens or 0
            # Providers count all of these among the input and the output tokens.
            fresh = max((part.input_tokens or 0) - cached - stored, 0)
            said = max((part.output_tokens or 0) - thought, 0)
            kinds = (
                ("input", fresh, prices.input),
                ("cached input", cached, prices.of_cached),
                ("cache write", stored, prices.of_cache_write),
                ("output", said, prices.output),
                (
                    "reasoning",
                    min(thought, part.output_tokens or 0),
                    prices.of_reasoning,
                ),
            )
            for kind, tokens, per_million in kinds:
                if tokens:
                    lines.append(CostLine(kind, tokens, per_million, above))
        return lines

    def _parts(
        self,
        usage: TokenUsage | None,
        in_tiers: TierUsage,
    ) -> Iterator[tuple[Price | PriceTier, TokenUsage]]:
        """Yield prices, and the tokens that are charged at them."""
        rest = (usage or TokenUsage()).model_dump()
        for tier in self.tiers:
            part = in_tiers.get(tier.above)
            if part is None:
                continue
            yield tier, part
            for name, count in part:
                rest[name] = (rest[name] or 0) - (count or 0)
        yield self, TokenUsage(**rest)


@dataclass(frozen=True)
class CostLine:
    """Tokens of one kind and what they cost.

    `above` is the tier of the requests that they are of, `None` for most.
    """

    kind: str
    tokens: int
    per_million: float
    above: int | None = None

    @property
    def cost(self) -> float:
        """The dollars for these tokens."""
        return self.tokens * self.per_million / 1e6


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


def added_in_tiers(
    first: TierUsage,
    second: TierUsage,
) -> dict[int, TokenUsage]:
    """Return the sum of two usages in tiers."""
    total = dict(first)
    for above, usage in second.items():
        total[above] = added(total.get(above, TokenUsage()), usage)
    return total
