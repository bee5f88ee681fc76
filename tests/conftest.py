"""Servers the tests talk to, each started once."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

#: The same examples on every run: what is green stays green. `--hypothesis-profile=default` draws others.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

for _name, _value in {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}.items():
    os.environ.setdefault(_name, _value)


#: A shell has its background jobs ignore Ctrl-C, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prefect server on loopback, with a home of its own."""
    from flows.server import ensure_server, stop_server

    before = os.environ.get("PREFECT_HOME")
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    yield ensure_server()
    stop_server()
    os.environ.pop("PREFECT_HOME")
    if before is not None:
        os.environ["PREFECT_HOME"] = before


@pytest.fixture(scope="session")
def s3_options() -> Iterator[dict[str, str]]:
    """The storage options of a real S3 server on loopback, which has a bucket `themis`."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"endpoint_url": f"http://{host}:{port}", "key": "testing", "secret": "testing"}
    s3fs.S3FileSystem(**options).makedirs("themis", exist_ok=True)  # servers of one process share their buckets
    yield options
    server.stop()


@pytest.fixture
def s3_storage(s3_options: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The storage section of an experiment for a new store on S3, whose credentials are in the environment alone."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_options["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_options["secret"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_options["endpoint_url"])
    return {"store": f"s3://themis/{uuid.uuid4().hex}"}
