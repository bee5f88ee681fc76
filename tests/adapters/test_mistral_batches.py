"""Mistral's batches through `any`: what is sent, what replies mean, and whole runs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.batch_runs import (
    Machine,
    batch_experiment,
    batch_spec,
    charges,
    check_paid_once,
    kill_at_random,
    outputs,
)
from tests.support.mistral_batch_server import MistralBatchServer
from themis_lib import (
    Case,
    ConfigError,
    Experiment,
    FatalError,
    RowError,
    RunStatus,
    TransientError,
    adapters,
)
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
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}},
    "required": ["answer"],
    "additionalProperties": False,
}
MODEL = {"use": "any", "model": "mistral:mistral-small"}
#: What a run's process needs, which takes seconds to import.
IMPORTS = ("any_llm", "any_llm.providers.mistral", "themis_lib.adapters.any_api")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MistralBatchServer]:
    monkeypatch.setenv("MISTRAL_API_KEY", "sk-mistral-of-the-environment-1")
    with MistralBatchServer() as server:
        yield server


def model_at(server: MistralBatchServer, **settings: Any) -> Any:
    return adapters.any(MODEL["model"], **{"base_url": server.url, **settings})


def api_of(server: MistralBatchServer, **settings: Any) -> BatchApi:
    api: BatchApi | None = model_at(server, **settings).batch_api
    assert api is not None
    return api


def experiment(server: MistralBatchServer, **settings: Any) -> Experiment:
    return batch_experiment(server, generator=MODEL, **settings)


async def submit(api: BatchApi, label: str, *keys: str) -> str:
    lines = [api.line(key, CASE, CTX) for key in keys]
    prepared = await api.prepare(lines)
    return await api.submit(label, lines, prepared, timeout_s=5)


def test_a_line_is_the_live_request(server: MistralBatchServer) -> None:
    """The job has its model; nothing else differs."""
    settings: dict[str, Any] = {
        "temperature": 0.5,
        "max_tokens": 9,
        "stop": ["END"],
        "schema": SCHEMA,
        "reasoning_effort": "high",
        "extra_body": {"safe_prompt": True},
    }
    asyncio.run(model_at(server, **settings).generate(CASE, CTX))

    assert "batch_1" == asyncio.run(submit(api_of(server, **settings), "l", KEY))

    (live,) = server.requests
    (line,) = server.lines
    assert KEY == line["custom_id"]
    assert live.body == {**line["body"], "stream": False}
    assert 7 == line["body"]["random_seed"]
    (created,) = server.created
    assert ("mistral-small", {"themis_batch": "l"}) == (
        created["model"],
        created["metadata"],
    )


def test_a_setting_that_any_llm_leaves_out_is_refused(
    server: MistralBatchServer,
) -> None:
    """As in a live call, and before anything is sent."""
    with pytest.raises(FatalError, match="'extra_body'"):
        api_of(server, extra_body={"user": "u"}).line(KEY, CASE, CTX)
    assert [] == server.asked


def test_a_batch_is_found_by_its_label(server: MistralBatchServer) -> None:
    """On whichever page of the list it is."""

    async def find() -> list[FoundBatch]:
        api = api_of(server)
        for number in range(102):
            await submit(api, f"l{number}", KEY)
        return [
            await api.find(label, [KEY], {}, since=0, not_these=[])
            for label in ("l0", "l101", "other")
        ]

    found = asyncio.run(find())

    assert [FoundBatch("batch_1"), FoundBatch("batch_102"), FoundBatch(None)] == found


def test_only_providers_whose_batches_are_found_again_have_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`always` names the provider, and nothing is sent."""
    for name in ("GEMINI_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "sk-0123456789")
    with MistralBatchServer() as server:
        for model in ("gemini:gemini-2.5-flash", "openai:gpt-4.1"):
            tried = batch_experiment(
                server, generator={"use": "any", "model": model}, when="always"
            )
            with pytest.raises(ConfigError, match=rf"\(any {model}\) has no batch API"):
                tried.run()
        assert [] == server.asked


ANSWER = {"id": "a", "object": "o", "model": "m", "created": 1, "usage": {}}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"response": None, "error": None}, TransientError),
        ({"error": "the job was cancelled"}, TransientError),
        ({"response": {"status_code": 500, "body": {}}}, TransientError),
        ({"response": {"status_code": 429, "body": "slow down"}}, TransientError),
        ({"response": {"status_code": 422, "body": {"message": "no"}}}, RowError),
        ({"response": {"status_code": 401, "body": {"message": "no"}}}, FatalError),
        ({"response": {"status_code": 200, "body": {"choices": 3}}}, TransientError),
        (
            {"response": {"status_code": 200, "body": {**ANSWER, "choices": []}}},
            TransientError,
        ),
    ],
)
def test_what_a_line_without_an_answer_means(
    server: MistralBatchServer, reply: dict[str, Any], kind: type[Exception]
) -> None:
    """As the same reply to a live call."""
    with pytest.raises(kind):
        api_of(server).read({**reply, "batch_id": "b", "custom_id": KEY})


