"""The verification flow on a real server: its state, and the event of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from prefect.events.worker import EventsWorker
from prefect.settings import temporary_settings

from flows.server import client_settings
from flows.verification import VerifyParameters, verify
from tests.deployments.test_events import event_of
from tests.support.edited_cells import edit_cell, parts_of
from tests.support.prefect_api import Api
from tests.verification.test_verify import spec
from themis_lib import Experiment, RunResult

pytestmark = pytest.mark.slow


def verified(api: Api, run: RunResult, **parameters: Any) -> Any:
    """The state that a verification ends with."""
    given = VerifyParameters(run=run.run_id, store=run.store.url, **parameters)
    with temporary_settings(client_settings(api.url)):
        state = asyncio.run(verify(given, return_state=True))
        EventsWorker.drain_all()
    return state


def evaluated(name: str, store: Path) -> RunResult:
    settings = {**spec(), "name": name, "storage": {"store": str(store)}}
    return Experiment.model_validate(settings).run()


def test_what_changed_is_announced(api: Api, tmp_path: Path) -> None:
    """The state is `Changed`, and the event names stages and run."""
    run = evaluated("verified", tmp_path)
    assert verified(api, run).is_completed()
    event = event_of(api, "themis.verify.unchanged", "verified")
    assert run.run_id == event.payload["run_id"]
    edit_cell(run.store, parts_of(run, "parse")[0], "value", 0, "77")

    state = verified(api, run, sample=1000)
    event = event_of(api, "themis.verify.changed", "verified")

    assert "Changed" == state.name
    assert "1 row(s) differ; 1 file(s) changed since the run" == state.message
    assert "themis.experiment.verified" == event.resource["prefect.resource.id"]
    assert (run.run_id, 1) == (
        event.payload["run_id"],
        event.payload["differing"]["parse"],
    )


def test_what_cannot_be_verified_has_failed(api: Api, tmp_path: Path) -> None:
    """With the reason as its message."""
    run = evaluated("misnamed", tmp_path)

    state = verified(api, run, stages=["scoer"])

    assert "Failed" == state.name
    assert "did you mean 'score'?" in state.message


def test_weekly_schedule_waits_to_be_made_active(deployed: Api) -> None:
    """And no model is asked until somebody says so."""
    weekly = deployed.ask(
        lambda client: client.read_deployment_by_name("verify/verify")
    )

    (schedule,) = weekly.schedules
    assert ("0 5 * * 1", False) == (schedule.schedule.cron, schedule.active)
    assert {"run": "last", "with_calls": False} == weekly.parameters["parameters"]
