"""Counts of rows by stage while a run is under way; safe to read from any thread."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace

from themis_lib.core.models import TokenUsage
from themis_lib.core.prices import added
from themis_lib.identity.part import Part


@dataclass(frozen=True)
class StageProgress:
    """Rows of one stage: `total` so far known, of which `done` are finished.

    `skipped` rows had nothing to compute them from, since an earlier stage failed; the
    rest of those done are cached. `usage` counts the tokens of the rows computed.
    """

    total: int = 0
    done: int = 0
    computed: int = 0
    failed: int = 0
    skipped: int = 0
    usage: TokenUsage | None = None

    @property
    def cached(self) -> int:
        """Rows that the store, or an equal row of this run, has answered."""
        return max(self.done - self.computed - self.failed - self.skipped, 0)


class Progress:
    """What a run has done: `advance` while rows are computed, `finish` when a shard is
    complete.
    """

    def __init__(self) -> None:
        self.started = time.monotonic()
        self._stages: dict[str, StageProgress] = {}
        self._lock = threading.Lock()

    def expect(self, stage: str, rows: int) -> None:
        """Announce rows of a stage."""
        self._add(stage, total=rows)

    def advance(
        self, stage: str, computed: int, usage: TokenUsage | None = None
    ) -> None:
        """Count rows that were computed just now, and the tokens they took."""
        self._add(stage, computed=computed)
        if usage is not None:
            with self._lock:
                item = self._stages[stage]
                self._stages[stage] = replace(
                    item, usage=added(item.usage, usage) if item.usage else usage
                )

    def advance_by(self, stage: str, part: Part) -> None:
        """Count the rows of a shard that another process has computed, and the tokens
        they took.
        """
        self.advance(
            stage,
            part.computed,
            None if part.usage is None else TokenUsage(**part.usage),
        )

    def finish(self, stage: str, part: Part) -> None:
        """Count the rows of a complete shard; those computed were counted as they came."""
        self._add(stage, done=part.rows, failed=part.failed, skipped=part.skipped)

    def stages(self) -> dict[str, StageProgress]:
        """The counts by stage, in the order the stages were announced."""
        with self._lock:
            return dict(self._stages)

    def _add(self, stage: str, **counts: int) -> None:
        with self._lock:
            old = self._stages.get(stage, StageProgress())
            added = {name: getattr(old, name) + count for name, count in counts.items()}
            self._stages[stage] = replace(old, **added)
