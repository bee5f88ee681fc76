"""Metric that keeps a core busy."""

from __future__ import annotations

import time
from dataclasses import dataclass

from themis_lib import Case, ParsedOutput, Score
from themis_lib.core.contexts import ScoreContext


@dataclass(frozen=True)
class Busy:
    """A metric that computes in Python for `work_ms` of its thread's own CPU time."""

    work_ms: float

    component_id = "benchmarks/busy"
    version = "1"
    reads = ("value",)

    def fingerprint(self) -> str:
        return str(self.work_ms)

    def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> Score:
        # The thread's own time: a clock on the wall would run while others hold the GIL.
        ends = time.thread_time() + self.work_ms / 1000
        value = 0
        while time.thread_time() < ends:
            for number in range(100):
                value = (value * 31 + number) % 65_521
        return Score(value=float(value >= 0))
