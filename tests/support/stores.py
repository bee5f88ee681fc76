"""How the tests open stores on every filesystem."""

from __future__ import annotations

import time
from collections.abc import Callable

from themis_lib import RunStore

OpenStore = Callable[[], RunStore]


def wait_for_the_clock(store: RunStore) -> None:
    """Let the filesystem's clock tick, so that the next file is newer: S3 keeps whole
    seconds.
    """
    time.sleep(1.1 if "s3" in str(store.fs.protocol) else 0.02)
