"""Against a real server of somebody else's: llama.cpp's own, running the bundled model
on loopback.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.asking import ask, questions, rows
from tests.support.drivers import run_through_flow
from tests.support.tables import tables_of
from themis_lib import FatalError, InMemoryRunStore, RunStatus
from themis_lib.adapters import llama_choice, openai, vllm, vllm_choice
from themis_lib.engine.tiny import TINY

START_S = 90
SUMS = [f"What is {number} + 5?" for number in range(8)]
#: llama.cpp's server answers one request at a time, and drops the one under way when
#: another comes.
ONE_AT_A_TIME: dict[str, Any] = {"max_concurrency": 1}


def start(port: int, model: Path = TINY) -> subprocess.Popen[bytes]:
    """A server with a model under the name `tiny`, ready to answer."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "llama_cpp.server",
            "--model",
            str(model),
            "--model_alias",
            "tiny",
            "--n_ctx",
            "512",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--interrupt_requests",
            "false",
            # Else it rates no prompts.
            "--logits_all",
            "true",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
    )
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(
                f"http://127.0.0.1:{port}/v1/models", timeout=1
            ).close()
            return process
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise RuntimeError("the server did not start")


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def url(free_port: Callable[[], int]) -> Iterator[str]:
    port = free_port()
    process = start(port)
    yield f"http://127.0.0.1:{port}/v1"
    stop(process)


def adapters(url: str, **settings: Any) -> list[Any]:
    settings = {
        "base_url": url,
        "temperature": 0,
        "max_tokens": 12,
        **ONE_AT_A_TIME,
        **settings,
    }
    return [
        vllm("tiny", **settings),
        openai("tiny", api_mode="chat_completions", **settings),
    ]


def test_texts_come_back_and_tokens_are_counted(url: str) -> None:
    """Both adapters evaluate the model; each row has a text, a finish reason and its
    tokens.
    """
    for generator in adapters(url):
        result = questions(generator, inputs=SUMS).run()

        assert RunStatus.COMPLETED == result.status
        for row in rows(result):
            assert isinstance(row.final_output, str)
            assert row.final_output
            assert row.finish_reason in ("stop", "length")
            assert row.usage is not None
            assert 0 < (row.usage.output_tokens or 0) <= 12
            assert 0 < (row.usage.input_tokens or 0)


def test_sampling_reaches_the_model(url: str) -> None:
    """Greedy texts are all alike; with a temperature the seed decides, and the same
    seed gives the same text.
    """
    greedy, warm = (
        vllm("tiny", base_url=url, temperature=value, max_tokens=24)
        for value in (0, 1.5)
    )

    assert 1 == len(
        {ask(greedy, "Write a story", seed=seed).final_output for seed in (1, 2, 3)}
    )
    first = [ask(warm, "Write a story", seed=seed).final_output for seed in (1, 2, 3)]
    assert 1 < len(set(first))
    assert first == [
        ask(warm, "Write a story", seed=seed).final_output for seed in (1, 2, 3)
    ]


def test_the_server_rates_as_the_engine_does(url: str) -> None:
    """`vllm_choice` and `llama_choice`: the same log-probabilities of the same model."""
    asked = [
        {"context": "Question: What is 2 + 2?\nAnswer:", "continuations": [" 3", " 4"]},
        {"context": ["It is 4.", "It is five."], "continuations": [" Yes", " Yes"]},
    ]
    served = vllm_choice("tiny", base_url=url, max_concurrency=1)
    local = llama_choice(model="tiny")

    for value in asked:
        there, here = (
            (ask(generator, value).artifacts or {})["choices"]
            for generator in (served, local)
        )
        assert [one["logprob"] for one in here] == pytest.approx(
            [one["logprob"] for one in there], abs=1e-4
        )
        for name in ("text", "tokens", "is_greedy"):
            assert [one[name] for one in here] == [one[name] for one in there]


def test_stop_texts_and_limits_reach_the_model(url: str) -> None:
    """An answer ends at its longest, or before a stop text, and says which."""
    settings: dict[str, Any] = {"base_url": url, "temperature": 0}
    whole = ask(vllm("tiny", max_tokens=24, **settings), "Write a story").final_output
    word = whole.split()[2]

    short = ask(vllm("tiny", max_tokens=2, **settings), "Write a story")
    stopped = ask(vllm("tiny", max_tokens=24, stop=[word], **settings), "Write a story")

    assert ("length", 2) == (
        short.finish_reason,
        short.usage and short.usage.output_tokens,
    )
    assert ("stop", whole.partition(word)[0]) == (
        stopped.finish_reason,
        stopped.final_output,
    )


