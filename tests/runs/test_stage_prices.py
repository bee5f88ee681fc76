"""The price of a stage: looked up once, and kept in the store."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from themis_lib.core.model_prices import PriceOf
from themis_lib.runs.stage_prices import price_in
from themis_lib.storage.store import RunStore


def test_list_price_is_kept_under_the_name_in_the_list(tmp_path: Path) -> None:
    """That of a model whose own name says more, as those of `any` do."""
    store = RunStore(str(tmp_path))
    price_of = PriceOf(
        "gemini:gemini-2.5-flash",
        {},
        at_list_price=True,
        provider="google",
        listed_as="gemini-2.5-flash",
    )
    stage: Any = SimpleNamespace(price_of=price_of, price=None)

    found = price_in(store, stage)

    assert found is not None
    assert price_of.price == found == price_in(store, stage)
    [kept] = tmp_path.glob("prices/*.json")
    assert '"gemini-2.5-flash"' in kept.read_text()
