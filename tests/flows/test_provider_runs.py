"""What a provider's limits, prices and failures do to a run on Prefect."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.testing
import yaml

from tests.support.batch_runs import batch_spec, charges
from tests.support.batch_server import BatchServer
from tests.support.drivers import flow_outcome, run_in_process
from tests.support.flow_process import start_run
from tests.support.metered import UNDER_WAY
from tests.support.prefect_api import Api
from tests.support.provider_server import (
    CUT,
    Fault,
    ProviderServer,
    Request,
    prompt_of,
    refused,
)
from tests.support.tables import tables_of
from themis_lib import BudgetError, Experiment, FatalError, RunStatus, RunStore
from themis_lib.errors import describe
from themis_lib.runs.manifest import manifests


def spec(folder: Path, **generator: Any) -> dict[str, Any]:
    cases = [{"case_id": str(at), "input": str(at)} for at in range(12)]
    return {
        "generation": {
            "generator": {"use": "tests.support.metered:Metered", **generator}
        },
        "datasets": [{"dataset_id": "d", "cases": cases}],
        "storage": {"store": str(folder / "store")},
        "runtime": {"shard_size": 1, "retries": 0},
        "cost": {"prices": {"metered": {"input": 1_000_000, "output": 1_000_000}}},
    }


@pytest.fixture(autouse=True)
def _counts() -> None:
    UNDER_WAY.update(now=0, most=0, calls=0)


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


def asking(
    server: ProviderServer, store: Path, *, cases: int, **generator: Any
) -> dict[str, Any]:
    """An experiment that asks a server of one's own, a shard for each case; its
    questions bear the store's name.
    """
    texts = [f"{store.name} {at}" for at in range(cases)]
    return {
        "name": f"ask {store}",
        "generation": {
            "generator": {
                "use": "vllm",
                "model": "m",
                "base_url": server.url,
                "max_retries": 0,
                **generator,
            }
        },
        "datasets": [
            {
                "dataset_id": "d",
                "cases": [{"case_id": text, "input": text} for text in texts],
            }
        ],
        "storage": {"store": str(store)},
        "runtime": {"shard_size": 1, "retries": 3, "retry_delay_s": 0.1},
    }


NAMES = ("ada", "bob")


def start(spec: dict[str, Any], api_url: str) -> subprocess.Popen[str]:
    """A run in a process of its own."""
    path = Path(spec["storage"]["store"]).with_suffix(".yaml")
    path.write_text(yaml.safe_dump(spec))
    return start_run(path, api_url)


@pytest.mark.slow
def test_a_global_limit_bounds_the_shards_of_every_process(
    prefect_api: str, tmp_path: Path, server: ProviderServer
) -> None:
    """Of two runs at once, each a process, two shards together ask the provider at a
    time: the limit has two slots.

    Nothing is answered before both runs have begun, so that the one goes on or waits
    for a slot beside the other.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.settings import PREFECT_API_URL, temporary_settings

    async def create() -> None:
        async with get_client() as client:
            await client.create_global_concurrency_limit(
                GlobalConcurrencyLimitCreate(name="two-slots", limit=2)
            )

    with temporary_settings({PREFECT_API_URL: prefect_api}):
        asyncio.run(create())

    server.delay_s = 0.3
    server.holds = lambda: len(list(tmp_path.glob("*/runs/*/manifest.json"))) < 2
    running = [
        start(
            asking(server, tmp_path / name, cases=8, global_limit="two-slots"),
            prefect_api,
        )
        for name in NAMES
    ]
    try:
        said = [process.communicate(timeout=250)[0] for process in running]
    finally:
        for process in running:
            process.kill()

    assert [0, 0] == [process.returncode for process in running], said
    assert {f"{name} {at}" for name in NAMES for at in range(8)} == set(server.answered)
    assert (16, 2) == (len(server.requests), server.most_in_flight)


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "check the API key"), (404, "check `model` and `base_url`")],
    ids=["401", "404"],
)
def test_what_every_request_would_be_told_ends_the_run_at_once(
    status: int, said: str, prefect_api: str, tmp_path: Path, server: ProviderServer
) -> None:
    """One error, at most a request from each of the shards that had their turn, and no
    task is tried again.
    """
    from tasks.runners import THREADS

    server.script = lambda attempt, body: refused(status=status)
    refusing = asking(server, tmp_path / "store", cases=60)

    with pytest.raises(FatalError, match=f"{said}: HTTP {status}") as raised:
        flow_outcome(refusing, tmp_path, prefect_api)
    (manifest,) = manifests(RunStore(str(tmp_path / "store")))

    assert 1 == len(str(raised.value).splitlines())
    assert (RunStatus.FAILED, describe(raised.value)) == (
        manifest.status,
        manifest.error,
    )
    assert 1 <= len(server.requests) <= 2 * THREADS
    assert {1} == {request.attempt for request in server.requests}
    assert {1} == set(tries_of_tasks(prefect_api, of=f"{refusing['name']} · m"))


