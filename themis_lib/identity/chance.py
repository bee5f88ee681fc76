"""Calls whose result is not the same every time: the clock, draws, the network."""

from __future__ import annotations

from typing import Any

from themis_lib.identity.user_code import is_user_module

#: Calls whose result no seed decides: (module, name).
_CHANCE = {
    ("time", "time"): "the clock (time.time)",
    ("time", "time_ns"): "the clock (time.time_ns)",
    ("time", "monotonic"): "the clock (time.monotonic)",
    ("time", "perf_counter"): "the clock (time.perf_counter)",
    ("datetime", "now"): "the clock (datetime.now)",
    ("datetime", "utcnow"): "the clock (datetime.utcnow)",
    ("datetime", "today"): "the clock (datetime.today)",
    ("date", "today"): "the clock (date.today)",
    ("uuid", "uuid1"): "randomness (uuid.uuid1)",
    ("uuid", "uuid4"): "randomness (uuid.uuid4)",
    ("os", "urandom"): "randomness (os.urandom)",
}
#: Functions of `random`, `secrets` and `numpy.random` that draw nothing by themselves.
_NO_DRAWS = {"seed", "getstate", "setstate", "get_state", "set_state", "default_rng"}
_NO_DRAWS |= {"compare_digest"}
#: Modules that ask others, or whose reading of files Python does not tell of.
#: `urllib.parse` and `http.HTTPStatus` ask nobody.
_ELSEWHERE: dict[tuple[str, ...], str] = {
    ("aiohttp",): "the network",
    ("anthropic",): "the network",
    ("concurrent", "futures", "ProcessPoolExecutor"): "other processes",
    ("concurrent", "futures", "process"): "other processes",
    ("duckdb",): "files that are not traced",
    ("h5py",): "files that are not traced",
    ("http", "client"): "the network",
    ("httpx",): "the network",
    ("multiprocessing", "Pool"): "other processes",
    ("multiprocessing", "Process"): "other processes",
    ("multiprocessing", "get_context"): "other processes",
    ("openai",): "the network",
    ("polars",): "files that are not traced",
    ("pyarrow", "csv"): "files that are not traced",
    ("pyarrow", "dataset"): "files that are not traced",
    ("pyarrow", "fs"): "files that are not traced",
    ("pyarrow", "parquet"): "files that are not traced",
    ("requests",): "the network",
    ("socket",): "the network",
    ("subprocess",): "another program",
    ("urllib", "request"): "the network",
    ("urllib3",): "the network",
}


def chance_in_call(module: str, rest: tuple[str, ...]) -> set[str]:
    """Return what a dotted name below a library's module uses, such as the clock."""
    found = set()
    top = module.partition(".")[0]
    for name in rest[:2]:
        if (top, name) in _CHANCE:
            found.add(_CHANCE[top, name])
    # `numpy.random` has its functions from a module below it.
    path = tuple(part for part in (*module.split("."), *rest) if part != "mtrand")
    if top in ("random", "secrets") and _is_draw(path[1:2]):
        found.add(f"randomness ({top}.{path[1]})")
    if path[:2] == ("numpy", "random") and _is_draw(path[2:3]):
        found.add(f"randomness (numpy.random.{path[2]})")
    for length in (1, 2, 3):
        elsewhere = _ELSEWHERE.get(path[:length])
        if elsewhere is not None:
            found.add(f"{elsewhere} ({top})")
    return found


def _is_draw(name: tuple[str, ...]) -> bool:
    """Return whether a function draws; classes begin with a capital letter."""
    return bool(name) and name[0].islower() and name[0] not in _NO_DRAWS


def chance_in_name(value: Any, chain: tuple[str, ...]) -> set[str]:
    """Return what a name uses that was imported on its own (`from time import time`)."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__name__", "")
    if module is None:
        # A bound method of a library's object, such as `random.random`.
        owner = getattr(value, "__self__", None)
        module = type(owner).__module__ if owner is not None else ""
    if isinstance(value, type) and module == "datetime":
        return {_CHANCE[name, part] for part in chain[1:2] if (name, part) in _CHANCE}
    if not isinstance(module, str) or is_user_module(module):
        return set()
    return chance_in_call(module, (str(name),))
