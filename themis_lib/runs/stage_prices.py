"""The price of a stage, kept in the store so that cached runs need not look it up.

prices/<name>.json    a list price, named by model, provider and library version
"""

from __future__ import annotations

import contextlib
from datetime import date

from pydantic import ValidationError

from themis_lib.core.list_prices import list_price, price_source
from themis_lib.core.models import FrozenModel
from themis_lib.core.prices import Price
from themis_lib.errors import DiskFullError
from themis_lib.identity.digests import digest
from themis_lib.stages.stage import Stage
from themis_lib.storage.store import RunStore


class _Kept(FrozenModel):
    """A list price as a store keeps it: it holds from one day until another."""

    model: str
    provider: str | None
    price: Price | None
    since: date
    until: date | None

    def holds_on(self, day: date) -> bool:
        """Return whether the price is that of a day."""
        return self.since <= day and (self.until is None or day < self.until)


def price_in(
    store: RunStore,
    stage: Stage,
) -> Price | None:
    """Return what a stage's tokens cost; `None` if it is not known."""
    price_of = stage.price_of
    if price_of is None or not price_of.is_listed:
        return stage.price
    model = str(price_of.listed_model)
    name = digest("price", [price_source(), price_of.provider, model])
    path = f"prices/{name}.json"
    kept = _read(store, path)
    if kept is None or not kept.holds_on(price_of.day):
        found = list_price(model, price_of.provider, price_of.day)
        kept = _Kept(
            model=model,
            provider=price_of.provider,
            price=found.price,
            since=price_of.day,
            until=found.until,
        )
        # A run whose disk is full has to end with its record.
        with contextlib.suppress(DiskFullError, OSError):
            store.replace(path, kept.model_dump_json(indent=2).encode())
    return kept.price


def _read(
    store: RunStore,
    path: str,
) -> _Kept | None:
    try:
        return _Kept.model_validate_json(store.read_bytes(path))
    # A damaged file is looked up anew.
    except (FileNotFoundError, ValidationError):
        return None