def test_a_batch_gives_the_rows_of_live_calls_at_half_the_price(
    server: MistralBatchServer,
) -> None:
    """Tables and keys are equal, dollars exactly half."""
    by_batch = experiment(server).run()
    assert [] == server.requests
    live = experiment(server, runtime={"batch": None}).run()

    assert RunStatus.COMPLETED is by_batch.status
    assert 10 == len(server.requests)
    assert outputs(live) == outputs(by_batch)
    assert {1: 10} == charges(server)
    assert live.manifest.cost_paid is not None
    assert by_batch.manifest.cost_paid == live.manifest.cost_paid / 2


def test_a_lost_reply_of_a_submission_pays_once(server: MistralBatchServer) -> None:
    """The job is looked up by its label before anything is sent again."""
    lost = iter([0])
    server.refuses = lambda path, number: (
        next(lost, None) if path == "/v1/batch/jobs" else None
    )

    result = experiment(server).run()

    assert RunStatus.COMPLETED is result.status
    assert {1: 10} == charges(server)
    assert 1 == len(server.created)


def test_every_row_is_answered_or_recorded_under_faults(
    server: MistralBatchServer,
) -> None:
    """30 % of requests fail and 30 % of rows do; what is lost is looked for."""
    draw = random.Random(5)
    server.refuses = lambda path, number: (
        draw.choice([429, 500, 503, 0]) if draw.random() < 0.3 else None
    )
    fates = ["refused", "failed", "expired"]
    server.fate = lambda custom_id, attempt: (
        fates[int(custom_id, 16) % 3]  # type: ignore[return-value]
        if attempt == 1 and int(custom_id, 16) % 10 < 3
        else "answered"
    )
    tried = experiment(server, cases=100, settle_s=1.0)

    results = [tried.run()]
    while any(stage.failed for stage in results[-1].manifest.stages):
        assert len(results) < 30
        results.append(tried.run())

    refused = [row["error"] for row in outputs(results[-1]) if row["error"]]
    assert {"HTTP 400: refused with 400"} == set(refused)
    assert {1: 100 - len(refused)} == charges(server)


@pytest.mark.parametrize("state", ["expired", "failed"])
def test_a_job_that_ends_early_is_no_fact(
    server: MistralBatchServer, state: str
) -> None:
    """What it answered is kept, the other rows are in the next run's batch."""
    server.ends_as = lambda number: state if number == 1 else "completed"
    if state == "expired":
        server.fate = lambda custom_id, attempt: (
            "expired" if attempt == 1 and int(custom_id, 16) % 2 else "answered"
        )
    tried = experiment(server)

    first, second = tried.run(), tried.run()

    assert first.status in (RunStatus.FAILED, RunStatus.PARTIAL_FAILURE)
    assert RunStatus.COMPLETED is second.status
    assert {1: 10} == charges(server)
    assert [] == server.requests


def test_a_job_at_its_deadline_is_cancelled(server: MistralBatchServer) -> None:
    """What is missing then is asked live, if the settings say so."""
    server.batch_s = 600
    result = experiment(server, deadline_h=0.2 / 3600, missing="live").run()

    assert RunStatus.COMPLETED is result.status
    assert ("POST", "/v1/batch/jobs/batch_1/cancel") in server.asked
    assert 10 == len(server.requests)
    assert {} == charges(server)


def kill_runs(server: MistralBatchServer, folder: Path, kills: int) -> None:
    server.batch_s, server.create_s = 1.0, 0.4
    storage = {"store": str(folder / "store")}
    spec = batch_spec(
        server, storage=storage, cases=12 * kills, settle_s=1.0, generator=MODEL
    )
    every_case = spec["datasets"][0]["cases"]
    draw = random.Random(11)
    killed = 0
    with Machine(folder / "machine", *IMPORTS) as machine:
        for number in range(4 * kills):
            # More cases each time, so that submissions are killed throughout.
            spec["datasets"][0]["cases"] = every_case[: 3 * (number + 1)]
            killed += kill_at_random(server, machine, spec, draw)
            if killed == kills:
                break
        assert kills == killed, machine.said()
        spec["datasets"][0]["cases"] = every_case
        check_paid_once(server, machine, spec)


def test_killed_runs_pay_once(server: MistralBatchServer, tmp_path: Path) -> None:
    """`kill -9` at random moments: no row is paid twice and none is lost."""
    kill_runs(server, tmp_path, 4)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_killed_runs_pay_once(server: MistralBatchServer, tmp_path: Path) -> None:
    """The same through more of the moments at which a run can be killed."""
    kill_runs(server, tmp_path, 40)
    assert len(server.created) >= 10
