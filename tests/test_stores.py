"""A run on any filesystem: the same tables, found again by whoever comes next."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from flows.server import prefect_home
from tests.support.counting import CALLS
from tests.support.drivers import DRIVERS, run_in_process
from tests.support.tables import tables_of
from tests.test_edit_costs import base
from themis_lib import RunStore


@pytest.fixture(params=["local", "file", "memory", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The storage section of an experiment, on each kind of filesystem."""
    if request.param == "local":
        return {"store": str(tmp_path / "a folder with spaces")}
    if request.param == "file":
        return {"store": f"file://{tmp_path}/store"}
    if request.param == "memory":
        return {"store": f"memory://{uuid.uuid4().hex}"}
    return dict(request.getfixturevalue("s3_storage"))


@pytest.mark.parametrize("driver", DRIVERS)
def test_run_is_found_again(
    storage: dict[str, Any], driver: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A second run on the same store computes nothing, and its tables are those of a
    run on any other store.
    """
    api_url = (
        request.getfixturevalue("prefect_api") if driver == "through the flow" else ""
    )
    spec = {**base(tmp_path / "other"), "storage": storage}
    expected = tables_of(run_in_process(base(tmp_path / "other"), tmp_path, ""))

    first = DRIVERS[driver](spec, tmp_path, api_url)
    CALLS.clear()
    second = DRIVERS[driver](spec, tmp_path, api_url)

    assert {} == CALLS
    assert expected == tables_of(first) == tables_of(second)


@pytest.mark.parametrize("driver", DRIVERS)
def test_credentials_are_stored_nowhere(
    s3_options: dict[str, str],
    driver: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Options are references to the environment: a run works with them alone, and
    neither store nor server has them.
    """
    api_url = (
        request.getfixturevalue("prefect_api") if driver == "through the flow" else ""
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STORE_KEY", "key-3141")
    monkeypatch.setenv("STORE_SECRET", "secret-2718")
    parameters = {
        "endpoint_url": s3_options["endpoint_url"],
        "key": "${STORE_KEY}",
        "secret": "${STORE_SECRET}",
    }
    url = f"s3://themis/{uuid.uuid4().hex}"
    spec = {
        **base(tmp_path / "other"),
        "storage": {"store": url, "parameters": parameters},
    }

    DRIVERS[driver](spec, tmp_path, api_url)
    CALLS.clear()
    DRIVERS[driver](spec, tmp_path, api_url)

    store = RunStore(url, s3_options)
    contents = [store.read_bytes(file.path) for file in store.files()]
    if api_url:
        contents += [
            path.read_bytes() for path in prefect_home().rglob("*") if path.is_file()
        ]
    assert {} == CALLS
    assert len(contents) > 20
    for secret in (b"key-3141", b"secret-2718"):
        assert not [content for content in contents if secret in content]
