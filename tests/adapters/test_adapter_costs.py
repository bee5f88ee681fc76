"""What an edit costs with a provider: the table of the README holds for each adapter, counted in requests."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.provider_server import Fault, ProviderServer
from tests.counting import CALLS
from tests.drivers import run_in_process
from tests.test_edit_costs import EDITS, GENERATOR, K, N, Spec, base, setting


def counted(attempt: int, body: dict[str, Any]) -> Fault:
    """Answers as `tests.counting:Generator` does."""
    said = "\n".join(message["content"] for message in body["messages"]).split()
    number, seed = next(int(word) for word in said if word.isdigit()), body["seed"]
    prompt = "p" if "p" in said else ""
    wrong = "x" if number == 5 and seed >= 13 else ""
    answer = f"{number}{prompt if number == 3 else ''}{wrong}/{seed}"
    return Fault(changes={"text": f"{prompt if number % 2 else ''} answer {answer}"})


@pytest.fixture(params=["openai", "vllm"])
def spec(request: pytest.FixtureRequest, server: ProviderServer, tmp_path: Path) -> Spec:
    """The experiment of the table, its generator behind a provider."""
    server.script = counted
    spec = base(tmp_path / "store")
    spec["generation"]["generator"] = {
        "use": request.param, "model": "m1", "api_mode": "chat_completions", "base_url": server.url, "max_tokens": 16,
    }  # fmt: skip
    return spec


def cost(server: ProviderServer, spec: Spec, folder: Path) -> tuple[int, int, int, int]:
    """Run and count: requests, parser and metric calls, then summary rows."""
    server.requests.clear()
    CALLS.clear()
    result = run_in_process(spec, folder, "")
    return len(server.requests), CALLS["parse"], CALLS["score"], result.manifest.summary_computed


@pytest.mark.parametrize("name", EDITS)
def test_edit_costs_what_the_table_says(
    name: str, spec: Spec, server: ProviderServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit to a warm experiment costs exactly the requests, calls and rows that the table says."""
    monkeypatch.setenv("THEMIS_TEST_KEY", "sesame-open")
    edit, expected = EDITS[name]
    if name == "base_url":
        edit = setting(f"{GENERATOR}.base_url", re.sub(r"127\.0\.0\.1", "localhost", server.url))
    first = cost(server, spec, tmp_path)
    edited = copy.deepcopy(spec)
    edit(edited)

    assert (N * K, N * K, N * K, 1) == first
    assert expected == cost(server, edited, tmp_path)


@pytest.mark.parametrize(
    ("setting_", "value", "requests"),
    [
        ("top_p", 0.5, N * K), ("stop", ["."], N * K), ("logprobs", 1, N * K), ("extra_body", {"top_k": 1}, N * K),
        ("reasoning_effort", "low", N * K), ("headers", {"X-Team": "a"}, 0), ("timeout_s", 9, 0),
        ("max_retries", 0, 0), ("max_concurrency", 2, 0), ("requests_per_minute", 9999, 0),
    ],
)  # fmt: skip
def test_settings_of_the_adapters_cost_what_they_must(
    setting_: str, value: Any, requests: int, spec: Spec, server: ProviderServer, tmp_path: Path
) -> None:
    """What is sent costs every request anew; how and how fast it is sent costs nothing."""
    cost(server, spec, tmp_path)
    spec["generation"]["generator"][setting_] = value

    assert (requests, 0, 0, 0) == cost(server, spec, tmp_path)
