"""The garbage collector while a run is computed in this process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: New objects between two looks for garbage. Python's own number of 700 is reached by a
#: single request; what has no cycle is freed at once all the same.
_NEW_OBJECTS = 10_000


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Look for garbage seldom in a block, and only among the objects made in it.

    With Python's own thresholds that takes a tenth of the time of quick requests, most
    of it for modules, which are no garbage. Afterwards everything is as before.
    """
    # The application has made its own choice, or another run is under way.
    if not gc.isenabled() or gc.get_freeze_count():
        yield
        return
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
