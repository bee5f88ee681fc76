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

    Empty if there is none. A dependency with several digests changed between runs.
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name in store.list(f"{directory}/{FOLDER}"):
        if not name.endswith(".json"):
            continue
        trace = orjson.loads(store.read_bytes(f"{directory}/{FOLDER}/{name}"))
        for dependency, seen in trace.items():
            found[dependency].add(seen)
    return dict(found)


def write_trace(
    store: RunStore,
    directory: str,
    trace: Mapping[str, str],
) -> None:
    """Record the digest of each dependency, by name. Equal traces are one file."""
    content = orjson.dumps(dict(trace), option=orjson.OPT_SORT_KEYS)
    name = digest("trace", dict(trace))
    store.create(f"{directory}/{FOLDER}/{name}.json", content)
