"""What the server knows of a run: names a person can read, tags, states, and the
artifacts on the run's page.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.support.drivers import flow_outcome
from tests.test_edit_costs import base
from themis_lib.report.html import report_html


def ask(api_url: str, question: Any) -> Any:
    """The answer of an async function that is given a client."""

    async def asked() -> Any:
        async with get_client() as client:
            return await question(client)

    with temporary_settings({PREFECT_API_URL: api_url}):
        return asyncio.run(asked())


async def artifacts(client: PrefectClient, flow_run_id: Any) -> dict[str, Any]:
    found = await client.read_artifacts(
        artifact_filter=ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id])
        )
    )
    return {artifact.key: artifact for artifact in found}


def test_run_is_named_tagged_and_reported(prefect_api: str, tmp_path: Path) -> None:
    """A run bears the experiment's name and tags, and has progress, scores, report and
    its page as artifacts.
    """
    outcome = flow_outcome(base(tmp_path / "store"), tmp_path, prefect_api)

    flow_run = ask(
        prefect_api, lambda client: client.read_flow_run(outcome.flow_run_id)
    )
    found = ask(prefect_api, lambda client: artifacts(client, outcome.flow_run_id))

    assert ("costs · m1", {"themis", "costs"}) == (flow_run.name, set(flow_run.tags))
    assert "Completed" == flow_run.state.name
    assert {"progress-costs", "summary-costs", "report-costs", "html-costs"} == set(
        found
    )
    assert 100.0 == found["progress-costs"].data
    assert "score[first]" in found["progress-costs"].description
    assert "# costs: completed" in found["report-costs"].data
    assert "0.8333" in found["summary-costs"].data
    assert str(outcome.run.result.location) in found["report-costs"].data
    assert (
        f"{outcome.run.result.location}/report.html" in found["html-costs"].description
    )
    [address] = re.findall(r"\((http://127[^)]*)\)", found["html-costs"].data)
    page = httpx.get(address, trust_env=False)
    assert (200, "text/html; charset=utf-8") == (
        page.status_code,
        page.headers["Content-Type"],
    )
    assert report_html(outcome.run.result) == page.text


def test_failed_rows_show_in_the_state(prefect_api: str, tmp_path: Path) -> None:
    """A run with failed rows completes under a name that says so; one without a single
    good row fails.
    """
    partial, whole = base(tmp_path / "one"), base(tmp_path / "two")
    partial["datasets"][0]["cases"][0]["input"] = "not a number"
    for case in whole["datasets"][0]["cases"]:
        case["input"] = "not a number"
    for spec in (partial, whole):
        spec["runtime"]["retries"] = 0

    names = []
    for spec in (partial, whole):
        outcome = flow_outcome(spec, tmp_path, prefect_api)
        names.append(
            ask(
                prefect_api,
                lambda client, id_=outcome.flow_run_id: client.read_flow_run(id_),
            ).state.name
        )

    assert ["CompletedWithFailedRows", "Failed"] == names


def test_lost_table_is_computed_again(prefect_api: str, tmp_path: Path) -> None:
    """A task whose Parquet is gone does not end `Cached`: it computes its table
    again.
    """
    spec = base(tmp_path / "store")
    flow_outcome(spec, tmp_path, prefect_api)
    for part in (tmp_path / "store/rows/parse").rglob("*.parquet"):
        part.unlink()

    outcome = flow_outcome(spec, tmp_path, prefect_api)

    assert "completed" == outcome.run.result.status.value
    assert 12 == outcome.run.result.progress["parse"].computed
    assert 0 == outcome.run.result.progress["generate"].computed


def test_text_of_data_is_inert_in_the_ui(prefect_api: str, tmp_path: Path) -> None:
    """Its pages render cells and descriptions as Markdown, and mention nobody there."""
    hostile = (
        "[click](http://evil.example) ![](http://evil.example/p) @team <img src=x>"
    )
    spec = base(tmp_path / "store")
    spec["name"] = f"named\x1b[31m {hostile}"
    spec["datasets"][0]["dataset_id"] = hostile
    spec["datasets"][0]["cases"][0]["input"] = hostile
    spec["runtime"]["retries"] = 0

    outcome = flow_outcome(spec, tmp_path, prefect_api)

    flow_run = ask(
        prefect_api, lambda client: client.read_flow_run(outcome.flow_run_id)
    )
    found = ask(prefect_api, lambda client: artifacts(client, outcome.flow_run_id))
    assert flow_run.name.isprintable()
    shown = "\n".join(
        f"{artifact.data}\n{artifact.description}" for artifact in found.values()
    )
    assert "click" in shown
    for text in ("](http://evil", "<img", "@team", "\x1b"):
        assert text not in shown
