"""The filesystems that every contract of the store is held to."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from themis_lib import RunStore

OpenStore = Callable[[], RunStore]


@pytest.fixture(params=["local", "memory", "s3"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens one and the same store on each filesystem; every call is another reader with a cache of its own."""
    if request.param == "local":
        return lambda: RunStore(str(tmp_path / "store"))
    if request.param == "memory":
        url = f"memory://{uuid.uuid4().hex}"
        return lambda: RunStore(url)
    options = request.getfixturevalue("s3_options")
    prefix = uuid.uuid4().hex
    return lambda: RunStore(f"s3://themis/{prefix}", options)


@pytest.fixture
def store(open_store: OpenStore) -> RunStore:
    """One reader and writer of a new store."""
    return open_store()


def wait_for_the_clock(store: RunStore) -> None:
    """Let the filesystem's clock tick, so that the next file is newer: S3 keeps whole seconds."""
    time.sleep(1.1 if "s3" in str(store.fs.protocol) else 0.02)
