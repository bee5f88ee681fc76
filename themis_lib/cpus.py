"""The processor cores of this machine, and how many of them this process is to keep
busy.
"""

from __future__ import annotations

import os


def available_cpus() -> int:
    """The processor cores that this process may run on."""
    return (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )


def cpus_to_use() -> int:
    """The cores to compute with: `OMP_NUM_THREADS` where it is set, as runners of
    several processes do, else all.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return (
        min(int(asked), available_cpus())
        if asked.isdecimal() and int(asked)
        else available_cpus()
    )
