"""What an edit costs with a provider: the table of the documentation holds for each adapter,
counted in requests.
"""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.asking import questions
from tests.support.counting import CALLS
from tests.support.drivers import DRIVERS, run_in_process
from tests.support.provider_server import Fault, ProviderServer
from tests.test_edit_costs import EDITS, GENERATOR, Edit, K, N, Spec, base, setting
from themis_lib import InMemoryRunStore, PromptSpec
from themis_lib.adapters import openai
from themis_lib.stages.stage import Stage


def counted(attempt: int, body: dict[str, Any]) -> Fault:
    """Answers as `tests.support.counting:Generator` does."""
    said = "\n".join(message["content"] for message in body["messages"]).split()
    number, seed = next(int(word) for word in said if word.isdigit()), body["seed"]
    prompt = "p" if "p" in said else ""
    wrong = "x" if number == 5 and seed >= 13 else ""
    answer = f"{number}{prompt if number == 3 else ''}{wrong}/{seed}"
    return Fault(changes={"text": f"{prompt if number % 2 else ''} answer {answer}"})


def through(use: str, server: ProviderServer, folder: Path) -> Spec:
    """The experiment of the table with one adapter: a provider's model, or a graph."""
    server.script = counted
    spec = base(folder / "store")
    spec["generation"]["generator"] = (
        {
            "use": use,
            "graph": "tests.support.graphs:make_counting_graph",
            "output_key": "answer",
        }
        if use == "langgraph"
        else {
            "use": use,
            "model": "m1",
            "api_mode": "chat_completions",
            "base_url": server.url,
            "max_tokens": 16,
        }
    )
    return spec


# The whole table for one adapter is enough for every run: they share their requests.
@pytest.fixture(params=["openai", pytest.param("vllm", marks=pytest.mark.slow)])
def spec(
    request: pytest.FixtureRequest, server: ProviderServer, tmp_path: Path
) -> Spec:
    """The experiment of the table, its generator behind a provider."""
    return through(request.param, server, tmp_path)


def cost(
    server: ProviderServer,
    spec: Spec,
    folder: Path,
    *,
    driver: Any = run_in_process,
    api_url: str = "",
) -> tuple[int, int, int, int]:
    """Run and count: requests and runs of the graph, parser and metric calls, then
    summary rows.
    """
    server.requests.clear()
    CALLS.clear()
    result = driver(spec, folder, api_url)
    generated = len(server.requests) + CALLS["generate"]
    return generated, CALLS["parse"], CALLS["score"], result.manifest.summary_computed


