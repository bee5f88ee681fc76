"""Whether the rows of a generator go to its provider by batch, and how."""

from __future__ import annotations

from dataclasses import dataclass

from themis_lib.components.records import BuiltGenerator
from themis_lib.core.batches import BatchApi
from themis_lib.core.config import BatchConfig
from themis_lib.core.prices import Price
from themis_lib.errors import ConfigError


@dataclass(frozen=True)
class Batching:
    """How a generator's rows go to its provider by batch."""

    api: BatchApi
    config: BatchConfig


def batching_of(
    generator: BuiltGenerator,
    config: BatchConfig | None,
    price: Price | None,
) -> Batching | None:
    """Return how rows go by batch; `None` where they are asked live."""
    if config is None or generator.batch_api is None:
        return None
    is_cheaper = price is not None and price.batch is not None and price.batch < 1
    if config.when == "cheaper" and not is_cheaper:
        return None
    return Batching(generator.batch_api, config)


def check_has_batches(
    generator: BuiltGenerator,
    config: BatchConfig | None,
    *,
    where: str,
) -> None:
    """Raise `ConfigError` if rows are always to go by batch, and the generator cannot."""
    if config is None or config.when != "always" or generator.batch_api is not None:
        return
    # Of a generator with many providers, the model names the one.
    name = generator.component_id
    if generator.model is not None:
        name += f" {generator.model}"
    raise ConfigError(
        f"runtime.batch.when='always': {where} ({name}) has no batch API; write "
        "when: cheaper, or leave runtime.batch out"
    )
