"""The files beside `serve.py`: what `prefect deploy` makes of them on a real server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deployments.conftest import prefect
from tests.support.prefect_api import Api

pytestmark = pytest.mark.slow


def deployment(api: Api, name: str) -> Any:
    return api.ask(lambda client: client.read_deployment_by_name(name))


def test_nightly_schedule_waits_to_be_made_active(deployed: Api) -> None:
    """The example runs at three every night, once someone turns its schedule on."""
    nightly = deployment(deployed, "evaluate/nightly")

    (schedule,) = nightly.schedules
    assert ("0 3 * * *", False) == (schedule.schedule.cron, schedule.active)
    assert {
        "experiment": "examples/demo.yaml",
        "gates": ["exact_match no worse than last good by 0.05"],
    } == nightly.parameters["parameters"]
    assert nightly.enforce_parameter_schema


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_templates_deploy_to_their_work_pools(
    kind: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Image and store come from the environment, and every job variable is one that the
    work pool knows.
    """
    monkeypatch.setenv("THEMIS_IMAGE", "registry/themis:1")
    monkeypatch.setenv("THEMIS_STORE", "s3://bucket/evaluations")

    prefect(api, "work-pool", "create", f"themis-{kind}", "--type", kind)
    prefect(api, "deploy", "--all", "--prefect-file", f"deployments/{kind}.yaml")
    made = deployment(api, f"evaluate/evaluate-{kind}")
    pool = api.ask(lambda client: client.read_work_pool(f"themis-{kind}"))

    assert "registry/themis:1" == made.job_variables["image"]
    assert {"store": "s3://bucket/evaluations"} == made.parameters["parameters"]
    assert set(made.job_variables) <= set(
        pool.base_job_template["variables"]["properties"]
    )
