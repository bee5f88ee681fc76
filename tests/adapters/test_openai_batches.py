"""OpenAI's Batch API: the requests that are sent, and what replies mean."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import openai
import pytest

from tests.support.batch_server import BatchServer
from tests.support.provider_server import completion
from themis_lib import Case, FatalError, RowError, TransientError
from themis_lib.adapters.openai_api import OpenAI
from themis_lib.adapters.vllm_api import VLLM
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
KEY = "0f" * 16


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789abcdef")
    with BatchServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


def chat(**settings: Any) -> BatchApi:
    api = OpenAI(model="m", api_mode="chat_completions", **settings).batch_api
    assert api is not None
    return api


def reply_of(**response: Any) -> dict[str, Any]:
    return {"custom_id": KEY, "error": None, "response": response, "batch_id": "b1"}


async def sent(api: BatchApi) -> str:
    lines = [api.line(KEY, CASE, CTX)]
    prepared = await api.prepare(lines)
    return await api.submit("label-1", lines, prepared, timeout_s=5)


@pytest.mark.parametrize("api_mode", ["chat_completions", "responses"])
def test_a_line_is_the_live_request(server: BatchServer, api_mode: str) -> None:
    """Body and endpoint are those of the same row asked live."""
    generator = OpenAI(
        model="m",
        api_mode=api_mode,  # type: ignore[arg-type]
        max_tokens=5,
        temperature=0.0,
        extra_body={"service": "x"},
    )
    asyncio.run(generator.generate(CASE, CTX))
    api = generator.batch_api
    assert api is not None
    line = json.loads(api.line(KEY, CASE, CTX))

    (live,) = server.requests
    assert {
        "custom_id": KEY,
        "method": "POST",
        "url": live.path,
        "body": live.body,
    } == line


def test_what_is_sent_to_submit(server: BatchServer) -> None:
    """A file of lines for the purpose `batch`, then the batch with its label."""
    batch_id = asyncio.run(sent(chat()))

    assert "batch_1" == batch_id
    assert [("POST", "/v1/files"), ("POST", "/v1/batches")] == server.asked
    created = {
        "input_file_id": "file-1",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "metadata": {"themis_batch": "label-1"},
    }
    assert [created] == server.created
    (line,) = server.lines
    assert KEY == line["custom_id"]


def test_a_submission_is_sent_once(server: BatchServer) -> None:
    """The SDK does not repeat it, whatever its retries: the first may have arrived."""
    server.refuses = lambda path, number: 500 if path == "/v1/batches" else None

    with pytest.raises(TransientError, match="HTTP 500"):
        asyncio.run(sent(chat(max_retries=5)))

    assert 1 == server.asked.count(("POST", "/v1/batches"))


def test_a_batch_is_found_by_its_label(server: BatchServer) -> None:
    """Among several pages of others; one that is not there is certainly not."""

    async def find() -> list[FoundBatch]:
        api = chat()
        lines = [api.line(KEY, CASE, CTX)]
        prepared = await api.prepare(lines)
        for number in range(230):
            await api.submit(f"label-{number}", lines, prepared, timeout_s=5)
        found = []
        for label in ("label-3", "label-x"):
            found.append(await api.find(label, [KEY], {}, since=0, not_these=[]))
        return found

    assert [FoundBatch("batch_4"), FoundBatch(None)] == asyncio.run(find())
    assert 6 == server.asked.count(("GET", "/v1/batches"))


def test_replies_of_both_files_are_read(server: BatchServer) -> None:
    """Answers and errors, in whatever order they come."""
    fates = {KEY: "answered", "1e" * 16: "refused", "2d" * 16: "failed"}
    server.fate = lambda custom_id, attempt: fates[custom_id]  # type: ignore[return-value]

    async def fetch() -> dict[str, Any]:
        api = chat()
        lines = [api.line(key, CASE, CTX) for key in fates]
        batch_id = await api.submit("l", lines, await api.prepare(lines), timeout_s=5)
        status = await api.status(batch_id)
        assert ("completed", True, 3) == (status.state, status.has_ended, status.rows)
        return {key: reply async for key, reply in api.replies(batch_id)}

    replies = asyncio.run(fetch())

    api = chat()
    result = api.finish(api.read(replies[KEY]), CASE, CTX)
    assert "re: 2 + 2?" == result.final_output
    assert ["system", "user", "assistant"] == [
        turn.role for turn in result.conversation or []
    ]
    transport = result.transport or {}
    assert ("batch_1", f"req-{KEY[:8]}") == (
        transport["batch_id"],
        transport["request_id"],
    )
    with pytest.raises(RowError, match="HTTP 400: refused"):
        api.read(replies["1e" * 16])
    with pytest.raises(TransientError, match="HTTP 500"):
        api.read(replies["2d" * 16])


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"response": None, "error": {"code": "batch_expired"}}, TransientError),
        ({"response": None, "error": {"code": "batch_cancelled"}}, TransientError),
        ({"response": None, "error": None}, TransientError),
        (
            reply_of(status_code=429, body={"error": {"message": "slow"}}),
            TransientError,
        ),
        (reply_of(status_code=401, body={"error": {"message": "who?"}}), FatalError),
        (reply_of(status_code=200, body={"choices": []}), TransientError),
        (reply_of(status_code=200, body=None), TransientError),
        (reply_of(status_code=400, body="<html>"), RowError),
    ],
)
def test_what_a_reply_without_an_answer_means(
    server: BatchServer, reply: dict[str, Any], kind: type[Exception]
) -> None:
    """As the same reply to a live call; a row whose turn never came is tried again."""
    with pytest.raises(kind):
        chat().read({"batch_id": "b1", **reply})


def test_an_output_is_checked_as_live(server: BatchServer) -> None:
    """Structured output, and a secret that a model repeats."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    api = chat(schema=schema)
    body = {"model": "m", "messages": [{"role": "user", "content": "q"}]}
    good = completion(body, text='{"a": 1}')
    bad = completion(body, text="sk-0123456789abcdef")

    fits = api.finish(api.read(reply_of(status_code=200, body=good)), CASE, CTX)
    unfit = api.finish(api.read(reply_of(status_code=200, body=bad)), CASE, CTX)

    assert ({"a": 1}, None) == (fits.final_output, fits.error)
    assert "not the JSON that was asked for" in str(unfit.error)
    assert "sk-0123456789abcdef" not in unfit.model_dump_json()


@pytest.mark.parametrize("client_type", [openai.OpenAI, openai.AsyncOpenAI])
def test_a_client_of_your_own(
    server: BatchServer, client_type: Callable[..., Any]
) -> None:
    """Sync and async clients of the SDK are used as they are."""
    client = client_type(api_key="sk-of-the-client", base_url=server.url)

    async def steps() -> list[str]:
        api = chat(client=client)
        batch_id = await sent(api)
        found = await api.find("label-1", [KEY], {}, since=0, not_these=[])
        assert batch_id == found.batch_id
        await api.cancel(batch_id)
        replies = [key async for key, _ in api.replies(batch_id)]
        await api.discard({"input_file_id": "file-1"})
        closing = client.close()
        if isinstance(closing, Awaitable):
            await closing
        return replies

    assert [KEY] == asyncio.run(steps())


def test_servers_without_batches_have_none() -> None:
    """`vllm` cannot."""
    assert VLLM(model="m").batch_api is None
