"""Rows by batch: the same rows at half the price, none paid twice, none lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.batch_runs import (
    LIVE_DOLLARS,
    Machine,
    batch_experiment,
    batch_spec,
    charges,
    check_paid_once,
    kill_at_random,
    outputs,
)
from tests.support.batch_server import BatchServer, Fate
from themis_lib import (
    BudgetError,
    ConfigError,
    Experiment,
    FatalError,
    RunResult,
    RunStatus,
)
from themis_lib.experiment.spec import experiment_from_spec


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with BatchServer() as server:
        yield server


def dollars(result: RunResult) -> float:
    paid = result.manifest.cost_paid
    assert paid is not None
    return paid


def test_a_batch_gives_the_rows_of_live_calls_at_half_the_price(
    server: BatchServer,
) -> None:
    """Tables, keys and scores are equal; dollars are exactly half."""
    by_batch = batch_experiment(server).run()
    assert [] == server.requests
    live = batch_experiment(server, runtime={"batch": None}).run()

    assert RunStatus.COMPLETED is by_batch.status
    assert 10 == len(server.requests)
    assert outputs(live) == outputs(by_batch)
    assert {1: 10} == charges(server)
    assert dollars(live) == pytest.approx(10 * LIVE_DOLLARS)
    assert dollars(by_batch) == dollars(live) / 2
    record = by_batch.manifest.stage("generate")
    assert record is not None
    assert dollars(live) / 2 == record.saved_by_batch
    transports = by_batch.table("outputs")["transport"].to_pylist()
    assert all('"batch_id":"batch_1"' in text for text in transports)


def test_switching_costs_nothing(server: BatchServer, tmp_path: Path) -> None:
    """Rows that came by batch are found by a live run, and the other way round."""
    storage = {"store": str(tmp_path)}
    batch_experiment(server, storage=storage, cases=5).run()
    live = batch_experiment(server, storage=storage, runtime={"batch": None}).run()
    again = batch_experiment(server, storage=storage).run()

    assert 5 == len(server.requests)
    assert 1 == len(server.created)
    assert 5 * LIVE_DOLLARS == pytest.approx(dollars(live))
    assert 0 == dollars(again)
    cost = again.manifest.cost
    assert cost is not None
    assert cost == pytest.approx(7.5 * LIVE_DOLLARS)


def test_each_shard_has_a_batch(server: BatchServer) -> None:
    """All are at the provider at once, whatever the number of shards."""
    server.batch_s = 2.0
    result = batch_experiment(server, shard_size=3).run()

    assert RunStatus.COMPLETED is result.status
    assert 4 == len(server.created)
    fetched = server.asked.index(("GET", "/v1/files/batch_1-output/content"))
    assert 4 == server.asked[:fetched].count(("POST", "/v1/batches"))


def test_every_row_is_answered_or_recorded_under_faults(server: BatchServer) -> None:
    """30 % of requests fail and 30 % of rows do: all ends as live calls would."""
    draw = random.Random(5)
    server.refuses = lambda path, number: (
        draw.choice([429, 429, 500, 500, 503, 503, 0]) if draw.random() < 0.3 else None
    )
    refused_ids = set()

    def fate(custom_id: str, attempt: int) -> Fate:
        drawn = fates[int(custom_id, 16) % 3]
        if attempt > 1 or int(custom_id, 16) % 10 >= 3:
            return "answered"
        if drawn == "refused":
            refused_ids.add(custom_id)
        return drawn

    fates: list[Fate] = ["refused", "failed", "expired"]
    server.fate = fate
    experiment = batch_experiment(
        server, cases=100, generator={"max_retries": 8}, settle_s=1.0
    )

    results = [experiment.run()]
    while any(stage.failed for stage in results[-1].manifest.stages):
        assert len(results) < 20
        results.append(experiment.run())

    last = results[-1].table("outputs").to_pylist()
    refused = [row for row in last if row["error"]]
    assert {"HTTP 400: refused with 400"} == {row["error"] for row in refused}
    assert len(refused_ids) == len(refused)
    assert {1: 100 - len(refused)} == charges(server)
    paid = sum(map(dollars, results))
    assert paid == pytest.approx((100 - len(refused)) * LIVE_DOLLARS / 2)


@pytest.mark.parametrize("missing", ["retry", "live"])
def test_rows_that_a_batch_left_out(server: BatchServer, missing: str) -> None:
    """Expired rows are no facts: they are asked live, or in the next run's batch."""
    server.ends_as = lambda number: "expired" if number == 1 else "completed"
    server.fate = lambda custom_id, attempt: (
        "expired" if attempt == 1 and int(custom_id, 16) % 2 else "answered"
    )
    experiment = batch_experiment(server, cases=20, missing=missing)

    first = experiment.run()
    answered = sum(server.charged.values())
    assert 0 < answered < 20
    if missing == "live":
        assert RunStatus.COMPLETED is first.status
        assert 20 - answered == len(server.requests)
        half, full = answered / 2, 20 - answered
        assert dollars(first) == pytest.approx((half + full) * LIVE_DOLLARS)
        return
    assert RunStatus.PARTIAL_FAILURE is first.status
    assert [] == server.requests
    errors = [row["error"] for row in first.table("outputs").to_pylist()]
    assert 20 - answered == sum(error is not None for error in errors)
    second = experiment.run()
    assert RunStatus.COMPLETED is second.status
    assert {1: 20} == charges(server)


