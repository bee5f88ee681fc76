"""What a provider does wrong: every row ends completed or recorded, nothing is lost,
nothing is asked for twice.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.asking import ask, outputs, questions, rows
from tests.support.drivers import run_through_flow
from tests.support.provider_server import (
    BIG,
    CUT,
    DRIP,
    EMPTY,
    FILTERED,
    GARBAGE,
    REFUSAL,
    SILENT,
    Fault,
    ProviderServer,
    Request,
    prompt_of,
    refused,
)
from tests.support.tables import tables_of
from themis_lib import (
    FatalError,
    InMemoryRunStore,
    RunResult,
    RunStatus,
    TransientError,
)
from themis_lib.adapters import openai, vllm
from themis_lib.adapters.vllm_api import VLLM
from themis_lib.runs.manifest import manifests

MODES = ["responses", "chat_completions"]
PASSING = {
    "429": refused("0.1"),
    "429 without a hint": refused(),
    "408": refused(status=408),
    "409": refused(status=409),
    "500": refused(status=500),
    "503 with a hint": refused("0.1", status=503),
    "cut in the middle": CUT,
    "a byte at a time": DRIP,
    "silent past the timeout": SILENT,
    "invalid JSON": GARBAGE,
    "not even text": Fault(body=b"\xff\xfe\x00"),
    "a page of a proxy": Fault(
        body=b"<html>busy</html>", headers={"Content-Type": "text/html"}
    ),
    "an empty body": Fault(body=b""),
    "JSON, but no object": Fault(body=b"[1, 2]"),
    "null": Fault(body=b"null"),
    "empty choices": EMPTY,
    "choices that are none": Fault(body={"choices": "none", "output": "none"}),
    "a message that is none": Fault(
        body={
            "choices": [{"message": 3}],
            "output": [{"type": "message", "content": 3}],
        }
    ),
    "an error with status 200": Fault(
        body={"error": {"code": "server_error", "message": "try again"}}
    ),
}
FACTS = {
    "400": (refused(status=400), "refused with 400"),
    "context length": (
        refused(status=400, code="context_length_exceeded"),
        "refused with 400",
    ),
    "413": (refused(status=413), "refused with 413"),
    "422": (refused(status=422), "refused with 422"),
    "moderation": (refused(status=403, message="your input was flagged"), "flagged"),
    "content filter of the prompt": (
        refused(status=400, code="content_filter"),
        "refused with 400",
    ),
    "content filter": (FILTERED, "content filter"),
    "refusal": (REFUSAL, "the model refused"),
    "an error in a list": (
        Fault(400, body=b'[{"error": {"code": 400, "message": "too blue"}}]'),
        "too blue",
    ),
}
FATAL = {
    "401": (refused(status=401, code="invalid_api_key"), "API key"),
    "402": (refused(status=402), "paid"),
    "403": (refused(status=403), "forbids"),
    "unknown model": (refused(status=404, code="model_not_found"), "model"),
    "404": (refused(status=404), "base_url"),
    "unsupported parameter": (
        refused(status=400, code="unsupported_parameter"),
        "every request",
    ),
    "no money left": (refused("9", code="insufficient_quota"), "every request"),
}


def script_of(fault: Fault) -> Any:
    """This fault for every request about an even question."""
    return lambda attempt, body: (
        fault if int(prompt_of(body).split()[1]) % 2 == 0 else None
    )


@pytest.mark.parametrize("api_mode", MODES)
@pytest.mark.parametrize("name", PASSING)
def test_failure_that_may_pass_costs_its_rows_one_more_run(
    name: str, api_mode: Any, server: ProviderServer
) -> None:
    """The rows fail for this run with a reason; the next run asks for these alone, and
    the tables are complete.
    """
    server.script = script_of(PASSING[name])
    generator = openai(
        "gpt", base_url=server.url, api_mode=api_mode, max_retries=0, timeout_s=1.5
    )
    store = InMemoryRunStore()

    failed = questions(generator, 6).run(store)
    first = server.answered
    server.forget()
    healed = questions(generator, 6).run(store)
    again = server.answered
    untroubled = questions(generator, 6).run(InMemoryRunStore())

    assert RunStatus.PARTIAL_FAILURE == failed.status
    assert (3, 3) == (
        failed.progress["generate"].computed,
        failed.progress["generate"].failed,
    )
    assert [bool(row.error) for row in rows(failed)] == [True, False] * 3
    assert all(
        "\n" not in str(row.error) and len(str(row.error)) < 400 for row in rows(failed)
    )
    assert {"question 1", "question 3", "question 5"} == set(first)
    assert ["question 0", "question 2", "question 4"] == sorted(again)
    assert RunStatus.COMPLETED == healed.status
    assert tables_of(untroubled) == tables_of(healed)


@pytest.mark.parametrize("api_mode", MODES)
@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_transient(
    name: str, api_mode: Any, server: ProviderServer
) -> None:
    """Whoever orchestrates is told that trying again may help."""
    server.script = lambda attempt, body: PASSING[name]
    generator = openai(
        "gpt", base_url=server.url, api_mode=api_mode, max_retries=0, timeout_s=1.5
    )

    with pytest.raises(TransientError):
        ask(generator)


@pytest.mark.parametrize(
    "name",
    ["429", "500", "503 with a hint", "cut in the middle", "silent past the timeout"],
)
def test_sdk_tries_again_what_may_pass(name: str, server: ProviderServer) -> None:
    """A request that failed is sent again, as often as `max_retries` says, before its
    row fails.
    """
    server.script = lambda attempt, body: PASSING[name] if attempt == 1 else None

    result = ask(
        openai("gpt", base_url=server.url, timeout_s=0.4, max_retries=1), "question 1"
    )

    assert ("re: question 1", None) == (result.final_output, result.error)
    assert [1, 2] == [request.attempt for request in server.requests]


def test_retry_after_is_waited_for(server: ProviderServer) -> None:
    """The next try comes no sooner than the provider asked, and the others do not wait
    for it.
    """
    server.script = lambda attempt, body: (
        refused("0.5") if attempt == 1 and prompt_of(body) == "question 0" else None
    )

    questions(openai("gpt", base_url=server.url, max_concurrency=1), 10).run()

    tries = [
        request
        for request in server.requests
        if prompt_of(request.body) == "question 0"
    ]
    assert tries[1].at - tries[0].at >= 0.49
    assert ["question 0"] == [
        prompt_of(request.body) for request in server.requests[-1:]
    ]


@pytest.mark.parametrize("api_mode", MODES)
@pytest.mark.parametrize("name", FACTS)
def test_fact_is_recorded_with_the_providers_message(
    name: str, api_mode: Any, server: ProviderServer
) -> None:
    """What would happen again is in the row, asked for once, and kept."""
    fault, said = FACTS[name]
    server.script = script_of(fault)
    generator, store = (
        openai("gpt", base_url=server.url, api_mode=api_mode),
        InMemoryRunStore(),
    )

    result = questions(generator, 4).run(store)
    again = questions(generator, 4).run(store)

    assert RunStatus.PARTIAL_FAILURE == result.status == again.status
    assert [True, False, True, False] == [
        said in str(row.error) for row in rows(result)
    ]
    assert (4, 0) == (
        result.progress["generate"].computed,
        result.progress["generate"].failed,
    )
    assert 4 == len(server.requests)


@pytest.mark.parametrize("name", FATAL)
def test_failure_of_every_row_stops_the_run(name: str, server: ProviderServer) -> None:
    """A refused key or an unknown model is one clear error after few requests, and the
    record says so.
    """
    fault, said = FATAL[name]
    server.script = lambda attempt, body: fault
    store = InMemoryRunStore()
    began = time.monotonic()

    with pytest.raises(FatalError, match=said) as raised:
        questions(
            openai("gpt", base_url=server.url), 100, runtime={"max_concurrency": 4}
        ).run(store)

    assert "refused with" in str(raised.value)
    assert len(server.requests) <= 8
    assert time.monotonic() - began < 8, (
        "nothing that the provider said was worth waiting for"
    )
    assert [(RunStatus.FAILED, True)] == [
        (manifest.status, said in str(manifest.error)) for manifest in manifests(store)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("api_mode", MODES)
def test_large_bodies_are_kept_whole(
    api_mode: Any, server: ProviderServer, tmp_path: Path
) -> None:
    """10 MB of text arrive, are stored and are read again."""
    server.script = lambda attempt, body: BIG
    experiment = questions(
        openai("gpt", base_url=server.url, api_mode=api_mode), 2, store=str(tmp_path)
    )

    experiment.run()

    assert [10_000_000] * 2 == [len(text) for text in outputs(experiment.run())]
    assert 2 == len(server.requests)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "http://127.0.0.1:{port}/v1",
            "no answer from the provider 127.0.0.1:{port}: ",
        ),
        (
            "http://nobody.invalid:{port}/v1",
            "no answer from the provider nobody.invalid",
        ),
        ("https://127.0.0.1:{answering}/v1", "SSL"),
    ],
    ids=["refused", "unknown host", "no TLS"],
)
def test_provider_that_cannot_be_reached_ends_the_run(
    url: str, said: str, free_port: Callable[[], int], server: ProviderServer
) -> None:
    """One error, at once, before any request is tried again; it names the address."""
    answering = urlsplit(server.url).port
    ports = {"port": free_port(), "answering": answering}
    address = url.format(**ports)
    generator = openai("gpt", base_url=address, api_key="sk-test-1", max_retries=50)
    store = InMemoryRunStore()

    with pytest.raises(FatalError) as raised:
        questions(generator, 100).run(store)

    assert said.format(**ports) in str(raised.value)
    assert f"base_url='{address}' (a setting of the generator)" in str(raised.value)
    assert [RunStatus.FAILED] == [manifest.status for manifest in manifests(store)]


@pytest.mark.parametrize("is_set", [False, True])
def test_message_says_where_the_address_is_set(
    is_set: bool, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the environment, or nowhere."""
    url = f"http://me:secret-word-1@127.0.0.1:{free_port()}/v1"
    monkeypatch.delenv("VLLM_BASE_URL", raising=False)
    if is_set:
        monkeypatch.setenv("VLLM_BASE_URL", url)
    else:
        monkeypatch.setattr(VLLM, "default_url", url)

    with pytest.raises(FatalError) as raised:
        questions(vllm("tiny"), 2).run()

    source = "the default; set base_url or VLLM_BASE_URL for another"
    if is_set:
        source = "from the environment variable VLLM_BASE_URL"
    assert f"/v1' ({source})" in str(raised.value)
    assert "secret-word-1" not in str(raised.value)


