"""The stages as Prefect tasks: caching, retries, limits, progress and artifacts."""

import os

# Before Prefect is imported, as in `flows`: workers of a cluster import only this.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

from tasks.stages import (
    STAGE_TASKS,
    generate,
    judge,
    parse,
    reduce,
    score,
)

__all__ = [
    "STAGE_TASKS",
    "generate",
    "judge",
    "parse",
    "reduce",
    "score",
]
