"""A run's record: what it was, how it ended, and which stages made its rows.

`<store>/runs/<run_id>/manifest.json`; written when the run starts and again when it
ends. Credentials never reach it: components are recorded by identity, not by their
settings' values at run time.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, ValidationError

from themis_lib.core.config import StatisticsConfig
from themis_lib.core.models import FrozenModel, TokenUsage
from themis_lib.core.option_names import GateBasis
from themis_lib.core.prices import Price, TierUsage
from themis_lib.errors import DiskFullError, StoreError
from themis_lib.runs import provenance
from themis_lib.runs.agreement import AgreementRecord
from themis_lib.runs.pipeline import Pipeline
from themis_lib.runs.sequential import SequentialRecord
from themis_lib.stages.endings import Ending
from themis_lib.stages.generate import GenerateStage
from themis_lib.storage.store import RunStore

MANIFEST_NAME = "manifest.json"
#: What a price without a source is from.
OWN_PRICES = "the experiment"


class RunStatus(StrEnum):
    """How a run ended, or that it is in flight.

    Partial failure: some rows have an error in place of a value. Waiting: rows are in
    batches at a provider, and the next run takes them up.
    """

    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL_FAILURE = "partial_failure"
    WAITING = "waiting"
    FAILED = "failed"


class StageRecord(FrozenModel):
    """One stage of a run: its identity and its rows.

    The counts are those of `StageProgress`; `errors` counts the rows without a value.
    `places` are the files and lines of its components' code. `dependencies` are the files
    and variables that its rows depend on, by digest, and `traced_in` the directories of
    earlier rows whose traces led to this identity.
    `usage` counts the tokens of all rows, `usage_computed` those of the rows that this
    run computed, each also `by_batch`, of those that came by batch, and `in_tiers`, of
    long requests, by tier of their price; `price` is what they are charged at, as of the
    day the run began. `open_batches` are at the provider, with rows of this stage. If
    `is_paid`, its calls may cost money. `endings` counts the outputs that were cut,
    filtered or refused.
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
    in_tiers: dict[int, TokenUsage] = Field(default_factory=dict)
    in_tiers_computed: dict[int, TokenUsage] = Field(default_factory=dict)
    usage_by_batch: TokenUsage | None = None
    usage_computed_by_batch: TokenUsage | None = None
    open_batches: list[str] = Field(default_factory=list)
    price: Price | None = None
    is_paid: bool = False
    places: dict[str, str] = Field(default_factory=dict)
    dependencies: dict[str, str] = Field(default_factory=dict)
    traced_in: list[str] = Field(default_factory=list)
    endings: dict[Ending, int] = Field(default_factory=dict)

    @property
    def max_tokens_setting(self) -> str | None:
        """The setting of the experiment that limits its outputs, if it has one."""
        generator = self.identity.get("generator") or {}
        if "max_tokens" not in (generator.get("settings") or {}):
            return None
        if self.name == "generate":
            return "generation.generator.max_tokens"
        # A metric may name its judges itself.
        return "max_tokens of the judge"

    @property
    def name(self) -> str:
        """The stage without its metric or judge: `score` for `score[exact_match]`."""
        return self.stage.partition("[")[0]

    @property
    def member_id(self) -> str | None:
        """The metric or judge in brackets; `None` for a stage that has neither."""
        _, bracket, rest = self.stage.partition("[")
        return rest.removesuffix("]") if bracket else None

    @property
    def counts_tokens(self) -> bool:
        """Whether any call of it counted tokens, also for rows that failed later."""
        return self.usage is not None or self.usage_computed is not None

    @property
    def lacks_price(self) -> bool:
        """Whether its tokens may cost money and nobody said how much."""
        return self.is_paid and self.counts_tokens and self.price is None

    @property
    def cost(self) -> float | None:
        """The dollars for all rows, whoever paid them; `None` without a price."""
        return _cost(self.price, self.usage, self.in_tiers, self.usage_by_batch)

    @property
    def cost_paid(self) -> float | None:
        """The dollars that this run paid."""
        return _cost(
            self.price,
            self.usage_computed,
            self.in_tiers_computed,
            self.usage_computed_by_batch,
        )

    @property
    def saved_by_batch(self) -> float | None:
        """The dollars that its rows would have cost more if none came by batch."""
        if self.price is None or self.usage_by_batch is None:
            return None
        return self.price.saved_by_batch(self.usage_by_batch)

    @property
    def cache_savings(self) -> float | None:
        """The dollars that the provider's prompt cache saved this run.

        What writing to the cache cost is taken off.
        """
        if self.price is None:
            return None
        return self.price.cache_savings(self.usage_computed, self.in_tiers_computed)


