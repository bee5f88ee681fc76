"""The stages as Prefect tasks: caching, retries, concurrency, progress and artifacts."""

from tasks.stages import generate, parse, reduce, score

__all__ = ["generate", "parse", "reduce", "score"]