def test_structure_reaches_the_model(url: str) -> None:
    """A model that would write prose writes the JSON it is held to, in the form in
    which this server asks for it.
    """
    schema = {
        "type": "object",
        "properties": {"grade": {"enum": [1, 2, 3]}},
        "required": ["grade"],
    }
    held = vllm(
        "tiny",
        base_url=url,
        temperature=0,
        max_tokens=48,
        response_format={
            "type": "json_object",
            "schema": {**schema, "additionalProperties": False},
        },
    )

    answer = ask(held, "Write a story")

    assert (None, ["grade"]) == (answer.error, list(answer.final_output))
    assert answer.final_output["grade"] in (1, 2, 3)


def test_schema_reaches_the_model_in_another_form(url: str) -> None:
    """This server knows OpenAI's form of a schema as an error alone; the form that it
    knows is found.
    """
    held = vllm(
        "tiny",
        base_url=url,
        temperature=0,
        max_tokens=48,
        schema={
            "type": "object",
            "properties": {"grade": {"enum": [1, 2, 3]}},
            "required": ["grade"],
            "additionalProperties": False,
        },
        **ONE_AT_A_TIME,
    )

    result = questions(held, inputs=SUMS[:3]).run()

    assert RunStatus.COMPLETED == result.status
    for row in rows(result):
        assert row.final_output["grade"] in (1, 2, 3)
        assert "response_format" in (row.artifacts or {})["sent_as"]


def test_setting_out_of_range_is_one_clear_error(url: str) -> None:
    """This server says 500 of it, which would come again."""
    generator = vllm("tiny", base_url=url, top_p=9, **ONE_AT_A_TIME)

    with pytest.raises(FatalError, match=r"generation\.generator\.top_p"):
        questions(generator, inputs=SUMS).run()


def test_wrong_address_is_one_clear_error(url: str) -> None:
    """An address without the API is told at once, and the run stops."""
    generator = vllm("tiny", base_url=url.removesuffix("/v1") + "/v2", **ONE_AT_A_TIME)

    with pytest.raises(FatalError, match="check `model` and `base_url`"):
        questions(generator, inputs=SUMS).run()


@pytest.mark.slow
def test_flow_and_process_have_the_same_rows(
    url: str, tmp_path: Path, prefect_api: str
) -> None:
    """The adapter named in a file, through the flow, gives the tables of the object in
    process.
    """
    spec = {
        "generation": {
            "generator": {
                "use": "vllm",
                "model": "tiny",
                "base_url": url,
                "temperature": 0,
                "max_tokens": 12,
                **ONE_AT_A_TIME,
            }
        },
        "datasets": [
            {
                "dataset_id": "questions",
                "cases": [
                    {"case_id": str(at), "input": value, "expected_output": "x"}
                    for at, value in enumerate(SUMS)
                ],
            }
        ],
        "storage": {"store": str(tmp_path / "store")},
        "seeds": [7],
    }

    through_flow = run_through_flow(spec, tmp_path, prefect_api)
    in_process = questions(adapters(url)[0], inputs=SUMS).run()

    assert tables_of(in_process) == tables_of(through_flow)


@pytest.mark.slow
def test_server_that_stops_costs_the_rows_it_owes(free_port: Callable[[], int]) -> None:
    """Rows after the server stopped fail for this run; with the server back the next
    run goes on from there.
    """
    port, store = free_port(), InMemoryRunStore()
    server = start(port)
    generator = vllm(
        "tiny",
        base_url=f"http://127.0.0.1:{port}/v1",
        max_tokens=64,
        max_retries=0,
        **ONE_AT_A_TIME,
    )
    many = [f"Write a story about {number}" for number in range(60)]

    async def stopped_in_the_middle() -> Any:
        running = asyncio.ensure_future(
            questions(generator, inputs=many).run_async(store)
        )
        await asyncio.sleep(0.5)
        await asyncio.to_thread(stop, server)
        return await running

    try:
        questions(generator, inputs=many[:3]).run(store)
        without = asyncio.run(stopped_in_the_middle())
        server = start(port)
        after = questions(generator, inputs=many).run(store)
    finally:
        stop(server)

    then, now = without.progress["generate"], after.progress["generate"]
    assert RunStatus.PARTIAL_FAILURE == without.status
    assert (3, 57) == (then.cached, then.computed + then.failed)
    assert then.failed > 0
    assert all(
        "no answer from the provider" in row.error for row in rows(without) if row.error
    )
    assert RunStatus.COMPLETED == after.status
    assert (60 - then.failed, then.failed) == (now.cached, now.computed)
    kept = [
        (before, later)
        for before, later in zip(rows(without), rows(after), strict=True)
        if not before.error
    ]
    assert all(before.transport == later.transport for before, later in kept), (
        "a saved row was asked for again"
    )