def _cost(
    price: Price | None,
    usage: TokenUsage | None,
    in_tiers: TierUsage,
    by_batch: TokenUsage | None,
) -> float | None:
    if price is None:
        return None
    return price.total(usage, in_tiers) - price.saved_by_batch(by_batch)


class GateOutcome(StrEnum):
    """How a gate ended: what it goes by is on the right side, the wrong side, or both."""

    PASS = "pass"
    FAIL = "fail"
    UNDERPOWERED = "underpowered"


class GateRecord(FrozenModel):
    """One gate on one dataset or slice: what it asked, and the estimate it was decided
    by.

    If `baseline`, the id of another run, is set, `estimate` is the difference from it.
    `low` and `high` are the ends of the interval. `by` says whether they decided, or
    the estimate alone.
    """

    gate: str
    by: GateBasis = "interval"
    metric_id: str
    dataset_id: str
    slice: str
    outcome: GateOutcome
    estimate: float | None
    low: float | None
    high: float | None
    baseline: str | None = None
    reason: str

    @property
    def title(self) -> str:
        """The gate as it was written, and what it went by if not by the interval."""
        return self.gate if self.by == "interval" else f"{self.gate} by {self.by}"


class ImportRecord(FrozenModel):
    """Where the outputs and scores of a run are from, that another tool evaluated.

    `file` is the name of its log without folders, and `sha256` its content. `variant`
    says which of several prompts and providers it is. `notices` say what the log lacks,
    and in what the run is not what the tool reports. `None` is what the log does not say.
    """

    tool: str
    tool_version: str | None
    task: str
    model: str | None
    variant: str | None = None
    created_at: str | None
    status: str | None
    file: str
    sha256: str
    notices: list[str] = Field(default_factory=list)


