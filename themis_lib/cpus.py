"""The processor cores of this machine, and how many of them this process may use."""

from __future__ import annotations

import os


def available_cpus() -> int:
    """Return the number of processor cores that this process may run on."""
    # Containers and `taskset` grant fewer cores than the machine has; only Linux tells.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpus_to_use() -> int:
    """Return the number of cores to compute with.

    That is `OMP_NUM_THREADS` where it is set to a positive number, as programs that run
    several processes at once do, but never more than the cores available.
    """
    requested = os.environ.get("OMP_NUM_THREADS", "")
    # OpenMP also accepts lists such as "4,2", and 0 asks for nothing: use all cores.
    if not requested.isdecimal() or int(requested) == 0:
        return available_cpus()
    return min(int(requested), available_cpus())
