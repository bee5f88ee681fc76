"""Servers the tests talk to, each started once."""

from __future__ import annotations

import gc
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import settings

from tests.support.chromium import CHROMIUM
from tests.support.stores import OpenStore
from themis_lib import RunStore

#: The same examples on every run: what is green stays green.
#: `--hypothesis-profile=random` draws others. Neither has a deadline, which would fail
#: tests on a busy machine.
settings.register_profile("random", deadline=None)
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

for _name, _value in {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}.items():
    os.environ.setdefault(_name, _value)


#: Containers often have Python keep no bytecode: every worker would compile all tests
#: again in each run. Code that a test writes and edits is imported as they have it.
_KEEPS_NO_BYTECODE = sys.dont_write_bytecode
sys.dont_write_bytecode = False

#: Thousands of collected tests are no garbage, and take long to look over.
gc.set_threshold(5_000)

#: A shell has its background jobs ignore Ctrl-C, and so would every process that a test
#: starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    sys.dont_write_bytecode = _KEEPS_NO_BYTECODE


@pytest.fixture(scope="module", autouse=True)
def _memory_of_one_module() -> Iterator[None]:
    """Forget what the tests of a module stored in memory.

    For each file that is written there, fsspec goes through all files of the process.
    """
    files, folders = MemoryFileSystem.store, MemoryFileSystem.pseudo_dirs
    kept_files, kept_folders = set(files), list(folders)
    yield
    # A thread that a test left behind may store something meanwhile.
    for path in list(files):
        if path not in kept_files:
            files.pop(path, None)
    folders[:] = kept_folders


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prefect server on loopback, with a home of its own.

    Its password is in the environment, for clients that are Prefect's own.
    """
    from prefect.context import refresh_global_settings_context

    from flows.server import ensure_server, password_of, stop_server

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        api_url = ensure_server()
        environment.setenv("PREFECT_API_AUTH_STRING", str(password_of(api_url)))
        refresh_global_settings_context()
        yield api_url
        stop_server()
    refresh_global_settings_context()


@pytest.fixture(scope="session")
def s3_options() -> Iterator[dict[str, str]]:
    """The storage options of a real S3 server on loopback, which has a bucket
    `themis`.
    """
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {
        "endpoint_url": f"http://{host}:{port}",
        "key": "testing",
        "secret": "testing",
    }
    s3fs.S3FileSystem(**options).makedirs(
        "themis", exist_ok=True
    )  # servers of one process share their buckets
    yield options
    server.stop()


@pytest.fixture
def s3_storage(
    s3_options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """The storage section of an experiment for a new store on S3, whose credentials are
    in the environment alone.
    """
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_options["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_options["secret"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_options["endpoint_url"])
    return {"store": f"s3://themis/{uuid.uuid4().hex}"}


@pytest.fixture(params=["local", "memory", "s3"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens one and the same store on each filesystem; every call is another reader
    with a cache of its own.
    """
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


@pytest.fixture(scope="session")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of facts of this session, so that the build is probed and the model is
    checked once.
    """
    folder = tmp_path_factory.mktemp("steadytext") / "facts"
    folder.mkdir()
    return folder


@pytest.fixture
def empty_cache(
    facts: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """The folder of an empty generation cache for one test, beside the facts of the
    session.
    """
    from themis_lib.steadytext.cache import text_cache

    folder = tmp_path_factory.mktemp("cache")
    (folder / "facts").symlink_to(facts, target_is_directory=True)
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(folder))
    yield folder / "generations"
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(folder))  # the test may have changed it
    monkeypatch.delenv("THEMIS_CACHE", raising=False)
    text_cache().close()


@pytest.fixture(scope="session")
def browser_thread() -> Iterator[tuple[ThreadPoolExecutor, Any]]:
    """A browser, and the thread that it lives in: its event loop would be in the way of
    those of the tests.
    """
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    playwright = pytest.importorskip("playwright.sync_api")
    with ThreadPoolExecutor(max_workers=1) as thread:
        driver = thread.submit(playwright.sync_playwright().start).result()
        options = {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}
        browser = thread.submit(lambda: driver.chromium.launch(**options)).result()
        yield thread, browser
        thread.submit(browser.close).result()
        thread.submit(driver.stop).result()
