"""`themis certify`: what is shown and written, calls that are asked for, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner

from flows.certify import app
from tests.support.provider_server import Fault, ProviderServer, prompt_of, refused


class ListingServer(ProviderServer):
    """A provider that also lists its models."""

    models: tuple[str, ...] = ("m",)

    def _add_routes(self, app: web.Application) -> None:
        app.router.add_get("/v1/models", self._list)

    async def _list(self, request: web.Request) -> web.Response:
        listed = [{"id": name, "object": "model"} for name in self.models]
        return web.json_response({"object": "list", "data": listed})


@pytest.fixture
def server() -> Iterator[ListingServer]:
    with ListingServer() as running:
        yield running


def certify(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_calls_are_planned_and_asked_for_before_they_are_made(
    server: ListingServer, tmp_path: Path
) -> None:
    """The plan counts them; without a terminal and --yes none is made."""
    store = ("--store", str(tmp_path), "--limit", "3")

    planned = certify(server.url, *store, "--plan")
    refused_calls = certify(server.url, *store)

    assert 0 == planned.exit_code, planned.output
    assert "18 calls, price not known" in planned.output
    assert 2 == refused_calls.exit_code
    assert "certifying this takes 18 calls" in refused_calls.output
    assert [] == server.requests
    assert 0 == certify(server.url, *store, "--yes").exit_code
    assert 18 == len(server.requests)
    assert "0 calls" in certify(server.url, *store, "--plan").output
    # Nothing is missing, so nothing is asked.
    assert 0 == certify(server.url, *store).exit_code


def test_difference_is_shown_and_written(server: ListingServer, tmp_path: Path) -> None:
    """Exit code 1; terminal, Markdown, JSON and the page say the same, and are inert."""
    server.delay_s = 0.02

    def script(attempt: int, body: dict[str, Any]) -> Fault:
        alone = server._in_flight == 1
        return Fault(changes={"text": "one <b>" if alone else "one <script>alert(1)"})

    server.script = script
    files = {name: tmp_path / f"c.{name}" for name in ("html", "markdown", "json")}
    options = [
        text for name, file in files.items() for text in (f"--{name}", str(file))
    ]

    result = certify(
        *(server.url, "--limit", "4", "--yes", "--store", str(tmp_path / "store")),
        *options,
    )

    assert 1 == result.exit_code, result.output
    record = json.loads(files["json"].read_text())
    differing = sum(check["texts_differ"] for check in record["checks"])
    assert differing
    page, markdown = files["html"].read_text(), files["markdown"].read_text()
    for text in (result.output, markdown, page):
        assert f"{differing} of 20 texts differ" in text
        assert "adds nothing" not in text
    for text in (markdown, page):
        assert "<script>alert" not in text


def test_way_without_an_answer_has_a_code_of_its_own(
    server: ListingServer, tmp_path: Path
) -> None:
    """Exit code 6, and the reason."""
    server.script = lambda attempt, body: (
        refused() if len(server.requests) > 9 else None
    )

    result = certify(
        *(server.url, "max_retries=0", "--limit", "2", "--yes"),
        *("--store", str(tmp_path)),
    )

    assert 6 == result.exit_code, result.output
    assert "again later: 2 failed: " in result.output
    assert "429" in result.output


def test_budget_has_a_code_of_its_own(server: ListingServer, tmp_path: Path) -> None:
    """Exit code 4, and one line."""
    (tmp_path / "paid.yaml").write_text(
        f"""
generation:
  generator: {{use: vllm, base_url: "{server.url}", model: m, max_tokens: 1000}}
datasets:
  - {{dataset_id: d, cases: [{{case_id: a, input: q}}, {{case_id: b, input: r}}]}}
cost: {{max_cost: 0.0101, prices: {{m: {{input: 0, output: 10}}}}}}
"""
    )

    result = certify(
        str(tmp_path / "paid.yaml"), "--yes", "--store", str(tmp_path / "store")
    )

    assert 4 == result.exit_code, result.output
    assert "stopped at the budget" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("models", "said"),
    [(("a", "b"), "has 2 models ('a', 'b'); name one: model=a"), ((), "model=NAME")],
)
def test_model_is_named_where_a_server_has_several(
    server: ListingServer, tmp_path: Path, models: tuple[str, ...], said: str
) -> None:
    """Exit code 2 and one line."""
    server.models = models

    result = certify(server.url, "--store", str(tmp_path), "--yes")

    assert 2 == result.exit_code
    assert said in result.output
    assert "Traceback" not in result.output


def test_certification_that_was_stopped_is_taken_up(
    server: ListingServer, tmp_path: Path
) -> None:
    """Ctrl-C: code 130; the same again asks only for what is missing."""
    server.delay_s = 0.1
    command = [
        *(sys.executable, "-m", "flows.certify", server.url, "--yes", "--limit", "8"),
        *("--store", str(tmp_path)),
    ]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    deadline = time.monotonic() + 60
    while len(server.requests) < 12 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    stopped_after = len(server.requests)
    server.delay_s = 0.0

    result = certify(server.url, "--yes", "--limit", "8", "--store", str(tmp_path))

    assert 130 == process.returncode
    assert "stopped; every answer is kept" in said
    assert 0 == result.exit_code, result.output
    # alone, 2, 4, 8 at once, shuffled, two behind a prefix, later.
    assert stopped_after < 8 * 8
    assert len(server.requests) <= 8 * 8 + 2
    assert 8 == len({prompt_of(request.body) for request in server.requests[:8]})
