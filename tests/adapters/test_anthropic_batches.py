"""Anthropic's Message Batches API: what is sent, what replies mean, and whole runs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.anthropic_batch_server import AnthropicBatchServer
from tests.support.batch_runs import batch_experiment, charges
from themis_lib import Case, Experiment, RowError, RunResult, RunStatus, TransientError
from themis_lib.adapters.anthropic_api import Anthropic
from themis_lib.core.batches import BatchApi, FoundBatch
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.prompts import PromptSpec

CASE = Case(case_id="c1", input="2 + 2?")
CTX = GenerateContext(
    run_id="r",
    case_id="c1",
    dataset_id="d",
    seed=7,
    sample_index=0,
    prompt_spec=PromptSpec(instructions="Be brief."),
    metadata={},
)
KEY, OTHER = "0f" * 16, "1e" * 16


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnthropicBatchServer]:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789")
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with AnthropicBatchServer() as server:
        yield server


def api_of(server: AnthropicBatchServer, **settings: Any) -> BatchApi:
    api = Anthropic(model="m", base_url=server.url, max_tokens=9, **settings).batch_api
    assert api is not None
    return api


def experiment(server: AnthropicBatchServer, **settings: Any) -> Experiment:
    return batch_experiment(server, generator={"use": "anthropic"}, **settings)


def outputs(result: RunResult) -> list[dict[str, Any]]:
    rows = result.table("outputs").to_pylist()
    volatile = {"transport", "latency_s"}
    return [
        {name: value for name, value in row.items() if name not in volatile}
        for row in rows
    ]


def test_an_item_is_the_live_request(server: AnthropicBatchServer) -> None:
    """The parameters are those of a live call, the headers go with the batch."""
    settings: dict[str, Any] = {"temperature": 0.5, "betas": ["b-2", "a-1"]}
    generator = Anthropic(model="m", base_url=server.url, max_tokens=9, **settings)
    asyncio.run(generator.generate(CASE, CTX))

    async def submit() -> str:
        api = api_of(server, **settings)
        return await api.submit("l", [api.line(KEY, CASE, CTX)], {}, timeout_s=5)

    assert "msgbatch_1" == asyncio.run(submit())
    (live,) = server.requests
    sent = server.batches["msgbatch_1"].requests
    assert [{"custom_id": KEY, "params": live.body}] == sent
    assert "a-1,b-2" == server.created[0]["anthropic-beta"]


def test_a_batch_is_found_by_its_rows(server: AnthropicBatchServer) -> None:
    """Only once it has ended can anybody tell whose it is."""
    server.batch_s = 0.4

    async def find() -> list[FoundBatch]:
        api = api_of(server)
        for key in (OTHER, KEY):
            await api.submit("l", [api.line(key, CASE, CTX)], {}, timeout_s=5)
        found = []
        for wait_s in (0.0, 0.5):
            await asyncio.sleep(wait_s)
            for not_these in ([], ["msgbatch_2"]):
                found.append(
                    await api.find("l", [KEY], {}, since=0, not_these=not_these)
                )
        return found

    expected = [
        FoundBatch(None, is_certain=False),
        FoundBatch(None, is_certain=False),
        FoundBatch("msgbatch_2"),
        FoundBatch(None),
    ]
    assert expected == asyncio.run(find())


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        ({"type": "expired"}, TransientError),
        ({"type": "canceled"}, TransientError),
        (
            {"type": "errored", "error": {"error": {"type": "api_error"}}},
            TransientError,
        ),
        (
            {
                "type": "errored",
                "error": {"error": {"type": "invalid_request_error", "message": "no"}},
            },
            RowError,
        ),
        ({"type": "succeeded", "message": {"content": None}}, TransientError),
    ],
)
def test_what_a_result_without_an_answer_means(
    server: AnthropicBatchServer, result: dict[str, Any], kind: type[Exception]
) -> None:
    """As the same reply to a live call."""
    with pytest.raises(kind):
        api_of(server).read({"result": result, "batch_id": "b", "custom_id": KEY})


def test_a_batch_gives_the_rows_of_live_calls_at_half_the_price(
    server: AnthropicBatchServer,
) -> None:
    """Tables and keys are equal, dollars exactly half."""
    by_batch = experiment(server).run()
    assert [] == server.requests
    live = experiment(server, runtime={"batch": None}).run()

    assert RunStatus.COMPLETED is by_batch.status
    assert outputs(live) == outputs(by_batch)
    assert {1: 10} == charges(server)
    assert live.manifest.cost_paid is not None
    assert by_batch.manifest.cost_paid == live.manifest.cost_paid / 2


def test_every_row_is_answered_or_recorded_under_faults(
    server: AnthropicBatchServer,
) -> None:
    """30 % of requests fail and 30 % of rows do; a lost submission is found again."""
    draw = random.Random(5)
    lost = iter([0])
    server.refuses = lambda path, number: (
        next(lost, None)
        if path.endswith("batches")
        else (draw.choice([429, 500, 529]) if draw.random() < 0.3 else None)
    )
    fates = ["refused", "failed", "expired"]
    server.fate = lambda custom_id, attempt: (
        fates[int(custom_id, 16) % 3]  # type: ignore[return-value]
        if attempt == 1 and int(custom_id, 16) % 10 < 3
        else "answered"
    )
    tried = experiment(server, cases=100)

    results = [tried.run()]
    while any(stage.failed for stage in results[-1].manifest.stages):
        assert len(results) < 20
        results.append(tried.run())

    refused = [row["error"] for row in outputs(results[-1]) if row["error"]]
    assert {"invalid_request_error: it is refused"} == set(refused)
    assert {1: 100 - len(refused)} == charges(server)
