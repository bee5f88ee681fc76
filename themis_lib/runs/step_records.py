"""What a run records of the calls that its rows are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from themis_lib.core.model_prices import usage_in_tiers
from themis_lib.core.models import TokenUsage
from themis_lib.core.prices import added, added_in_tiers
from themis_lib.identity.digests import load_json_or_null
from themis_lib.runs.manifest import StageRecord
from themis_lib.runs.stage_prices import price_in
from themis_lib.stages.dependencies import dependencies_of, resolve
from themis_lib.stages.progress import StepProgress
from themis_lib.stages.stage import Stage
from themis_lib.storage.store import RunStore


class StepTokens:
    """The tokens that rows spent on others than the model under test, by who they are.

    A row keeps them in its transport: its own columns are the model's.
    """

    def __init__(self, steps: Sequence[Stage]) -> None:
        self._steps = {_member_of(stage): stage for stage in steps}
        self._spent: dict[str, TokenUsage] = {}
        self._in_tiers: dict[str, dict[int, TokenUsage]] = {}

    def add(self, outputs: pa.Table) -> None:
        """Count rows of outputs, which a run counts once each."""
        for transport in outputs["transport"].to_pylist():
            spent = (load_json_or_null(transport) or {}).get("spent") or {}
            for member, counts in spent.items():
                usage = TokenUsage(**counts)
                self._spent[member] = added(
                    self._spent.get(member, TokenUsage()), usage
                )
                in_tiers = usage_in_tiers(
                    self._steps[member].price_of, requests_in(transport, member)
                )
                self._in_tiers[member] = added_in_tiers(
                    self._in_tiers.get(member, {}), in_tiers
                )

    def of(self, stage: Stage) -> TokenUsage | None:
        """Return the tokens of a step's stage; `None` if it counts none."""
        return self._spent.get(_member_of(stage))

    def in_tiers(self, stage: Stage) -> dict[int, TokenUsage]:
        """Return the tokens of a step's requests in a tier of their price, by tier."""
        return self._in_tiers.get(_member_of(stage), {})


def requests_in(
    transport: str | None,
    member: str,
) -> list[dict[str, int]]:
    """Return the tokens of each request to a member that a row is made of.

    Rows of earlier versions do not say, and are taken to be of short ones.
    """
    requests = (load_json_or_null(transport) or {}).get("requests") or {}
    found: list[dict[str, int]] = requests.get(member, [])
    return found


def _member_of(stage: Stage) -> str:
    return stage.label.removeprefix("step[").removesuffix("]")


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
        usage = tokens.of(stage)
        charged: dict[str, Any] = {}
        is_model = stage is steps[0]
        # Calls are paid also where their row fails later.
        if not is_model and (usage is not None or counted.usage is not None):
            charged = {
                "usage": usage,
                "usage_computed": counted.usage,
                "in_tiers": tokens.in_tiers(stage),
                "in_tiers_computed": dict(counted.in_tiers),
                "price": price_in(store, stage),
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
