"""The engines of this process: one per model file and window, loaded once and kept."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import warnings
from dataclasses import asdict, dataclass
from typing import Any

from themis_lib.cpus import available_cpus, cpus_to_use
from themis_lib.engine.build import build_name, build_version, load_llama_cpp
from themis_lib.engine.elapsed import show_elapsed
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
#: Bytes of a model file. Threads on a smaller one spend their time waiting for each
#: other: then each decodes its own texts instead.
_WORTH_THREADS = 32 * 2**20
MOST_WORKERS = 4
#: Texts that a worker decodes at a time if the weights fit its cache: more streams push
#: each other out of it.
SLOTS_OF_SMALL = 2
#: The part of the free memory that contexts may take.
_MEMORY_SHARE = 0.5

_FACT = "invariance"
_LOG = logging.getLogger("themis_lib.engine")


@dataclass(
    frozen=True,
    slots=True,
)
class _ModelFacts:
    """What is remembered of a model under this build."""

    trained_context: int
    invariance: Invariance


class _Loaded:
    """The engines of this process and what they share.

    Entries are added under the lock and read without it: reading one key of a
    dictionary is atomic.
    """

    def __init__(self) -> None:
        # Reentrant: loading an engine finds out the facts of its model.
        self.lock = threading.RLock()
        self.facts: dict[str, _ModelFacts] = {}
        # By the file's digest: engines of one file with several windows share them.
        self.weights: dict[str, Weights] = {}
        self.engines: dict[tuple[str, int], Engine] = {}
        # Kept so that nothing frees them, see `leave_parent`.
        self.abandoned: list[Engine] = []

    def leave_parent(self) -> None:
        """Drop the engines of the parent, in a forked child."""
        # A child has their memory but not their threads. To free them would touch locks
        # that a thread may have held when the process was forked; so may the lock here.
        self.abandoned.extend(self.engines.values())
        self.engines.clear()
        self.weights.clear()
        self.lock = threading.RLock()


#: Process-wide, because callers that name the same file must share one copy of its
#: weights in memory, whichever thread, loop or component they come from.
_LOADED = _Loaded()


def engine_for(
    file: ModelFile,
    *,
    window: int | None = None,
) -> Engine:
    """Return the engine of a model file; the first call loads it.

    Threads may ask at once. `window` is the most tokens of a prompt and its text
    together: by default what the model was trained on, at most 4,096. Raises
    `ModelError` if the file, the build or the memory do not allow it.
    """
    engine = loaded_engine(file, window=window)
    if engine is not None:
        return engine
    with _LOADED.lock:
        trained_context = _find_facts(file).trained_context
        length = _check_window(
            file,
            trained_context,
            window,
        )
        engine = _LOADED.engines.get((file.digest, length))
        # Another thread may have loaded it while this one waited for the lock.
        if engine is None:
            engine = _load_engine(file, length)
            _LOADED.engines[file.digest, length] = engine
        return engine


def loaded_engine(
    file: ModelFile,
    *,
    window: int | None = None,
) -> Engine | None:
    """Return the engine that `engine_for` has loaded, or `None`.

    It does not wait for one that is still loading.
    """
    facts = _LOADED.facts.get(file.digest)
    if facts is None:
        return None
    length = _check_window(
        file,
        facts.trained_context,
        window,
    )
    return _LOADED.engines.get((file.digest, length))


def engine_identity(
    file: ModelFile,
    *,
    window: int | None = None,
) -> dict[str, Any]:
    """Return what decides the bits of a text beside the model file.

    That is the version of llama.cpp's binding, how it computes, and the window. Known
    without loading the model once this build has loaded it on this machine.
    """
    facts = _find_facts(file)
    return {
        "llama_cpp": build_version(),
        "numerics": facts.invariance.numerics,
        "exp": exp_digest(),
        "decode": facts.invariance.decode,
        "window": _check_window(
            file,
            facts.trained_context,
            window,
        ),
    }


def close_engines() -> None:
    """Stop every engine of this process and free its memory.

    The next call loads anew.
    """
    with _LOADED.lock:
        engines = list(_LOADED.engines.values())
        _LOADED.engines.clear()
        _LOADED.weights.clear()
    # Outside the lock: closing waits for callbacks, which may themselves ask for an
    # engine.
    for engine in engines:
        engine.close()


def _load_engine(
    file: ModelFile,
    length: int,
) -> Engine:
    invariance = _find_facts(file).invariance
    weights = _LOADED.weights.get(file.digest)
    if weights is None:
        weights = Weights(file.path, repacked=invariance.repacked)
        _LOADED.weights[file.digest] = weights
    for loss in invariance.losses():
        warnings.warn(f"{file.name}: {loss}", stacklevel=2)
    small = _is_small(file)
    workers = min(cpus_to_use(), MOST_WORKERS) if small else 1
    slot_bytes = weights.bytes_per_token * length * workers
    # Asked beforehand: a system that overcommits kills the process instead of refusing.
    fitting = int(free_memory() * _MEMORY_SHARE) // max(slot_bytes, 1)
    # A least width is part of the bits.
    least = invariance.narrowest
    if fitting < least:
        raise ModelError(
            f"{file.name}: {least} contexts of {length} tokens need "
            f"{least * slot_bytes:,} bytes of memory; "
            "ask for a smaller `window`, or choose a smaller model"
        )
    slots = _count_slots(invariance, fitting, small=small)
    threads = 1 if small or invariance.threads_matter else cpus_to_use()
    return Engine(
        weights,
        invariance,
        window=length,
        slots=slots,
        workers=workers,
        threads=threads,
    )


def _count_slots(
    invariance: Invariance,
    fitting: int,
    *,
    small: bool,
) -> int:
    """Return how many texts a worker decodes at a time; `fitting` have memory."""
    most = SLOTS_OF_SMALL if small else invariance.width
    slots = min(most, fitting, invariance.width)
    # Many kernels multiply rows by pairs, and an odd row costs as much as a pair.
    if slots > 1:
        slots -= slots % 2
    return max(slots, invariance.narrowest)


def _is_small(file: ModelFile) -> bool:
    return file.path.stat().st_size < _WORTH_THREADS


def _check_window(
    file: ModelFile,
    trained_context: int,
    window: int | None,
) -> int:
    if window is None:
        return min(trained_context, LONGEST_WINDOW)
    if not SHORTEST_WINDOW <= window <= trained_context:
        raise ConfigError(
            f"window={window!r}: {file.name} takes "
            f"{SHORTEST_WINDOW} to {trained_context} tokens"
        )
    return window


def _find_facts(file: ModelFile) -> _ModelFacts:
    facts = _LOADED.facts.get(file.digest)
    if facts is not None:
        return facts
    with _LOADED.lock:
        facts = _LOADED.facts.get(file.digest)
        # Measured once per machine; once per process where nothing can be remembered.
        if facts is None:
            facts = _recall_or_measure(file)
            _LOADED.facts[file.digest] = facts
        return facts


def _recall_or_measure(file: ModelFile) -> _ModelFacts:
    # The threads of the machine, not this process's share of them: processes with other
    # shares must find the same facts.
    threads = 1 if _is_small(file) else available_cpus()
    key = f"{MEASURE_VERSION} {file.digest} {build_name()} {threads}"
    fact = recall(_FACT, key)
    if fact is not None:
        # Another version may have written other names.
        with contextlib.suppress(KeyError, TypeError):
            return _ModelFacts(
                trained_context=fact["trained_context"],
                invariance=Invariance(**fact["invariance"]),
            )
    # A build that crashes here must be reported as such, not as a damaged model.
    load_llama_cpp()
    # A warning, because nothing else is shown where no log is set up.
    if not _is_small(file):
        _LOG.warning(
            "%s: examining how this machine computes the model, once; "
            "this may take a minute",
            file.name,
        )
    with show_elapsed(f"examining {file.name}"):
        trained_context, invariance = measure_isolated(file.path, threads=threads)
    found = {
        "trained_context": trained_context,
        "invariance": asdict(invariance),
    }
    remember(_FACT, key, found)
    return _ModelFacts(trained_context, invariance)


# Daemon threads are in llama.cpp when the interpreter is torn down: stop them first.
atexit.register(close_engines)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_LOADED.leave_parent)
