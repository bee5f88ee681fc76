"""Traces: what the rows of a stage were found to depend on beside their keys.

    <directory>/traces/<name>.json    files and environment variables, with digests

A trace is written before the first row that may depend on it. It is checked before rows
of its directory are used: a verifying trace (Mokhov, Mitchell, Peyton Jones, "Build
systems à la carte", 2018).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import orjson

from themis_lib.identity.digests import digest
from themis_lib.storage.store import RunStore

FOLDER = "traces"


def read_traces(
    store: RunStore,
    directory: str,
) -> dict[str, set[str]]:
    """Return the digests that each dependency of a directory's rows was seen with.

    Empty if there is none. A dependency with several digests changed between runs. A
    trace that cannot be read is one that no content fits.
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name in store.list(f"{directory}/{FOLDER}"):
        if not name.endswith(".json"):
            continue
        path = f"{directory}/{FOLDER}/{name}"
        trace = parse_trace(store.read_bytes(path))
        for dependency, seen in ({path: ""} if trace is None else trace).items():
            found[dependency].add(seen)
    return dict(found)


def parse_trace(content: bytes) -> dict[str, str] | None:
    """Return the dependencies in a file, `None` if it is damaged."""
    try:
        trace = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    is_trace = isinstance(trace, dict) and all(
        isinstance(seen, str) for seen in trace.values()
    )
    return trace if is_trace else None


def write_trace(
    store: RunStore,
    directory: str,
    trace: Mapping[str, str],
) -> None:
    """Record the digest of each dependency, by name. Equal traces are one file."""
    content = orjson.dumps(dict(trace), option=orjson.OPT_SORT_KEYS)
    name = digest("trace", dict(trace))
    store.create(f"{directory}/{FOLDER}/{name}.json", content)


def is_trace_path(path: str) -> bool:
    """Return whether a file of a store is a trace."""
    parts = path.split("/")
    return parts[0] == "rows" and parts[-2] == FOLDER and path.endswith(".json")


def traced_directory(path: str) -> str:
    """Return the directory whose rows a trace, or its folder, is about."""
    return path.partition(f"/{FOLDER}")[0]
