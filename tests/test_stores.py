"""A run on any filesystem: the same tables, found again by whoever comes next."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.counting import CALLS
from tests.drivers import DRIVERS, run_in_process
from tests.tables import tables_of
from tests.test_edit_costs import base


@pytest.fixture(params=["local", "file", "memory", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The storage section of an experiment, on each kind of filesystem."""
    if request.param == "local":
        return {"store": str(tmp_path / "a folder with spaces")}
    if request.param == "file":
        return {"store": f"file://{tmp_path}/store"}
    if request.param == "memory":
        return {"store": f"memory://{uuid.uuid4().hex}"}
    options = request.getfixturevalue("s3_options")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", options["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", options["secret"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", options["endpoint_url"])
    return {"store": f"s3://themis/{uuid.uuid4().hex}"}


@pytest.mark.parametrize("driver", DRIVERS)
def test_run_is_found_again(
    storage: dict[str, Any], driver: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A second run on the same store computes nothing, and its tables are those of a run on any other store."""
    api_url = request.getfixturevalue("prefect_api") if driver == "through the flow" else ""
    spec = {**base(tmp_path / "other"), "storage": storage}
    expected = tables_of(run_in_process(base(tmp_path / "other"), tmp_path, ""))

    first = DRIVERS[driver](spec, tmp_path, api_url)
    CALLS.clear()
    second = DRIVERS[driver](spec, tmp_path, api_url)

    assert {} == CALLS
    assert expected == tables_of(first) == tables_of(second)
