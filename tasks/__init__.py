"""The stages as Prefect tasks: caching, retries, limits, progress and artifacts."""

import os

# Before Prefect is imported, as in `flows`: workers of a cluster import only this.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")


def __getattr__(name: str) -> object:
    from themis_lib.components.shared_names import attribute_beside

    return attribute_beside(__name__, name)
