"""Counts of rows by stage while a run is in flight; safe to read from any thread."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from themis_lib.core.models import TokenUsage
from themis_lib.core.prices import TierUsage, added, added_in_tiers
from themis_lib.identity.part import Part


@dataclass(frozen=True)
class StageProgress:
    """Rows of one stage: `total` are known so far, `done` of them are finished.

    `skipped` rows had no input, since an earlier stage failed; the rest of those done
    are cached. `usage` counts the tokens of the computed rows, `in_tiers` those of
    requests in a tier of their price. `waiting` rows are those that another run is
    computing.
    """

    total: int = 0
    done: int = 0
    computed: int = 0
    failed: int = 0
    skipped: int = 0
    waiting: int = 0
    usage: TokenUsage | None = None
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


class Progress:
    """What a run has done.

    `advance` counts rows as they are computed, `finish` when a shard is complete.
    """

    def __init__(self) -> None:
        self.started = time.monotonic()
        self._stages: dict[str, StageProgress] = {}
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
        in_tiers: TierUsage = MappingProxyType({}),
    ) -> None:
        """Count rows that were just computed, and the tokens they took."""
        with self._lock:
            item = self._stages.get(stage, StageProgress())
            # Stages that call no model have no usage, rather than one of 0.
            if usage is not None and item.usage is not None:
                usage = added(item.usage, usage)
            self._stages[stage] = replace(
                item,
                computed=item.computed + computed,
                usage=usage or item.usage,
                in_tiers=added_in_tiers(item.in_tiers, in_tiers),
            )

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

    def waiting_line(self) -> str | None:
        """Return how many rows the run waits for; `None` if it waits for none."""
        waiting = sum(item.waiting for item in self.stages().values())
        return f"waiting for another run: {waiting:,} rows" if waiting else None

    def advance_by(
        self,
        stage: str,
        part: Part,
    ) -> None:
        """Count the rows and tokens of a shard that another process has computed."""
        usage = None if part.usage is None else TokenUsage(**part.usage)
        in_tiers = {}
        for above, counts in part.in_tiers.items():
            in_tiers[int(above)] = TokenUsage(**counts)
        self.advance(stage, part.computed, usage, in_tiers)

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