class Manifest(FrozenModel):
    """The record of one run.

    `tables` says whether the run refers to `parts` for its tables, as it does once it has
    ended, or has `files` of its own, as earlier versions wrote.
    `datasets` counts the cases of each, `data` has the digest of each: of inputs,
    expected outputs and metadata, whatever the order and ids of the cases. A run that
    stopped has none. `lower_is_better` names the metrics that say so. `cases` has the
    paths of their parts. `notices` say what may make equal runs differ, `notes` what a
    task of lm-eval asks for and does not get. `model` is what its generator calls its
    model, and `configuration` the experiment as it was written; records of earlier
    versions have neither, and no `data`. `imported` is set if another tool's log was
    imported, `sequential` if the run was to stop when decided. `steps` are the calls that
    rows of generate are made of, where these are rows too; the model's tokens are on the
    record of generate. `versions` and `machine` say what it ran on, see `provenance`.
    """

    run_id: str
    name: str
    status: RunStatus
    started_at: str
    finished_at: str | None = None
    error: str | None = None
    tables: Literal["parts", "files"] = "files"
    experiment: str
    model: str | None = None
    configuration: dict[str, Any] | None = None
    seeds: list[int]
    until_stage: str
    datasets: dict[str, int] = Field(default_factory=dict)
    data: dict[str, str] = Field(default_factory=dict)
    cases: list[str] = Field(default_factory=list)
    stages: list[StageRecord] = Field(default_factory=list)
    steps: list[StageRecord] = Field(default_factory=list)
    summary_computed: int = 0
    lower_is_better: list[str] = Field(default_factory=list)
    statistics: StatisticsConfig = Field(default_factory=StatisticsConfig)
    agreement: list[AgreementRecord] = Field(default_factory=list)
    gates: list[GateRecord] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    machine: dict[str, str] = Field(default_factory=dict)
    notices: list[str] = Field(default_factory=list)
    imported: ImportRecord | None = None
    notes: list[str] = Field(default_factory=list)
    sequential: SequentialRecord | None = None

    def stage(self, label: str) -> StageRecord | None:
        """Return the record of the stage of this label, `None` if there is none."""
        for record in self.stages:
            if record.stage == label:
                return record
        return None

    @property
    def cost(self) -> float | None:
        """The dollars for all rows of the run, whoever paid them.

        `None` if no model has a price. The stages in `unpriced` are left out.
        """
        return _sum_known([record.cost for record in [*self.stages, *self.steps]])

    @property
    def cost_paid(self) -> float | None:
        """The dollars that this run paid; the store saved the rest of `cost`."""
        return _sum_known([record.cost_paid for record in [*self.stages, *self.steps]])

    @property
    def cost_saved(self) -> float | None:
        """The dollars that the store has saved this run."""
        if self.cost is None or self.cost_paid is None:
            return None
        # Prices may have changed since the rows were paid for.
        return max(self.cost - self.cost_paid, 0.0)

    @property
    def cache_savings(self) -> float | None:
        """The dollars that providers' prompt caches saved this run."""
        records = [*self.stages, *self.steps]
        return _sum_known([record.cache_savings for record in records])

    @property
    def price_sources(self) -> list[str]:
        """Where the prices are from: `genai-prices 0.2.3`, `the experiment`."""
        sources: dict[str, None] = {}
        for record in [*self.stages, *self.steps]:
            if record.price is not None and record.counts_tokens:
                sources[record.price.source or OWN_PRICES] = None
        return list(sources)

    @property
    def unpriced(self) -> list[str]:
        """The stages that `cost` leaves out: nobody said what their tokens cost."""
        records = [*self.stages, *self.steps]
        return [record.stage for record in records if record.lacks_price]

    @property
    def gate_outcome(self) -> GateOutcome | None:
        """The worst outcome of its gates; `None` without gates."""
        return worst_outcome(self.gates)


def worst_outcome(gates: Sequence[GateRecord]) -> GateOutcome | None:
    """Return the worst outcome (fail > underpowered > pass), or `None` without gates."""
    outcomes = {record.outcome for record in gates}
    for outcome in (GateOutcome.FAIL, GateOutcome.UNDERPOWERED, GateOutcome.PASS):
        if outcome in outcomes:
            return outcome
    return None


