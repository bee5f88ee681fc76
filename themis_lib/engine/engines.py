"""The engines of this process: one for each model file, loaded once and kept."""

from __future__ import annotations

import atexit
import os
import threading
import warnings
from dataclasses import asdict, dataclass
from typing import Any

from themis_lib.cpus import available_cpus, cpus_to_use
from themis_lib.engine.build import build_name, build_version, load_llama_cpp
from themis_lib.engine.engine import Engine
from themis_lib.engine.gguf_file import free_memory
from themis_lib.engine.invariance import MEASURE_VERSION, Invariance, measure_isolated
from themis_lib.engine.models import ModelFile
from themis_lib.engine.places import recall, remember
from themis_lib.engine.sampling import exp_digest
from themis_lib.engine.weights import Weights
from themis_lib.errors import ConfigError, ModelError

#: Tokens of a prompt and its text together, where the model was trained on as many.
LONGEST_WINDOW = 4096
SHORTEST_WINDOW = 16
#: Below this size threads spend their time waiting for each other: then each decodes
#: texts of its own.
_WORTH_THREADS = 32 * 2**20
MOST_WORKERS = 4
#: Texts that a worker decodes at a time where the weights fit its cache: more streams
#: push each other out of it.
SLOTS_OF_SMALL = 2
#: The part of the free memory that contexts may take.
_MEMORY_SHARE = 0.5

_FACT = "invariance"

_ENGINES: dict[tuple[str, int], Engine] = {}
_WEIGHTS: dict[str, Weights] = {}
_KNOWN: dict[str, _Known] = {}
_ABANDONED: list[Engine] = []
_LOADING = threading.RLock()


def engine_for(
    file: ModelFile,
    *,
    window: int | None = None,
) -> Engine:
    """The engine of a model file, loaded at the first call. Threads may ask at once.

    `window` is the tokens of a prompt and its text together: by default what the model
    was trained on, at most 4,096. Raises `ModelError` where the file, the build or the
    memory do not allow it.
    """
    engine = loaded_engine(file, window=window)
    if engine is not None:
        return engine
    with _LOADING:
        length = _checked_window(file, _get_facts(file).trained_context, window)
        engine = _ENGINES.get((file.digest, length))
        if engine is None:
            engine = _ENGINES[file.digest, length] = _load_engine(file, length)
        return engine


def loaded_engine(
    file: ModelFile,
    *,
    window: int | None = None,
) -> Engine | None:
    """The engine that `engine_for` has loaded, without waiting for one that it is
    loading.
    """
    known = _KNOWN.get(file.digest)
    if known is None:
        return None
    return _ENGINES.get(
        (file.digest, _checked_window(file, known.trained_context, window))
    )


def engine_identity(
    file: ModelFile,
    *,
    window: int | None = None,
) -> dict[str, Any]:
    """What decides the bits beside the model file: the version of llama.cpp's binding,
    how it computes, the window.

    Known without loading the model once this build has loaded it on this machine.
    """
    known = _get_facts(file)
    return {
        "llama_cpp": build_version(),
        "numerics": known.invariance.numerics,
        "exp": exp_digest(),
        "decode": known.invariance.decode,
        "window": _checked_window(file, known.trained_context, window),
    }


def close_engines() -> None:
    """Stop every engine of this process and free its memory; the next call loads anew."""
    with _LOADING:
        engines = list(_ENGINES.values())
        _ENGINES.clear()
        _WEIGHTS.clear()
    for engine in engines:
        engine.close()


@dataclass(
    frozen=True,
    slots=True,
)
class _Known:
    """What is remembered of a model under this build."""

    trained_context: int
    invariance: Invariance


def _load_engine(
    file: ModelFile,
    length: int,
) -> Engine:
    invariance = _get_facts(file).invariance
    weights = _load_weights(file)
    _say_what_is_lost(file, invariance)
    small = _is_small(file)
    workers = min(cpus_to_use(), MOST_WORKERS) if small else 1
    slots = invariance.width
    slot_bytes = weights.bytes_per_token * length * workers
    fitting = int(free_memory() * _MEMORY_SHARE) // max(slot_bytes, 1)
    if fitting < (1 if invariance.decode == "equal" else slots):
        raise ModelError(
            f"{file.name}: {slots} contexts of {length} tokens need {slots * slot_bytes:,} bytes of memory; "
            "ask for a smaller `window`, or choose a smaller model"
        )
    if invariance.decode == "equal":
        slots = min(slots, fitting, SLOTS_OF_SMALL if small else slots)
    threads = 1 if small or invariance.threads_matter else cpus_to_use()
    return Engine(
        weights,
        invariance,
        window=length,
        slots=slots,
        workers=workers,
        threads=threads,
    )


def _is_small(file: ModelFile) -> bool:
    return file.path.stat().st_size < _WORTH_THREADS


def _load_weights(file: ModelFile) -> Weights:
    with _LOADING:
        weights = _WEIGHTS.get(file.digest)
        if weights is None:
            weights = _WEIGHTS[file.digest] = Weights(file.path)
        return weights


def _checked_window(
    file: ModelFile,
    trained_context: int,
    window: int | None,
) -> int:
    if window is None:
        return min(trained_context, LONGEST_WINDOW)
    if not SHORTEST_WINDOW <= window <= trained_context:
        raise ConfigError(
            f"window={window!r}: {file.name} takes {SHORTEST_WINDOW} to {trained_context} tokens"
        )
    return window


def _get_facts(file: ModelFile) -> _Known:
    """Found out once on a machine, and once in a process where nothing can be kept."""
    known = _KNOWN.get(file.digest)
    if known is not None:
        return known
    with _LOADING:
        if file.digest not in _KNOWN:
            _KNOWN[file.digest] = _recall_facts(file) or _measure_facts(file)
        return _KNOWN[file.digest]


def _measure_facts(file: ModelFile) -> _Known:
    """Compare ways of computing, and remember what was found."""
    load_llama_cpp()
    trained_context, invariance = measure_isolated(
        file.path, threads=_measuring_threads(file)
    )
    remember(
        _FACT,
        _facts_key(file),
        {"trained_context": trained_context, "invariance": asdict(invariance)},
    )
    return _Known(trained_context, invariance)


def _recall_facts(file: ModelFile) -> _Known | None:
    fact = recall(_FACT, _facts_key(file))
    try:
        return (
            None
            if fact is None
            else _Known(fact["trained_context"], Invariance(**fact["invariance"]))
        )
    except (KeyError, TypeError):  # written by another version
        return None


def _facts_key(file: ModelFile) -> str:
    return f"{MEASURE_VERSION} {file.digest} {build_name()} {_measuring_threads(file)}"


def _measuring_threads(file: ModelFile) -> int:
    """The threads to measure with: those of the machine, whatever this process's share
    of them.
    """
    return 1 if _is_small(file) else available_cpus()


def _say_what_is_lost(
    file: ModelFile,
    found: Invariance,
) -> None:
    if found.decode == "alone":
        warnings.warn(
            f"{file.name}: this build gives other bits to texts decoded together, so they are decoded one by one",
            stacklevel=2,
        )
    if found.cut_at == 0:
        warnings.warn(
            f"{file.name}: this build gives other bits to prompts computed in parts, so none shares its beginning",
            stacklevel=2,
        )


def _leave_parent() -> None:
    """A forked child has the memory of its parent's engines, but not their threads."""
    global _LOADING
    _ABANDONED.extend(
        _ENGINES.values()
    )  # to free them would touch locks that a thread may have held
    _ENGINES.clear()
    _WEIGHTS.clear()
    _LOADING = threading.RLock()


atexit.register(close_engines)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_parent)