def tries_of_tasks(api_url: str, *, of: str) -> list[int]:
    """How often each task that began was tried, of the flow run of this name."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
    from prefect.settings import PREFECT_API_URL, temporary_settings

    async def read() -> list[int]:
        async with get_client() as client:
            named = FlowRunFilter(name=FlowRunFilterName(any_=[of]))
            return [
                run.run_count
                for run in await client.read_task_runs(flow_run_filter=named)
                if run.run_count
            ]

    with temporary_settings({PREFECT_API_URL: api_url}):
        return asyncio.run(read())


FLAKY = 0.3
GOOD = Fault(changes={"text": '{"verdict": "correct"}'})


def flaky(attempt: int, body: dict[str, Any]) -> Fault | None:
    """Three requests in ten of each try fail, in one way or another, the same ones on
    every run.
    """
    drawn = random.Random(f"{prompt_of(body)}/{attempt}").random()
    return (
        GOOD if drawn >= FLAKY else refused(status=503) if drawn >= FLAKY / 2 else CUT
    )


def judged(server: ProviderServer, store: Path) -> dict[str, Any]:
    cases = [
        {"case_id": str(at), "input": str(at), "expected_output": str(at)}
        for at in range(20)
    ]
    judge = {"use": "vllm", "model": "judge", "base_url": server.url, "max_retries": 0}
    return {
        "name": "flaky judge",
        "generation": {"generator": {"use": "tests.support.metered:Metered"}},
        "evaluation": {
            "metrics": [
                {"use": "builtin/judge_correctness", "judge": judge, "explain": False}
            ]
        },
        "datasets": [{"dataset_id": "d", "cases": cases}],
        "storage": {"store": str(store)},
        "runtime": {"shard_size": 7, "retries": 8, "retry_delay_s": 0.05},
    }


def test_a_judge_that_fails_at_random_is_asked_again_for_those_rows_alone(
    prefect_api: str, tmp_path: Path, server: ProviderServer
) -> None:
    """One run is enough: nothing is asked twice that was answered, no candidate anew,
    and no verdict is there twice.
    """
    server.script = lambda attempt, body: GOOD
    steady = run_in_process(judged(server, tmp_path / "steady"), tmp_path, "")
    server.forget()
    UNDER_WAY["calls"] = 0
    server.script = flaky

    result = flow_outcome(
        judged(server, tmp_path / "store"), tmp_path, prefect_api
    ).run.result

    failed = [request for request in server.requests if request.fault is not GOOD]
    assert RunStatus.COMPLETED == result.status
    assert tables_of(steady) == tables_of(result)
    assert 20 == UNDER_WAY["calls"]
    assert len(failed) > 3
    assert 20 + len(failed) == len(server.requests)
    assert dict.fromkeys(map(asked, server.requests), 1) == Counter(
        map(asked, answered(server.requests))
    )
    assert 20 == len(set(result.table("verdicts")["key"].to_pylist()))
    assert 20 == len(verdicts_in(tmp_path / "store"))


def asked(request: Request) -> str:
    return prompt_of(request.body)


def answered(requests: list[Request]) -> list[Request]:
    return [request for request in requests if request.fault is GOOD]


def verdicts_in(store: Path) -> set[tuple[bytes, str]]:
    """Key and request id of every row of the judge on disk, in whatever file."""
    import pyarrow.parquet as pq

    tables = [
        pq.read_table(path, columns=["key", "transport"])
        for path in (store / "rows/judge").rglob("*.parquet")
    ]
    return {
        (row["key"], json.loads(row["transport"])["request_id"])
        for table in tables
        for row in table.to_pylist()
    }


@pytest.mark.parametrize(
    "runner",
    [
        "threads",
        pytest.param("processes", marks=pytest.mark.slow),
        pytest.param("dask", marks=pytest.mark.slow),
    ],
)
def test_a_task_that_waits_for_a_batch_says_so(
    runner: str, prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not failed, not tried again and not cached: the next run's task looks at
    the batch.
    """
    if runner == "dask":
        pytest.importorskip("prefect_dask")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    outcomes = []
    with BatchServer(batch_s=3600) as server:
        storage = {"store": str(tmp_path / "store")}
        waiting = batch_spec(server, storage=storage, shard_size=5, wait=False)
        waiting["name"] = "waiting"
        for number in range(3):
            if number == 2:
                server.end_batches()
            outcomes.append(flow_outcome(waiting, tmp_path, prefect_api, runner=runner))

    server_api = Api(prefect_api)
    tasks = [server_api.task_states(outcome.flow_run_id) for outcome in outcomes]
    names = ("generate questions 0-4", "generate questions 5-9")
    assert [{"AwaitingBatch"}, {"AwaitingBatch"}, {"Completed"}] == [
        {states[name] for name in names} for states in tasks
    ]
    assert ["waiting", "waiting", "completed"] == [
        outcome.run.result.status.value for outcome in outcomes
    ]
    assert {1} == set(tries_of_tasks(prefect_api, of="waiting · gpt-4.1"))
    assert {1: 10} == charges(server)