def test_a_batch_at_its_deadline_is_cancelled(server: BatchServer) -> None:
    """What is missing then is asked live, if the settings say so."""
    server.batch_s = 600
    result = batch_experiment(server, deadline_h=0.2 / 3600, missing="live").run()

    assert RunStatus.COMPLETED is result.status
    assert ("POST", "/v1/batches/batch_1/cancel") in server.asked
    assert 10 == len(server.requests)
    assert {} == charges(server)
    assert dollars(result) == pytest.approx(10 * LIVE_DOLLARS)


def test_a_run_need_not_wait(server: BatchServer, tmp_path: Path) -> None:
    """With `wait: false` it ends as `waiting`, and the next one takes the batch up."""
    server.batch_s = 600
    experiment = batch_experiment(server, storage={"store": str(tmp_path)}, wait=False)

    first = experiment.run()
    record = first.manifest.stage("generate")
    assert record is not None
    assert RunStatus.WAITING is first.status
    assert ["batch_1"] == record.open_batches
    assert 0 == dollars(first)
    errors = {row["error"] for row in first.table("outputs").to_pylist()}
    assert {"AwaitingBatchError: batch_1: in_progress, 0 of 10 rows"} == errors
    server.end_batches()
    second = experiment.run()

    assert RunStatus.COMPLETED is second.status
    assert {1: 10} == charges(server)
    assert dollars(second) == pytest.approx(5 * LIVE_DOLLARS)


def test_a_full_queue_is_tried_again(server: BatchServer) -> None:
    """A batch that the provider could not take is no fact about its rows."""
    server.ends_as = lambda number: "failed" if number == 1 else "completed"
    experiment = batch_experiment(server)

    first = experiment.run()
    second = experiment.run()

    assert RunStatus.FAILED is first.status
    errors = {row["error"] for row in first.table("outputs").to_pylist()}
    assert all("token_limit_exceeded" in str(error) for error in errors)
    assert RunStatus.COMPLETED is second.status
    assert {1: 10} == charges(server)


def test_a_lost_reply_of_a_submission_pays_once(server: BatchServer) -> None:
    """The batch is looked up by its label before anything is sent again."""
    lost = iter([0])
    server.refuses = lambda path, number: (
        next(lost, None) if path == "/v1/batches" else None
    )
    result = batch_experiment(server).run()

    assert RunStatus.COMPLETED is result.status
    assert {1: 10} == charges(server)
    assert 1 == len(server.created)


def test_a_refused_submission_stops_the_run(server: BatchServer) -> None:
    """A refusal that every batch would meet is one error, and nothing is paid."""
    server.refuses = lambda path, number: 403 if path == "/v1/batches" else None
    experiment = batch_experiment(server)

    with pytest.raises(FatalError, match=r"the provider refuses the batch: .*403"):
        experiment.run()

    server.refuses = lambda path, number: None
    assert RunStatus.COMPLETED is experiment.run().status
    assert {1: 10} == charges(server)


def test_a_budget_holds_batches_before_they_are_sent(server: BatchServer) -> None:
    """A batch that could pass the budget is not submitted; one that cannot is."""
    most = 10 * (len('[[{"content":"q0","role":"user"}],null,[]]') * 2 + 10 * 8) / 1e6
    cheap = batch_experiment(server)
    cost = cheap.cost.model_copy(update={"max_cost": most * 0.49})
    with pytest.raises(BudgetError, match="stopped at the budget"):
        cheap.model_copy(update={"cost": cost}).run()
    assert [] == server.created

    cost = cheap.cost.model_copy(update={"max_cost": most * 0.55})
    result = cheap.model_copy(update={"cost": cost}).run()
    assert RunStatus.COMPLETED is result.status