@pytest.mark.parametrize("status", [401, 404])
def test_refusal_of_every_request_names_the_address(
    status: int, server: ProviderServer
) -> None:
    """A wrong key or path is often a wrong address."""
    server.script = lambda attempt, body: refused(status=status)

    with pytest.raises(FatalError) as raised:
        questions(openai("gpt", base_url=server.url), 2).run()

    said = f"; asked at base_url='{server.url}' (a setting of the generator)"
    assert str(raised.value).endswith(said)


# Many faults at once


CASES, CONCURRENCY, DELAY_S, RETRY_AFTER_S, TIMEOUT_S = 200, 16, 0.02, 0.2, 2.0


def large(attempt: int, body: dict[str, Any]) -> Fault | None:
    """Nothing is wrong; one reply has 10 MB."""
    return BIG if prompt_of(body) == "question 13" else None


def mixed(attempt: int, body: dict[str, Any]) -> Fault | None:
    """30 % refused, and 16 % broken in one of five ways; the same for a prompt in every
    run of the test.
    """
    draw = random.Random(f"{prompt_of(body)}/{attempt}").random()
    faults = [
        (0.30, refused(str(RETRY_AFTER_S))),
        (0.35, refused(status=500)),
        (0.38, CUT),
        (0.41, GARBAGE),
        (0.44, EMPTY),
        (0.46, SILENT),
    ]
    return next(
        (fault for bound, fault in faults if draw < bound), large(attempt, body)
    )


