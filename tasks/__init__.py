"""The stages as Prefect tasks: caching, retries, limits, progress and artifacts."""

from tasks.stages import STAGE_TASKS, generate, judge, parse, reduce, score

__all__ = [
    "STAGE_TASKS",
    "generate",
    "judge",
    "parse",
    "reduce",
    "score",
]