def test_only_generators_with_batches_can(server: BatchServer) -> None:
    """`always` is refused before anything is sent; `cheaper` asks live."""
    spec = batch_spec(server, storage={"store": "memory"}, when="always")
    spec["generation"]["generator"] = "builtin/demo_generator"
    with pytest.raises(ConfigError, match=r"runtime\.batch\.when='always'"):
        experiment_from_spec(Experiment, spec, where="spec").run()
    no_price = batch_experiment(server)
    prices = {
        "gpt-4.1": no_price.cost.prices["gpt-4.1"].model_copy(update={"batch": None})
    }
    cost = no_price.cost.model_copy(update={"prices": prices})
    assert (
        RunStatus.COMPLETED is no_price.model_copy(update={"cost": cost}).run().status
    )
    assert 10 == len(server.requests)
    assert [] == server.created


def test_judges_are_asked_by_batch_too(server: BatchServer) -> None:
    """A judge is a generator: its questions are a second batch."""
    spec = batch_spec(server, storage={"store": "memory"}, cases=4)
    spec["evaluation"] = {
        "metrics": ["builtin/judge_correctness"],
        "judge_models": [spec["generation"]["generator"]],
    }
    result = experiment_from_spec(Experiment, spec, where="spec").run()

    assert [] == server.requests
    assert [4, 4] == [len(batch.lines) for batch in server.batches.values()]
    stages = [
        record.stage for record in result.manifest.stages if record.usage_by_batch
    ]
    assert ["generate", "judge[judge_correctness]"] == stages


def test_replies_that_a_provider_has_removed(
    server: BatchServer, tmp_path: Path
) -> None:
    """Rows that were never stored are asked again once their replies are gone."""
    experiment = batch_experiment(server, storage={"store": str(tmp_path)})
    result = experiment.run()
    stage = experiment.compile().generate
    folder = tmp_path / stage.directory
    for part in folder.glob("*.parquet"):
        part.unlink()
    server.files.pop("batch_1-output")

    again = experiment.run()
    third = experiment.run()

    assert RunStatus.COMPLETED is result.status
    assert RunStatus.FAILED is again.status
    assert RunStatus.COMPLETED is third.status
    assert {2: 10} == charges(server)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_killed_runs_pay_once(server: BatchServer, tmp_path: Path) -> None:
    """`kill -9` during submit, wait and fetch: no row is paid twice and none is lost."""
    server.batch_s, server.create_s = 0.2, 0.2
    spec = batch_spec(
        server, storage={"store": str(tmp_path / "store")}, cases=1000, settle_s=1.0
    )
    every_case = spec["datasets"][0]["cases"]
    draw = random.Random(11)
    killed = 0
    with Machine(tmp_path / "machine") as machine:
        for number in range(len(every_case) // 5):
            # More cases each time, so that no run finds all of its rows stored.
            spec["datasets"][0]["cases"] = every_case[: 5 * (number + 1)]
            killed += kill_at_random(server, machine, spec, draw)
            if killed == 100:
                break
        assert 100 == killed, machine.said()
        spec["datasets"][0]["cases"] = every_case
        check_paid_once(server, machine, spec)
    assert len(server.created) >= 10


@pytest.mark.slow
def test_machines_on_one_store_pay_once(server: BatchServer, tmp_path: Path) -> None:
    """Runs that start together, one of which is killed, share their batches."""
    server.batch_s, server.create_s = 1.0, 0.2
    spec = batch_spec(
        server, storage={"store": str(tmp_path / "store")}, cases=60, settle_s=1.0
    )
    spec["runtime"]["shard_size"] = 25
    with contextlib.ExitStack() as stack:
        machines = []
        for number in range(3):
            machine = Machine(tmp_path / str(number))
            machines.append(stack.enter_context(machine))
        processes = [machine.start(spec) for machine in machines]
        while not server.created:
            time.sleep(0.01)
        os.kill(processes[0], signal.SIGKILL)
        codes = [machine.ended() for machine in machines]
        check_paid_once(server, machines[1], spec)

    assert [-signal.SIGKILL, 0, 0] == codes
    assert 3 == len(server.created)


@pytest.mark.slow
def test_machines_on_an_object_store_pay_once(
    server: BatchServer, s3_storage: dict[str, Any], tmp_path: Path
) -> None:
    """Where nobody tells what others are at, the ledger does."""
    server.batch_s, server.create_s = 1.0, 0.2
    spec = batch_spec(server, storage=s3_storage, cases=40, settle_s=2.0)
    with Machine(tmp_path / "0") as first, Machine(tmp_path / "1") as second:
        first.start(spec)
        second.start(spec)
        codes = [first.ended(), second.ended()]

    assert [0, 0] == codes, first.said() + second.said()
    assert {1: 40} == charges(server)