def needed_s(requests: list[Request], *, untroubled_s: float) -> float:
    """What a run with faults needs: the untroubled run's pace for all its requests, and
    the longest waits of a row.

    After a refusal the provider asks for a wait; after another failure the SDK waits
    longer from try to try; silence is waited out first.
    """
    waits: Counter[str] = Counter()
    tries: Counter[str] = Counter()
    for request in requests:
        row, fault = prompt_of(request.body), request.fault
        if fault in (None, GARBAGE, EMPTY, BIG):
            continue
        waits[row] += RETRY_AFTER_S if fault.status == 429 else 0.5 * 2 ** tries[row]
        waits[row] += TIMEOUT_S if fault is SILENT else 0.0
        tries[row] += 1
    return untroubled_s * len(requests) / CASES + max(waits.values())


def answered(server: ProviderServer) -> list[str]:
    """The rows of the requests that got an answer, a large one too."""
    return [
        prompt_of(request.body)
        for request in server.requests
        if request.fault in (None, BIG)
    ]


def spec_of(server: ProviderServer, store: Path, **runtime: Any) -> dict[str, Any]:
    return {
        "name": "faults",
        "generation": {
            "generator": {
                "use": "openai",
                "model": "gpt",
                "base_url": server.url,
                "max_retries": 8,
                "timeout_s": TIMEOUT_S,
            }
        },
        "evaluation": {"metrics": []},
        "datasets": [
            {
                "dataset_id": "questions",
                "cases": [
                    {
                        "case_id": str(at),
                        "input": f"question {at}",
                        "expected_output": "x",
                    }
                    for at in range(CASES)
                ],
            }
        ],
        "storage": {"store": str(store)},
        "runtime": {"max_concurrency": CONCURRENCY, **runtime},
        "seeds": [7],
    }


