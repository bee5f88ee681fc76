"""A generate stage whose rows are asked for in one arrangement, and kept under it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from themis_lib.certification.arrangements import SHARED_PREFIX, Arrangement
from themis_lib.components.records import BuiltGenerator
from themis_lib.core.config import RuntimeConfig
from themis_lib.core.prompts import PromptSpec
from themis_lib.data.cut import keep_cases
from themis_lib.stages.budget import Budget
from themis_lib.stages.generate import GenerateStage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore

#: Reasons of failures that are counted apart.
_MOST_REASONS = 5
_REASON_CHARACTERS = 300


class ArrangedStage(GenerateStage):
    """One candidate for each prompt, as an arrangement asks for it.

    Its rows have keys of their own for each arrangement, so that no arrangement is
    answered with what another one got. They are sent in the order of the shard.
    """

    def __init__(
        self,
        stage: GenerateStage,
        generator: BuiltGenerator,
        arrangement: Arrangement,
        runtime: RuntimeConfig,
        budget: Budget | None,
    ) -> None:
        super().__init__(
            generator,
            prompt_spec=_behind_prefix(stage.prompt_spec, arrangement),
            seeds=stage.seeds[:1],
            runtime=runtime.model_copy(
                update={
                    "max_concurrency": arrangement.at_once,
                    "batch_size": arrangement.at_once,
                    "batch": None,
                }
            ),
            examples=stage.examples,
            price_of=stage.price_of,
            budget=budget,
        )
        self.arrangement = arrangement

    @property
    def identity(self) -> dict[str, Any]:
        """What identifies the generate stage, and the arrangement."""
        return {**super().identity, "arrangement": self.arrangement.identity}

    @property
    def claimed_in_flight(self) -> int:
        """None is claimed: a row that is left to another run is asked beside its rows."""
        return 0

    def _has_prompt_cache(self, rows: pa.Table) -> bool:
        # Prompts that begin alike are neither sorted nor held back: the arrangement is
        # what is to be tried.
        return False


def _behind_prefix(
    spec: PromptSpec,
    arrangement: Arrangement,
) -> PromptSpec:
    if not arrangement.has_prefix:
        return spec
    return spec.model_copy(update={"prefix": SHARED_PREFIX + (spec.prefix or "")})


def arranged_shard(
    store: RunStore,
    cases: pa.Table,
    arrangement: Arrangement,
) -> Shard:
    """Keep the prompts in the order of an arrangement, and return their shard."""
    order = pa.array(arrangement.order(cases.num_rows), pa.int64())
    return Shard(
        index=0,
        start=0,
        dataset_id="prompts",
        cases=keep_cases(store, cases.take(order)),
        has_lists=True,
        has_parts=True,
    )


def in_given_order(
    table: pa.Table,
    arrangement: Arrangement,
) -> pa.Table:
    """Return the rows of an arrangement in the order in which the prompts were given."""
    order = np.asarray(arrangement.order(table.num_rows))
    return table.take(pa.array(np.argsort(order, kind="stable"), pa.int64()))


def reasons_of(failed: pa.Table) -> dict[str, int]:
    """Return why rows failed, the commonest reasons first, and how many."""
    reasons = Counter(
        " ".join((reason or "no reason").split())[:_REASON_CHARACTERS]
        for reason in failed["error"].to_pylist()
    )
    return dict(sorted(reasons.items(), key=lambda item: -item[1])[:_MOST_REASONS])