def test_a_global_limit_that_is_not_there_is_one_error(
    prefect_api: str, tmp_path: Path
) -> None:
    """The error names the command that creates it, and nothing was generated."""
    with pytest.raises(
        FatalError, match=r"no concurrency limit 'nowhere'.*prefect gcl create nowhere"
    ):
        flow_outcome(spec(tmp_path, global_limit="nowhere"), tmp_path, prefect_api)

    assert 0 == UNDER_WAY["calls"]


def test_a_budget_holds_on_prefect_and_the_next_run_goes_on(
    prefect_api: str, tmp_path: Path
) -> None:
    """The run stops before it passes its budget; what it paid for is not paid again."""
    limited = spec(tmp_path)
    limited["cost"]["max_cost"] = 55

    with pytest.raises(BudgetError, match="stopped at the budget"):
        flow_outcome(limited, tmp_path, prefect_api)
    made = UNDER_WAY["calls"]
    result = flow_outcome(spec(tmp_path), tmp_path, prefect_api).run.result

    assert 5 == made
    assert 12 == UNDER_WAY["calls"]
    assert (120.0, 70.0) == (result.manifest.cost, result.manifest.cost_paid)


def test_out_of_budget_has_an_exit_code_of_its_own(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--max-cost` on the command line: exit code 4, and `--plan` says what the rest
    would cost.
    """
    from flows.run import app

    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec(tmp_path)))

    stopped = typer.testing.CliRunner().invoke(app, [str(path), "--max-cost", "55"])
    planned = typer.testing.CliRunner().invoke(app, [str(path), "--plan"])

    assert 4 == stopped.exit_code
    assert "Go on with a higher max_cost" in stopped.output
    assert "about 63 input and 7 output tokens, $70.00" in planned.output


def test_the_specification_is_an_experiment(tmp_path: Path) -> None:
    """The same specification runs in process."""
    assert "completed" == Experiment.model_validate(spec(tmp_path)).run().status.value
