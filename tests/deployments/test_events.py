"""What a server is told of a run's end, and the notification that comes of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deployments.conftest import prefect
from tests.flows.test_provider_runs import spec as metered
from tests.support.drivers import flow_outcome
from tests.support.prefect_api import ROOT, Api
from tests.test_edit_costs import base
from themis_lib import BudgetError, InputError, ThemisError


def event_of(api: Api, name: str, experiment: str) -> Any:
    """The event of an experiment, which a server has some moments after the run."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for event in api.events(name):
            if event.resource["prefect.resource.name"] == experiment:
                return event
        time.sleep(0.3)
    raise AssertionError(f"no event {name} of {experiment}")


def test_completed_run_is_announced_with_its_scores(api: Api, tmp_path: Path) -> None:
    """The event says which run, how it went, what it cost and where it is, and belongs
    to the flow run.
    """
    outcome = flow_outcome(
        {**base(tmp_path / "store"), "name": "Announced, twice"}, tmp_path, api.url
    )

    event = event_of(api, "themis.run.completed", "Announced, twice")

    result = outcome.run.result
    assert "themis.experiment.announced-twice" == event.resource["prefect.resource.id"]
    assert {"numbers/first": pytest.approx(0.8333, abs=1e-4)} == event.payload["scores"]
    assert (result.run_id, "completed", 0, None, result.location) == tuple(
        event.payload[name]
        for name in ("run_id", "status", "failed_rows", "cost_paid", "location")
    )
    assert f"prefect.flow-run.{outcome.flow_run_id}" in {
        item["prefect.resource.id"] for item in event.related
    }


def test_stop_at_the_budget_is_announced_with_what_was_spent(
    api: Api, tmp_path: Path
) -> None:
    """A run that stops at its budget has an event and a state of that name."""
    limited = {**metered(tmp_path), "name": "spender"}
    limited["cost"]["max_cost"] = 55

    with pytest.raises(BudgetError):
        flow_outcome(limited, tmp_path, api.url)
    event = event_of(api, "themis.run.stopped-at-budget", "spender")
    (state,) = [
        run.state
        for run in api.ask(lambda client: client.read_flow_runs())
        if run.name == "spender · metered"
    ]

    assert (50.0, "failed") == (event.payload["cost_paid"], event.payload["status"])
    assert "stopped at the budget" in event.payload["message"]
    assert ("StoppedAtBudget", event.payload["message"]) == (state.name, state.message)


def test_bad_input_is_announced_as_a_failure(api: Api, tmp_path: Path) -> None:
    """What never began has no run, but a reason."""
    spec = {**base(tmp_path / "store"), "name": "misspelt"}
    spec["evaluation"]["metrics"] = ["builtin/exact_mach"]

    with pytest.raises(InputError, match="did you mean"):
        flow_outcome(spec, tmp_path, api.url)
    event = event_of(api, "themis.run.failed", "misspelt")

    assert "did you mean 'builtin/exact_match'?" in event.payload["message"]
    assert "run_id" not in event.payload


def test_defect_is_announced_as_a_failure(api: Api, tmp_path: Path) -> None:
    """Also an error that nobody foresaw, such as a file where the store has a
    folder.
    """
    (tmp_path / "store").mkdir()
    (tmp_path / "store/rows").touch()

    with pytest.raises(ThemisError, match="the flow run ended Failed"):
        flow_outcome(
            {**base(tmp_path / "store"), "name": "unforeseen"}, tmp_path, api.url
        )

    assert (
        "Error: [Errno"
        in event_of(api, "themis.run.failed", "unforeseen").payload["message"]
    )


@pytest.fixture
def mailbox() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The address of a server that keeps what is posted to it, and what it has."""
    received: list[dict[str, str]] = []

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(
                json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            )
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keep)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", received
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_notification_arrives(
    api: Api, tmp_path: Path, mailbox: tuple[str, list[dict[str, str]]]
) -> None:
    """`notify.yaml`, with the id of a block, tells by that block how a run ended and
    where to look.
    """
    address, received = mailbox
    block_id = api.ask(lambda client: _webhook(address))
    path = tmp_path / "notify.yaml"
    path.write_text(
        (ROOT / "deployments/notify.yaml").read_text().replace("BLOCK_ID", block_id)
    )
    prefect(api, "automation", "create", "--from-file", str(path))
    time.sleep(3)  # the server's triggers learn of it

    outcome = flow_outcome(
        {**base(tmp_path / "store"), "name": "told"}, tmp_path, api.url
    )
    deadline = time.monotonic() + 30
    while not received and time.monotonic() < deadline:
        time.sleep(0.3)

    (told,) = received
    assert "told: completed" == told["subject"]
    assert "first 0.8333 on numbers (6 cases)" in told["body"]
    assert f"/runs/flow-run/{outcome.flow_run_id}" in told["body"]


async def _webhook(address: str) -> str:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    block = CustomWebhookNotificationBlock(
        name="mailbox",
        url=address,
        method="POST",
        json_data={"subject": "{{subject}}", "body": "{{body}}"},
    )
    return str(await block.save("mailbox", overwrite=True))


def test_automations_name_the_flow_they_are_about() -> None:
    """The automations are about the flow `evaluate`, whose name they repeat."""
    from flows.evaluate import evaluate

    for name in ("automations", "notify"):
        for automation in yaml.safe_load(
            (ROOT / f"deployments/{name}.yaml").read_text()
        )["automations"]:
            related = automation["trigger"].get(
                "match_related", {"prefect.resource.name": evaluate.name}
            )
            assert evaluate.name == related["prefect.resource.name"]