def stored_replies(store: Path) -> list[tuple[bytes, str]]:
    """Key and request id of every row of the generate stage on disk, in whatever file."""
    import pyarrow.parquet as pq

    found = []
    for path in (store / "rows/generate").rglob("*.parquet"):
        for row in pq.read_table(path, columns=["key", "transport"]).to_pylist():
            found.append((row["key"], json.loads(row["transport"])["request_id"]))
    return found


@pytest.mark.slow
def test_mixed_faults_lose_nothing(server: ProviderServer, tmp_path: Path) -> None:
    """200 rows, half of the requests failing: the second run completes what the first
    could not.
    """
    from tests.support.drivers import run_in_process

    server.delay_s, server.script = DELAY_S, large
    untroubled = run_in_process(spec_of(server, tmp_path / "untroubled"), tmp_path, "")
    server.forget()
    server.script = mixed
    troubled = run_in_process(spec_of(server, tmp_path / "store"), tmp_path, "")
    first = answered(server)
    server.script = large
    healed = run_in_process(spec_of(server, tmp_path / "store"), tmp_path, "")

    progress = troubled.progress["generate"]
    failed = [row for row in rows(troubled) if row.error]
    assert CASES == progress.computed + progress.failed
    assert 0 < progress.failed == len(failed) < 30
    assert all("reply" in str(row.error) for row in failed), (
        "only what the SDK does not try again"
    )
    assert progress.computed == len(first)
    assert RunStatus.COMPLETED == healed.status
    assert progress.failed == healed.progress["generate"].computed
    assert tables_of(untroubled) == tables_of(healed)
    assert {f"question {at}": 1 for at in range(CASES)} == Counter(answered(server))
    assert CASES == len(set(stored_replies(tmp_path / "store")))
    assert CONCURRENCY == server.most_in_flight


