"""What a browser shows of a run: its page, its report, its failed rows, and the form
that starts one.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flows.evaluate import evaluate
from tests.support.drivers import flow_outcome
from tests.support.prefect_api import Api
from tests.test_edit_costs import base

CHROMIUM = (
    shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here"),
]


def page(api: Api, path: str, folder: Path) -> str:
    """The document at an address of the UI, once its scripts have run."""
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--dump-dom",
        "--virtual-time-budget=20000",
        f"--user-data-dir={folder / 'browser'}",
        f"{api.url.removesuffix('/api')}/v2{path}",
    ]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=90, check=True
    ).stdout


def test_pages_show_what_matters(api: Api, tmp_path: Path) -> None:
    """Run, report and failed rows are found by names that a person knows, with scores,
    reasons and places.
    """
    spec = {**base(tmp_path / "store"), "name": "seen"}
    spec["datasets"][0]["cases"][0]["input"] = "not a number"
    spec["runtime"]["retries"] = 0
    outcome = flow_outcome(spec, tmp_path, api.url)
    artifacts = api.artifacts(outcome.flow_run_id)

    run = page(api, f"/runs/flow-run/{outcome.flow_run_id}", tmp_path)
    report = page(api, f"/artifacts/artifact/{artifacts['report-seen'].id}", tmp_path)
    failed = page(
        api, f"/artifacts/artifact/{artifacts['failed-rows-seen'].id}", tmp_path
    )

    for text in ("seen · m1", "CompletedWithFailedRows"):
        assert text in run
    for text in (
        "seen: partial_failure",
        "score[first]",
        "95 % interval",
        str(outcome.run.result.location),
    ):
        assert text in report
    for text in ("2 failed row(s)", "case-0", "invalid literal"):
        assert text in failed


def test_form_says_what_each_field_is(api: Api, tmp_path: Path) -> None:
    """The form that starts a run has a title and a description for each field, and asks
    for no types.
    """

    async def deploy(client: Any) -> Any:
        return await (await evaluate.ato_deployment("seen")).aapply()

    form = page(api, f"/deployments/deployment/{api.ask(deploy)}/run", tmp_path)

    for text in (
        "Experiment",
        "YAML file",
        "Max cost",
        "Dollars that this run may spend",
        "Overrides",
    ):
        assert text in form
    assert "None" not in form