@pytest.mark.parametrize("name", EDITS)
def test_edit_costs_what_the_table_says(
    name: str,
    spec: Spec,
    server: ProviderServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An edit to a warm experiment costs exactly the requests, calls and rows that the
    table says.
    """
    monkeypatch.setenv("THEMIS_TEST_KEY", "sesame-open")
    edit, expected = EDITS[name]
    if name == "base_url":
        edit = setting(
            f"{GENERATOR}.base_url", re.sub(r"127\.0\.0\.1", "localhost", server.url)
        )
    first = cost(server, spec, tmp_path)
    edited = copy.deepcopy(spec)
    edit(edited)

    assert (N * K, N * K, N * K, 1) == first
    assert expected == cost(server, edited, tmp_path)


def configured(name: str, value: Any) -> Edit:
    """An edit of what a graph's nodes find in their config."""
    return setting(f"{GENERATOR}.config.configurable.{name}", value)


#: What is a provider's setting elsewhere is for a graph what its nodes make of their
#: config.
GRAPH_EDITS = EDITS | {
    "temperature": (configured("temperature", 0.7), (N * K, 0, 0, 0)),
    "max tokens": (configured("max_tokens", 8), (N * K, 0, 0, 0)),
    "model": (configured("model", "m2"), (N * K, 0, 0, 0)),
    "base_url": (configured("base_url", "http://two"), (N * K, 0, 0, 0)),
    "api key": (configured("api_key", "${THEMIS_TEST_KEY}"), (0, 0, 0, 0)),
    "recursion limit": (
        setting(f"{GENERATOR}.config.recursion_limit", 9),
        (N * K, 0, 0, 0),
    ),
    "steps at once": (setting(f"{GENERATOR}.config.max_concurrency", 2), (0, 0, 0, 0)),
    "graph": (
        setting(
            f"{GENERATOR}.graph", "tests.support.graphs:make_longer_counting_graph"
        ),
        (N * K, 0, 0, 0),
    ),
    "the same graph by its object": (
        setting(f"{GENERATOR}.graph", "tests.support.graphs:counting_graph"),
        (0, 0, 0, 0),
    ),
}


@pytest.mark.parametrize("name", GRAPH_EDITS)
def test_edit_of_a_graph_costs_what_the_table_says(
    name: str, server: ProviderServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit to a warm experiment costs exactly the runs of the graph, calls and rows
    that the table says.
    """
    monkeypatch.setenv("THEMIS_TEST_KEY", "sesame-open")
    edit, expected = GRAPH_EDITS[name]
    spec = through("langgraph", server, tmp_path)
    first = cost(server, spec, tmp_path)
    edited = copy.deepcopy(spec)
    edit(edited)

    assert (N * K, N * K, N * K, 1) == first
    assert expected == cost(server, edited, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("use", ["openai", "vllm", "langgraph"])
def test_prompt_costs_generation_alone_through_the_flow(
    use: str, server: ProviderServer, prefect_api: str, tmp_path: Path
) -> None:
    """On Prefect a second run costs nothing, and a prompt that changes no answer costs
    the generator's calls alone.
    """
    spec = through(use, server, tmp_path)
    edited = copy.deepcopy(spec)
    EDITS["prompt spec, all texts identical"][0](edited)

    first, again, prompted = (
        cost(
            server,
            given,
            tmp_path,
            driver=DRIVERS["through the flow"],
            api_url=prefect_api,
        )
        for given in (spec, spec, edited)
    )

    assert (N * K, N * K, N * K, 1) == first
    assert (0, 0, 0, 0) == again
    assert (N * K, 0, 0, 0) == prompted


@pytest.mark.parametrize(
    ("setting_", "value", "requests"),
    [
        ("top_p", 0.5, N * K),
        ("stop", ["."], N * K),
        ("logprobs", 1, N * K),
        ("extra_body", {"top_k": 1}, N * K),
        ("reasoning_effort", "low", N * K),
        ("headers", {"X-Team": "a"}, 0),
        ("timeout_s", 9, 0),
        ("max_retries", 0, 0),
        ("max_concurrency", 2, 0),
        ("requests_per_minute", 9999, 0),
    ],
)
def test_settings_of_the_adapters_cost_what_they_must(
    setting_: str,
    value: Any,
    requests: int,
    spec: Spec,
    server: ProviderServer,
    tmp_path: Path,
) -> None:
    """What is sent costs every request anew; how and how fast it is sent costs nothing."""
    cost(server, spec, tmp_path)
    spec["generation"]["generator"][setting_] = value

    assert (requests, 0, 0, 0) == cost(server, spec, tmp_path)


PARTS = [{"role": "user", "content": [{"type": "text", "text": "4+4"}]}]
TEXTS = [{"role": "user", "content": "5+5"}]


@pytest.mark.parametrize(
    ("api_mode", "suffix", "moves"),
    [
        ("chat_completions", None, False),
        ("chat_completions", "Go.", True),
        ("responses", None, True),
    ],
)
def test_keys_move_only_where_a_request_did(
    api_mode: Any, suffix: str | None, moves: bool
) -> None:
    """Rows of texts are found under the keys that they always had."""
    inputs = ["2+2", [1, 2], TEXTS, PARTS]
    experiment = questions(
        openai("gpt", api_mode=api_mode, api_key="sk-test-1"),
        inputs=inputs,
        prompt_spec=PromptSpec(suffix=suffix),
    )
    pipeline = experiment.compile()
    store = InMemoryRunStore()
    (shard,) = pipeline.shards(store)
    stage = pipeline.generate
    rows = stage.rows(shard, store)

    keys = stage.keys(rows).to_pylist()
    plain = Stage.keys(stage, rows).to_pylist()

    assert [False, False, False, moves] == [
        now != then for now, then in zip(keys, plain, strict=True)
    ]
    # Rows of a shard that has parts are looked up one by one.
    assert "input_version" in stage.columns(shard, store)
    assert "input_version" not in stage.columns(replace(shard, has_parts=False), store)
