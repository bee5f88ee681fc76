"""Counts of rows by stage while a run is in flight; safe to read from any thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from themis_lib.core.models import TokenUsage
from themis_lib.core.prices import TierUsage, added, added_in_tiers
from themis_lib.identity.part import Part


@dataclass(frozen=True)
class StageProgress:
    """Rows of one stage: `total` are known so far, `done` of them are finished.

    `skipped` rows had no input, since an earlier stage failed; the rest of those done
    are cached. `usage` counts the tokens of the computed rows, `usage_by_batch` of those
    that came by batch, and `in_tiers` of requests in a tier of their price. `waiting`
    rows are those that another run is computing.
    """

    total: int = 0
    done: int = 0
    computed: int = 0
    failed: int = 0
    skipped: int = 0
    waiting: int = 0
    usage: TokenUsage | None = None
    usage_by_batch: TokenUsage | None = None
    in_tiers: TierUsage = field(default_factory=dict)

    @property
    def reached(self) -> int:
        """Rows that are behind the stage by now, also those of unfinished shards."""
        # `done` counts complete shards, `computed` single rows: the larger is current.
        return max(self.done, self.computed)

    @property
    def cached(self) -> int:
        """Rows that the store, or an equal row of this run, has answered."""
        # Computed rows are counted at once, finished ones by shard: never below 0.
        return max(self.done - self.computed - self.failed - self.skipped, 0)


@dataclass(frozen=True)
class StepProgress:
    """Calls that rows were made of: how many, how many were made now, and their tokens.

    `in_tiers` are the tokens of requests in a tier of their price.
    """

    rows: int = 0
    computed: int = 0
    usage: TokenUsage | None = None
    in_tiers: TierUsage = field(default_factory=dict)


class Progress:
    """What a run has done.

    `advance` counts rows as they are computed, `finish` when a shard is complete.
    """

    def __init__(self) -> None:
        self.started = time.monotonic()
        self._stages: dict[str, StageProgress] = {}
        # What is said of each batch that is under way at a provider.
        self._batches: dict[str, str] = {}
        self._steps: dict[str, StepProgress] = {}
        self._lock = threading.Lock()

    def expect(
        self,
        stage: str,
        rows: int,
    ) -> None:
        """Announce rows of a stage."""
        with self._lock:
            item = self._stages.get(stage, StageProgress())
            self._stages[stage] = replace(item, total=item.total + rows)

    def advance(
        self,
        stage: str,
        computed: int,
        usage: TokenUsage | None = None,
        usage_by_batch: TokenUsage | None = None,
        in_tiers: TierUsage = MappingProxyType({}),
    ) -> None:
        """Count rows that were just computed, and the tokens they took."""
        with self._lock:
            item = self._stages.get(stage, StageProgress())
            self._stages[stage] = replace(
                item,
                computed=item.computed + computed,
                usage=_sum_known(item.usage, usage),
                usage_by_batch=_sum_known(item.usage_by_batch, usage_by_batch),
                in_tiers=added_in_tiers(item.in_tiers, in_tiers),
            )

    def advance_step(
        self,
        label: str,
        *,
        computed: int,
        rows: int = 1,
        usage: TokenUsage | None = None,
        in_tiers: TierUsage = MappingProxyType({}),
    ) -> None:
        """Count calls that rows are made of, found or just made, and their tokens."""
        with self._lock:
            item = self._steps.get(label, StepProgress())
            self._steps[label] = StepProgress(
                rows=item.rows + rows,
                computed=item.computed + computed,
                usage=_sum_known(item.usage, usage),
                in_tiers=added_in_tiers(item.in_tiers, in_tiers),
            )

    def steps(self) -> dict[str, StepProgress]:
        """Return the counts of the calls that rows were made of, by their stage."""
        with self._lock:
            return dict(self._steps)

    def wait(
        self,
        stage: str,
        rows: int,
    ) -> None:
        """Count rows that another run is computing; a negative number ends the wait."""
        if rows:
            with self._lock:
                item = self._stages.get(stage, StageProgress())
                self._stages[stage] = replace(item, waiting=item.waiting + rows)

    def note_batch(
        self,
        batch_id: str,
        said: str | None,
    ) -> None:
        """Show how far a batch at a provider is; `None` ends the wait for it."""
        with self._lock:
            self._batches.pop(batch_id, None)
            if said is not None:
                self._batches[batch_id] = said

    def waiting_line(self) -> str | None:
        """Return what the run waits for; `None` if it waits for nothing."""
        waiting = sum(item.waiting for item in self.stages().values())
        with self._lock:
            said = list(self._batches.values())
        parts = []
        if waiting:
            parts.append(f"waiting for another run: {waiting:,} rows")
        if said:
            more = f" (and {len(said) - 1:,} more)" if len(said) > 1 else ""
            parts.append(f"waiting for {said[-1]}{more}")
        return "; ".join(parts) or None

    def advance_by(
        self,
        stage: str,
        part: Part,
    ) -> None:
        """Count the rows and tokens of a shard that another process has computed."""
        usage = None if part.usage is None else TokenUsage(**part.usage)
        in_tiers = _tiers_of(part.in_tiers)
        by_batch = None
        if part.usage_by_batch is not None:
            by_batch = TokenUsage(**part.usage_by_batch)
        self.advance(stage, part.computed, usage, by_batch, in_tiers)
        for label, step in (part.steps or {}).items():
            spent = step["usage"]
            self.advance_step(
                label,
                rows=step["rows"],
                computed=step["computed"],
                usage=None if spent is None else TokenUsage(**spent),
                in_tiers=_tiers_of(step.get("in_tiers", {})),
            )

    def finish(
        self,
        stage: str,
        part: Part,
    ) -> None:
        """Count the rows of a complete shard; computed ones were counted as they came."""
        with self._lock:
            item = self._stages.get(stage, StageProgress())
            self._stages[stage] = replace(
                item,
                done=item.done + part.rows,
                failed=item.failed + part.failed,
                skipped=item.skipped + part.skipped,
            )

    def stages(self) -> dict[str, StageProgress]:
        """Return the counts by stage, in the order the stages were announced."""
        with self._lock:
            return dict(self._stages)


def _tiers_of(
    in_tiers: Mapping[str, Mapping[str, int | None]],
) -> dict[int, TokenUsage]:
    """Return tokens by tier, from JSON, whose names are texts."""
    return {int(above): TokenUsage(**each) for above, each in in_tiers.items()}


def _sum_known(
    first: TokenUsage | None,
    second: TokenUsage | None,
) -> TokenUsage | None:
    """Return the sum; stages that call no model have no usage, rather than one of 0."""
    if first is None or second is None:
        return second if first is None else first
    return added(first, second)
