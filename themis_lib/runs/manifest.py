"""A run's record: what it was, how it ended, and which stages made its rows.

`<store>/runs/<run_id>/manifest.json`; written when the run starts and again when it
ends. Credentials never reach it: components are recorded by identity, not by their
settings' values at run time.
"""

from __future__ import annotations

import json
import platform
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import Field

from themis_lib.core.config import StatisticsConfig
from themis_lib.core.models import FrozenModel, TokenUsage
from themis_lib.core.prices import Price
from themis_lib.errors import StoreError
from themis_lib.runs.agreement import AgreementRecord
from themis_lib.runs.pipeline import Pipeline
from themis_lib.storage.store import RunStore

MANIFEST_NAME = "manifest.json"


class RunStatus(StrEnum):
    """How a run stands. Partial failure: some rows carry an error in place of a value."""

    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL_FAILURE = "partial_failure"
    FAILED = "failed"


class StageRecord(FrozenModel):
    """One stage of a run: its identity and its rows; see `StageProgress`. `errors`
    counts the rows without a value.

    `usage` counts the tokens of all rows, `usage_computed` those of the rows that this
    run computed; `price` is what they were charged at. `is_paid`: its calls may cost
    money.
    """

    stage: str
    fingerprint: str
    identity: dict[str, Any]
    rows: int = 0
    computed: int = 0
    cached: int = 0
    failed: int = 0
    skipped: int = 0
    errors: int = 0
    usage: TokenUsage | None = None
    usage_computed: TokenUsage | None = None
    price: Price | None = None
    is_paid: bool = False

    @property
    def lacks_price(self) -> bool:
        """Whether its tokens may cost money, and nobody said how much."""
        return self.is_paid and self.usage is not None and self.price is None

    @property
    def cost(self) -> float | None:
        """The dollars that all rows took, whoever paid; null without a price."""
        return None if self.price is None else self.price.cost(self.usage)

    @property
    def cost_paid(self) -> float | None:
        """The dollars that this run paid."""
        return None if self.price is None else self.price.cost(self.usage_computed)


class GateOutcome(StrEnum):
    """How a gate ended: the whole interval on the right side, on the wrong side, or on
    both.
    """

    PASS = "pass"
    FAIL = "fail"
    UNDERPOWERED = "underpowered"


class GateRecord(FrozenModel):
    """One gate on one dataset or slice: what it asked, the estimate it went by with its
    interval, and what came out.

    `baseline` is the id of the run it was compared with; `estimate` then is the
    difference from it.
    """

    gate: str
    metric_id: str
    dataset_id: str
    slice: str
    outcome: GateOutcome
    estimate: float | None
    low: float | None
    high: float | None
    baseline: str | None = None
    reason: str


class Manifest(FrozenModel):
    """The record of one run. `datasets` counts their cases; `cases` says where in the
    store these lie.
    """

    run_id: str
    name: str
    status: RunStatus
    started_at: str
    finished_at: str | None = None
    error: str | None = None
    experiment: str
    seeds: list[int]
    until_stage: str
    datasets: dict[str, int] = Field(default_factory=dict)
    cases: list[str] = Field(default_factory=list)
    stages: list[StageRecord] = Field(default_factory=list)
    summary_computed: int = 0
    statistics: StatisticsConfig = Field(default_factory=StatisticsConfig)
    agreement: list[AgreementRecord] = Field(default_factory=list)
    gates: list[GateRecord] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def cost(self) -> float | None:
        """The dollars that all rows of the run took, whoever paid; null where no model
        has a price.

        Those of the stages in `unpriced` are left out.
        """
        return _sum([record.cost for record in self.stages])

    @property
    def cost_paid(self) -> float | None:
        """The dollars that this run paid; the rest of `cost` the store has saved."""
        return _sum([record.cost_paid for record in self.stages])

    @property
    def cost_saved(self) -> float | None:
        """The dollars that the store has saved this run."""
        if self.cost is None or self.cost_paid is None:
            return None
        return max(self.cost - self.cost_paid, 0.0)

    @property
    def unpriced(self) -> list[str]:
        """The stages that `cost` and `cost_paid` leave out, since nobody said what
        their tokens cost.
        """
        return [record.stage for record in self.stages if record.lacks_price]

    @property
    def gate_outcome(self) -> GateOutcome | None:
        """The worst outcome of its gates; null for a run without gates."""
        return worst_outcome(self.gates)


def worst_outcome(gates: Sequence[GateRecord]) -> GateOutcome | None:
    """Fail before underpowered before pass; null without gates."""
    outcomes = {record.outcome for record in gates}
    by_weight = (GateOutcome.FAIL, GateOutcome.UNDERPOWERED, GateOutcome.PASS)
    return next((outcome for outcome in by_weight if outcome in outcomes), None)


def _sum(costs: list[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known else None


def new_run_id() -> str:
    """A name for a run that sorts by time: `20261121-093000-4f1a2b`."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def now() -> str:
    """The time in UTC, as manifests write it: fine enough to say which of two short
    runs came first.
    """
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def start_manifest(pipeline: Pipeline, run_id: str) -> Manifest:
    """The record of a run that has just begun."""
    return Manifest(
        run_id=run_id,
        name=pipeline.experiment.name,
        status=RunStatus.RUNNING,
        started_at=now(),
        experiment=pipeline.fingerprint,
        seeds=list(pipeline.seeds),
        until_stage=pipeline.until_stage,
        statistics=pipeline.experiment.evaluation.statistics,
        stages=[
            StageRecord(
                stage=stage.label,
                fingerprint=stage.fingerprint,
                identity=stage.identity,
                is_paid=stage.is_paid,
            )
            for stage in pipeline.stages
        ],
        versions={
            "themis-flows": _version("themis-flows"),
            "python": platform.python_version(),
        },
    )


def write_manifest(store: RunStore, manifest: Manifest) -> None:
    """Write the record of a run, over an earlier one."""
    content = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
    store.replace(f"runs/{manifest.run_id}/{MANIFEST_NAME}", content.encode())


def read_manifest(store: RunStore, run_id: str) -> Manifest:
    """The record of a run. Raises `StoreError` where the store has none of this id, or
    one that cannot be read.
    """
    path = f"runs/{run_id}/{MANIFEST_NAME}"
    try:
        return parse_manifest(store.read_bytes(path))
    except FileNotFoundError:
        raise StoreError(f"store {store.url!r} has no run {run_id!r}") from None
    except ValueError:
        raise StoreError(
            f"{store.uri(path)} cannot be read: the record of run {run_id!r} is damaged"
        ) from None


def parse_manifest(content: bytes) -> Manifest:
    """The record that a file holds. Raises `ValueError` where it holds none."""
    return Manifest.model_validate(json.loads(content))


def manifests(store: RunStore) -> list[Manifest]:
    """The records of all runs of a store, oldest first; a directory without a readable
    record is left out.
    """
    found = []
    for run_id in sorted(store.list("runs")):
        try:
            found.append(read_manifest(store, run_id))
        except (StoreError, ValueError, NotADirectoryError):
            continue
    return found


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "source"
