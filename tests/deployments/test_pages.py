"""What a browser shows of a run: its page, its report, its failed rows, and the form
that starts one.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flows.evaluate import evaluate
from flows.server import password_of
from tests.support.batch_runs import batch_spec
from tests.support.batch_server import BatchServer
from tests.support.chromium import CHROMIUM
from tests.support.drivers import flow_outcome
from tests.support.prefect_api import Api
from tests.test_edit_costs import base

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here"),
]


def browsed(act: Callable[[Any], Any]) -> Any:
    """What an act on a page of a new browser returns."""
    playwright = pytest.importorskip("playwright.sync_api")

    def open_and_act() -> Any:
        with playwright.sync_playwright() as driver:
            options = {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}
            browser = driver.chromium.launch(**options)
            try:
                return act(browser.new_page())
            finally:
                browser.close()

    # In a thread of its own: its event loop would be in the way of the test's.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(open_and_act).result()


def shown(api: Api, texts: dict[str, str]) -> list[str]:
    """The documents at addresses of the UI, once each shows a text, to someone who has
    logged in.
    """
    server = api.url.removesuffix("/api")

    def log_in_and_look(page: Any) -> list[str]:
        page.goto(f"{server}/deployments")
        page.locator("input[type=password]").fill(str(password_of(api.url)))
        page.keyboard.press("Enter")
        page.wait_for_url("**/deployments")
        documents: list[str] = []
        for path, text in texts.items():
            page.goto(f"{server}/v2{path}")
            page.get_by_text(text).first.wait_for()
            page.wait_for_load_state("networkidle")
            documents.append(page.content())
        return documents

    documents: list[str] = browsed(log_in_and_look)
    return documents


def test_pages_show_what_matters(api: Api, tmp_path: Path) -> None:
    """Run, report and failed rows are found by names that a person knows, with scores,
    reasons and places.
    """
    spec = {**base(tmp_path / "store"), "name": "seen"}
    spec["datasets"][0]["cases"][0]["input"] = "not a number"
    spec["runtime"]["retries"] = 0
    outcome = flow_outcome(spec, tmp_path, api.url)
    artifacts = api.artifacts(outcome.flow_run_id)

    run, report, failed = shown(
        api,
        {
            f"/runs/flow-run/{outcome.flow_run_id}": "CompletedWithFailedRows",
            f"/artifacts/artifact/{artifacts['report-seen'].id}": "95 % interval",
            f"/artifacts/artifact/{artifacts['failed-rows-seen'].id}": "invalid literal",
        },
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


def test_pages_show_that_a_run_waits(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run and task, each by the name of its state; nothing has failed."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    with BatchServer(batch_s=3600) as server:
        storage = {"store": str(tmp_path / "store")}
        spec = batch_spec(server, storage=storage, wait=False)
        outcome = flow_outcome({"name": "waits", **spec}, tmp_path, api.url)
    task = api.task_ids(outcome.flow_run_id)["generate questions 0-9"]

    pages = shown(
        api,
        {
            f"/runs/flow-run/{outcome.flow_run_id}": "AwaitingBatches",
            f"/runs/task-run/{task}": "AwaitingBatch",
        },
    )

    assert [False, False] == ["Failed" in page for page in pages]


def test_form_says_what_each_field_is(api: Api) -> None:
    """The form that starts a run has a title and a description for each field, and asks
    for no types.
    """

    async def deploy(client: Any) -> Any:
        return await (await evaluate.ato_deployment("seen")).aapply()

    path = f"/deployments/deployment/{api.ask(deploy)}/run"
    (form,) = shown(api, {path: "Overrides"})

    for text in (
        "Experiment",
        "YAML file",
        "Max cost",
        "Dollars that this run may spend",
        "Overrides",
    ):
        assert text in form
    assert "None" not in form


def test_pages_ask_nobody_but_their_server(api: Api) -> None:
    """Prefect's pages would have their use counted by a service on the internet."""
    server = api.url.removesuffix("/api")
    reached: list[str] = []
    refused: list[str] = []

    def look(page: Any) -> None:
        page.on("requestfinished", lambda request: reached.append(request.url))
        page.on("requestfailed", lambda request: refused.append(str(request.failure)))
        page.goto(f"{server}/v2/dashboard", wait_until="networkidle")

    browsed(look)

    assert reached
    assert [] == [url for url in reached if not url.startswith(server)]
    assert {"csp"} >= set(refused)


#: A page that asks a Prefect server for a flow: by a request that browsers send without
#: asking first, by one for which they ask, and with a password that it has guessed.
HOSTILE = """
<script>
async function attempt(api, options) {
  try {
    const answer = await fetch(api + "/flows/", {method: "POST", ...options});
    return answer.type + answer.status;
  } catch (error) {
    return "refused";
  }
}
async function attack(api) {
  const body = JSON.stringify({name: "hostile"});
  const json = {"Content-Type": "application/json"};
  return [
    await attempt(api, {body, mode: "no-cors", headers: {"Content-Type": "text/plain"}}),
    await attempt(api, {body: new Blob([body]), mode: "no-cors"}),
    await attempt(api, {body, headers: json}),
    await attempt(api, {body, headers: {...json, Authorization: "Basic eA=="}}),
  ];
}
</script>
"""


@pytest.fixture
def foreign_origin(tmp_path: Path) -> Iterator[str]:
    """The address of another server of this machine, whose page is hostile."""
    (tmp_path / "index.html").write_text(HOSTILE)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_page_of_another_origin_cannot_use_the_server(
    api: Api, foreign_origin: str
) -> None:
    """Nothing that it asks for happens, and it reads no answer."""

    def attack(page: Any) -> Any:
        page.goto(foreign_origin)
        return page.evaluate("api => attack(api)", api.url)

    answers = browsed(attack)

    assert ["opaque0", "opaque0", "refused", "refused"] == answers
    flows = api.ask(lambda client: client.read_flows())
    assert "hostile" not in [flow.name for flow in flows]
