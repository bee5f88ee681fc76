"""What a run's tokens cost: a row for each stage and kind of tokens."""

from __future__ import annotations

from collections.abc import Iterator

from themis_lib.core.models import TokenUsage
from themis_lib.core.prices import CostLine, Price, TierUsage
from themis_lib.runs.manifest import OWN_PRICES, Manifest, StageRecord

COST_HEADINGS = (
    "stage",
    "tokens",
    "in this run",
    "of all rows",
    "per million",
    "paid",
    "cost of all rows",
)
_UNKNOWN = "—"
#: Tells kinds of tokens apart where nobody says what they cost.
_NO_PRICE = Price(input=0.0, output=0.0)


def cost_rows(manifest: Manifest) -> list[tuple[str, ...]]:
    """Return the tokens and dollars of a run as text, under `COST_HEADINGS`.

    What a provider's prompt cache saved is below the tokens of a stage.
    """
    rows = []
    for record in [*manifest.stages, *manifest.steps]:
        if record.counts_tokens:
            rows += list(_stage_rows(record))
    return rows


def price_note(manifest: Manifest) -> str:
    """Return where a run's prices are from, to follow its dollars.

    Empty where the experiment gives all of them.
    """
    if manifest.price_sources in ([], [OWN_PRICES]):
        return ""
    return f" (prices: {', '.join(manifest.price_sources)})"


def exact_dollars(amount: float) -> str:
    """Return an amount with as many decimals as its smallest part needs, up to nine.

    >>> exact_dollars(0.0000375), exact_dollars(12.5), exact_dollars(-0.1)
    ('$0.0000375', '$12.50', '-$0.10')
    """
    text = f"{abs(amount):.9f}".rstrip("0")
    whole, _, decimals = text.partition(".")
    sign = "-" if amount < 0 else ""
    return f"{sign}${int(whole):,}.{decimals:0<2}"


def _stage_rows(record: StageRecord) -> Iterator[tuple[str, ...]]:
    price = record.price or _NO_PRICE
    computed = _lines_by_kind(price, record.usage_computed, record.in_tiers_computed)
    every = _lines_by_kind(price, record.usage, record.in_tiers)
    # Calls for rows that failed later are in this run, and in no row.
    for key, line in {**every, **computed}.items():
        of_run, of_all = computed.get(key), every.get(key)
        per_million, paid, cost = _UNKNOWN, _UNKNOWN, _UNKNOWN
        if record.price is not None:
            per_million = exact_dollars(line.per_million)
            paid = exact_dollars(of_run.cost if of_run else 0.0)
            cost = exact_dollars(of_all.cost if of_all else 0.0)
        yield (
            record.stage,
            _kind_text(line),
            f"{of_run.tokens if of_run else 0:,}",
            f"{of_all.tokens if of_all else 0:,}",
            per_million,
            paid,
            cost,
        )
    if record.cache_savings is not None and _uses_cache(record):
        saved = price.cache_savings(record.usage, record.in_tiers)
        yield (
            record.stage,
            "saved by the prompt cache",
            "",
            "",
            "",
            exact_dollars(-record.cache_savings),
            exact_dollars(-saved),
        )
    if record.saved_by_batch and record.price is not None:
        of_run_saved = record.price.saved_by_batch(record.usage_computed_by_batch)
        yield (
            record.stage,
            "saved by batch",
            "",
            "",
            "",
            exact_dollars(-of_run_saved),
            exact_dollars(-record.saved_by_batch),
        )


def _lines_by_kind(
    price: Price,
    usage: TokenUsage | None,
    in_tiers: TierUsage,
) -> dict[tuple[str, int | None], CostLine]:
    return {(line.kind, line.above): line for line in price.lines(usage, in_tiers)}


def _kind_text(line: CostLine) -> str:
    if line.above is None:
        return line.kind
    return f"{line.kind}, requests above {line.above:,}"


def _uses_cache(record: StageRecord) -> bool:
    for usage in (record.usage, record.usage_computed):
        if usage and (usage.cached_tokens or usage.cache_write_tokens):
            return True
    return False
