"""Runs of the evaluation flow from this process."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.local import check_server, one_certificate, run_to_end
from tests.support.counting import CALLS
from tests.support.drivers import flow_outcome
from tests.support.prefect_api import Api
from tests.test_edit_costs import base
from themis_lib import ConfigError, InputError
from themis_lib.runs.run import Run

NOWHERE = "http://127.0.0.1:1/api"


def test_run_has_ended_on_the_server_too(prefect_api: str, tmp_path: Path) -> None:
    """When the run is returned, the server shows no task of it as `Running`."""
    found = flow_outcome(base(tmp_path / "store"), tmp_path, prefect_api)

    states = Api(prefect_api).task_states(found.flow_run_id)
    flow_run = Api(prefect_api).flow_run(found.flow_run_id)
    assert found.run.result.status.value == "completed"
    assert "Completed" == flow_run.state.name
    assert 12 == len(states)
    assert {"Completed", "Cached"} >= set(states.values())


def test_follower_gets_the_run_when_it_starts(prefect_api: str, tmp_path: Path) -> None:
    """It is called once, with a run that has no result yet."""
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(base(tmp_path / "store")))
    followed: list[tuple[Run, Any]] = []

    found = asyncio.run(
        run_to_end(
            prefect_api,
            {"experiment": str(path)},
            follow=lambda run: followed.append((run, run.result)),
        )
    )

    assert [(found.run, None)] == followed
    assert None is not found.run.result


def test_input_error_of_the_flow_is_raised(prefect_api: str, tmp_path: Path) -> None:
    """What stops the run before it begins comes back as the error that it was."""
    CALLS.clear()
    spec = base(tmp_path / "store")
    spec["evaluation"]["slices"] = ["topik"]

    with pytest.raises(InputError, match="did you mean 'topic'"):
        flow_outcome(spec, tmp_path, prefect_api)

    assert {} == CALLS


def test_server_that_does_not_answer_stops_before_the_run(tmp_path: Path) -> None:
    """Nothing is computed, and the store is not made."""
    CALLS.clear()

    with pytest.raises(ConfigError, match=f"{NOWHERE} does not answer"):
        flow_outcome(base(tmp_path / "store"), tmp_path, NOWHERE)

    assert {} == CALLS
    assert not (tmp_path / "store").exists()


def test_check_says_what_to_do() -> None:
    """The message names the address and both ways out."""
    with (
        temporary_settings({PREFECT_API_URL: NOWHERE}),
        pytest.raises(
            ConfigError,
            match=r"at http.*does not answer \(.+\); start it, or unset PREFECT_API_URL",
        ),
    ):
        asyncio.run(check_server(NOWHERE))


def test_check_of_a_server_that_answers_is_a_no_op(prefect_api: str) -> None:
    """A server in use passes."""
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        asyncio.run(check_server(prefect_api))


def test_certificate_is_one_that_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is made with its folder, and holds exactly one authority."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))

    path = one_certificate()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    assert path.is_relative_to(tmp_path / "home")
    assert 1 == len(context.get_ca_certs())


def test_certificate_is_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that exists is left as it is."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    path = one_certificate()
    path.write_text("kept")

    assert path == one_certificate()
    assert "kept" == path.read_text()
