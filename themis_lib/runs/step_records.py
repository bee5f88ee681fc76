"""What a run records of the calls that its rows are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from themis_lib.core.models import TokenUsage
from themis_lib.core.prices import added
from themis_lib.identity.digests import load_json_or_null
from themis_lib.runs.manifest import StageRecord
from themis_lib.stages.dependencies import dependencies_of, resolve
from themis_lib.stages.progress import StepProgress
from themis_lib.stages.stage import Stage
from themis_lib.storage.store import RunStore


class StepTokens:
    """The tokens that rows spent on others than the model under test, by who they are.

    A row keeps them in its transport: its own columns are the model's.
    """

    def __init__(self) -> None:
        self._spent: dict[str, TokenUsage] = {}
        self._counted: set[bytes] = set()

    def add(self, outputs: pa.Table) -> None:
        """Count the rows of a shard, each key once in a run."""
        rows = zip(
            outputs["key"].to_pylist(), outputs["transport"].to_pylist(), strict=True
        )
        for key, transport in rows:
            if key is None or key in self._counted:
                continue
            self._counted.add(key)
            spent = (load_json_or_null(transport) or {}).get("spent") or {}
            for member, counts in spent.items():
                usage = TokenUsage(**counts)
                self._spent[member] = added(
                    self._spent.get(member, TokenUsage()), usage
                )

    def of(self, label: str) -> TokenUsage | None:
        """Return the tokens of a step's stage, by its label; `None` if it counts none."""
        return self._spent.get(label.removeprefix("step[").removesuffix("]"))


def step_records(
    steps: Sequence[Stage],
    store: RunStore,
    counts: Mapping[str, StepProgress],
    tokens: StepTokens,
) -> list[StageRecord]:
    """Return the records of the calls that a run's rows are made of.

    The tokens of the model under test are on the record of generate.
    """
    records = []
    for stage in steps:
        found = resolve(stage, store)
        counted = counts.get(stage.label, StepProgress())
        usage = tokens.of(stage.label)
        charged: dict[str, Any] = {}
        if usage is not None:
            charged = {
                "usage": usage,
                "usage_computed": counted.usage,
                "price": stage.price,
                "is_paid": stage.is_paid,
            }
        record = StageRecord(
            stage=stage.label,
            fingerprint=found.fingerprint,
            identity=found.full_identity,
            rows=counted.rows,
            computed=counted.computed,
            cached=counted.rows - counted.computed,
            places=found.places,
            dependencies=dependencies_of(found, store),
            traced_in=list(found.traced_in),
            **charged,
        )
        records.append(record)
    return records