def _sum_known(costs: list[float | None]) -> float | None:
    """Return the sum of the costs that are known; `None` if none is."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known else None


# Process-wide: the latest moment that any run of this process was given.
_TOLD = [datetime.min.replace(tzinfo=UTC)]
_TOLD_LOCK = threading.Lock()


def _moment() -> datetime:
    """Return the time in UTC, later than every one before.

    A clock that is set back must not let a run end before it began, nor a run sort
    before those that this process has made.
    """
    with _TOLD_LOCK:
        _TOLD[0] = max(datetime.now(UTC), _TOLD[0] + timedelta(milliseconds=1))
        return _TOLD[0]


def new_run_id() -> str:
    """Return a new run id; ids sort by time: `20261121-093000-4f1a2b`."""
    # Random digits, since two machines may start a run in the same second.
    return f"{_moment():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def now() -> str:
    """Return the time in UTC as manifests have it, to the millisecond.

    Fine enough to tell which of two short runs came first.
    """
    return _moment().isoformat(timespec="milliseconds")


def start_manifest(
    pipeline: Pipeline,
    run_id: str,
) -> Manifest:
    """Return the record of a run that has just begun."""
    stages = []
    for stage in pipeline.stages:
        record = StageRecord(
            stage=stage.label,
            fingerprint=stage.fingerprint,
            identity=stage.full_identity,
            is_paid=stage.is_paid,
            places=stage.places,
            traced_in=list(stage.traced_in),
        )
        stages.append(record)
    steps = []
    for step in pipeline.generate.steps:
        record = StageRecord(
            stage=step.label, fingerprint=step.fingerprint, identity=step.full_identity
        )
        steps.append(record)
    return Manifest(
        run_id=run_id,
        name=pipeline.experiment.name,
        status=RunStatus.RUNNING,
        started_at=now(),
        experiment=pipeline.fingerprint,
        model=pipeline.generate.generator.model,
        configuration=pipeline.experiment.as_written(),
        seeds=list(pipeline.seeds),
        until_stage=pipeline.until_stage,
        lower_is_better=[
            stage.metric_id
            for stage in pipeline.scores
            if not stage.metric.higher_is_better
        ],
        statistics=pipeline.experiment.evaluation.statistics,
        stages=stages,
        steps=steps,
        notices=_chance_notices(pipeline),
        notes=list(pipeline.notes),
        versions=provenance.versions(),
        machine=provenance.machine(),
    )


def _chance_notices(pipeline: Pipeline) -> list[str]:
    """Return what parse, score and reduce use that is not the same every time."""
    notices = []
    for stage in pipeline.stages:
        # Candidates are drawn: chance is what a generator is for.
        if isinstance(stage, GenerateStage):
            continue
        for component in stage.components:
            for what in component.code.chance if component.code else ():
                notices.append(f"{stage.label}: {component.component_id} uses {what}")
    return notices


def write_manifest(
    store: RunStore,
    manifest: Manifest,
) -> None:
    """Write the record of a run over an earlier one."""
    path = f"runs/{manifest.run_id}/{MANIFEST_NAME}"
    record = manifest.model_dump(mode="json")
    # Indented, so that people can read and compare records.
    content = json.dumps(record, indent=2, ensure_ascii=False)
    try:
        store.replace(path, content.encode())
    except DiskFullError:
        if not store.exists(path):
            raise
        # The disk is full: without its spaces, the record of a run that stopped fits into
        # the place of the one that it began with.
        shorter = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
        store.overwrite(path, shorter.encode())


def read_manifest(
    store: RunStore,
    run_id: str,
) -> Manifest:
    """Return the record of a run. Raise `StoreError` if it is missing or damaged."""
    path = f"runs/{run_id}/{MANIFEST_NAME}"
    try:
        return parse_manifest(store.read_bytes(path), store.uri(path))
    except FileNotFoundError:
        raise StoreError(f"store {store.public_url!r} has no run {run_id!r}") from None
    except StoreError:
        raise
    except ValueError:
        raise StoreError(
            f"{store.uri(path)} cannot be read: the record of run {run_id!r} is damaged"
        ) from None


def parse_manifest(
    content: bytes,
    uri: str,
) -> Manifest:
    """Return the record in a file at an address.

    Raise `ValueError` if there is none in it, its subclass `StoreError` for one of a
    later version.
    """
    try:
        return Manifest.model_validate(json.loads(content))
    except ValidationError as error:
        faults = [(fault["type"], fault["loc"]) for fault in error.errors()]
        later = [loc for kind, loc in faults if kind == "extra_forbidden"]
        later += [loc for _, loc in faults if loc == ("tables",)]
        if not later:
            raise
        names = ", ".join(sorted({str(loc[-1]) for loc in later}))
        raise StoreError(
            f"{uri} is of a later version of themis-flows, which has {names}; "
            "update this one"
        ) from None


def manifests(store: RunStore) -> list[Manifest]:
    """Return the records of all runs of a store, in the order in which they started.

    A folder without a readable record is left out.
    """
    found = []
    for run_id in store.list("runs"):
        try:
            found.append(read_manifest(store, run_id))
        except (StoreError, ValueError, NotADirectoryError):
            continue  # one damaged record must not hide all other runs
    # An id tells seconds alone; its other digits are drawn.
    return sorted(found, key=lambda run: (run.started_at, run.run_id))