@pytest.mark.slow
def test_mixed_faults_take_no_longer_than_they_must(
    server: ProviderServer, tmp_path: Path
) -> None:
    """At best, half as long again as the limits and faults make necessary; a machine at
    other work may take longer.
    """
    from tests.support.drivers import run_in_process

    server.delay_s = DELAY_S
    ratios = []
    for turn in range(4):
        server.forget()
        server.script = large
        began = time.monotonic()
        run_in_process(spec_of(server, tmp_path / f"untroubled {turn}"), tmp_path, "")
        untroubled_s = time.monotonic() - began
        server.forget()
        server.script = mixed
        began = time.monotonic()
        run_in_process(spec_of(server, tmp_path / f"troubled {turn}"), tmp_path, "")
        ratios.append(
            (time.monotonic() - began)
            / needed_s(server.requests, untroubled_s=untroubled_s)
        )

    assert 1.5 >= min(ratios)


@pytest.mark.slow
def test_mixed_faults_under_the_orchestrator(
    server: ProviderServer, tmp_path: Path, prefect_api: str
) -> None:
    """Through the flow one run is enough: what the SDK does not try again, a retry of
    the shard does.
    """
    server.delay_s = DELAY_S
    runtime = {"retries": 6, "retry_delay_s": 0.2}
    run_through_flow(
        spec_of(server, tmp_path / "warm", **runtime), tmp_path, prefect_api
    )
    server.forget()
    server.script = large
    untroubled = run_through_flow(
        spec_of(server, tmp_path / "untroubled", **runtime), tmp_path, prefect_api
    )
    server.forget()
    server.script = mixed
    result = run_through_flow(
        spec_of(server, tmp_path / "store", **runtime), tmp_path, prefect_api
    )

    assert RunStatus.COMPLETED == result.status
    assert (CASES, 0) == (
        result.progress["generate"].computed,
        result.progress["generate"].failed,
    )
    assert tables_of(untroubled) == tables_of(result)
    assert {f"question {at}": 1 for at in range(CASES)} == Counter(answered(server))
    assert CASES == len(set(stored_replies(tmp_path / "store")))
    assert CONCURRENCY == server.most_in_flight


@pytest.mark.slow
def test_interrupt_loses_no_finished_row(
    server: ProviderServer, tmp_path: Path
) -> None:
    """Ctrl-C in the middle of requests: the process ends, and the next run asks for
    what was not finished.
    """
    server.script = lambda attempt, body: (
        SILENT if int(prompt_of(body).split()[1]) >= 10 else None
    )
    program = (
        "import sys\n"
        "from tests.support.asking import questions\n"
        "from themis_lib.adapters import openai\n"
        "questions(openai('gpt', base_url=sys.argv[1]), 20, store=sys.argv[2]).run()\n"
    )
    process = subprocess.Popen(
        [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "error",
            "-c",
            program,
            server.url,
            str(tmp_path / "store"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while (
        len(server.requests) < 20
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    first = server.answered
    server.forget()
    result = questions(
        openai("gpt", base_url=server.url), 20, store=str(tmp_path / "store")
    ).run()

    assert "KeyboardInterrupt" in said.splitlines()[-1]
    assert "ResourceWarning" not in said
    assert RunStatus.COMPLETED == result.status
    assert sorted(f"question {at}" for at in range(20)) == sorted(
        [*first, *server.answered]
    )
    assert [f"re: question {at}" for at in range(20)] == outputs(result)
    assert not list(tmp_path.rglob("*.journal"))
    assert [
        RunResult(result.store, manifest.run_id).status
        for manifest in manifests(result.store)
    ] == [
        RunStatus.FAILED,
        RunStatus.COMPLETED,
    ]


def test_shards_fail_apart(server: ProviderServer) -> None:
    """A shard whose rows failed for this run leaves the others alone."""
    server.script = lambda attempt, body: (
        GARBAGE if prompt_of(body) == "question 3" else None
    )

    result = asyncio.run(
        questions(
            openai("gpt", base_url=server.url), 8, runtime={"shard_size": 2}
        ).run_async()
    )

    assert [bool(row.error) for row in rows(result)] == [at == 3 for at in range(8)]
