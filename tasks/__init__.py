"""The stages as Prefect tasks: caching, retries, concurrency, progress and artifacts."""

from tasks.stages import generate, judge, parse, reduce, score

__all__ = ["generate", "judge", "parse", "reduce", "score"]
