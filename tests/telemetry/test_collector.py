"""What a collector is sent over OTLP by processes of their own, and what becomes of a
run whose collector takes nothing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.provider_server import ProviderServer
from tests.support.spans import Collector, attributes_of, named, tree

#: Runs an experiment in this process, untraced in memory and then as it is. Prints its
#: status, and by how many seconds it takes longer than the first.
RUN = (
    "import sys, time; from themis_lib import Experiment\n"
    "def run(*overrides):\n"
    "    experiment = Experiment.from_config(sys.argv[1], overrides=overrides)\n"
    "    began = time.monotonic()\n"
    "    status = experiment.run().status.value\n"
    "    return status, time.monotonic() - began\n"
    "_, untraced_s = run('runtime.telemetry=off', 'storage.store=memory')\n"
    "status, traced_s = run()\n"
    "print(status, traced_s - untraced_s)\n"
)
#: Where nobody listens.
NOWHERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server


def written(
    folder: Path, provider: ProviderServer, *, cases: int = 4, **runtime: Any
) -> Path:
    """An experiment in a file, of shards of two cases."""
    spec = {
        "name": "traced",
        "generation": {
            "generator": {
                "use": "openai",
                "model": "gpt-x",
                "base_url": provider.url,
                "api_mode": "chat_completions",
            }
        },
        "evaluation": {"metrics": ["builtin/exact_match"]},
        "datasets": [
            {
                "dataset_id": "d",
                "cases": [
                    {"case_id": str(at), "input": f"{at}", "expected_output": "1"}
                    for at in range(cases)
                ],
            }
        ],
        "storage": {"store": str(folder / "store")},
        "runtime": {"telemetry": "spans", "shard_size": 2, **runtime},
    }
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def run(
    command: list[str], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_run_in_process_sends_its_spans_and_metrics(
    provider: ProviderServer, tmp_path: Path
) -> None:
    path = written(tmp_path, provider, cases=2)
    with Collector() as collector:
        environment = {**collector.environment, "OTEL_METRICS_EXPORTER": "otlp"}
        environment["OTEL_EXPORTER_OTLP_HEADERS"] = "x-token=canary-header"
        done = run(["-c", RUN, str(path)], environment)

    assert (0, "") == (done.returncode, done.stderr)
    assert {"themis"} == collector.services
    assert {"canary-header"} == {headers["x-token"] for headers in collector.headers}
    stages = ["generate", "parse", "score[exact_match]", "reduce"]
    expected: list[Any] = []
    for stage in stages:
        below = [f"themis.shard {stage}"]
        if stage == "generate":
            below.append(["chat gpt-x", "chat gpt-x"])
        expected += [f"themis.stage {stage}", below]
    assert ["themis.run", expected] == tree(collector.spans)
    durations = collector.metrics["gen_ai.client.operation.duration"]
    assert [2] == [point.count for point in durations]
    assert {"input": 22, "output": 14} == {
        attributes_of(point)["gen_ai.token.type"]: point.sum
        for point in collector.metrics["gen_ai.client.token.usage"]
    }


@pytest.mark.parametrize(
    "collector",
    [
        pytest.param(None, id="nobody is there"),
        pytest.param(Collector(status=403), id="refuses"),
        pytest.param(Collector(status=503), id="is busy", marks=pytest.mark.slow),
        pytest.param(Collector(hangs=True), id="hangs", marks=pytest.mark.slow),
    ],
)
def test_a_collector_that_takes_nothing_costs_a_warning_and_two_seconds_at_most(
    provider: ProviderServer, tmp_path: Path, collector: Collector | None
) -> None:
    path = written(tmp_path, provider)
    if collector is None:
        done = run(["-c", RUN, str(path)], NOWHERE)
    else:
        with collector:
            done = run(["-c", RUN, str(path)], collector.environment)

    assert 0 == done.returncode
    status, seconds = done.stdout.split()
    assert "completed" == status
    # Two, and what a busy machine adds; the exporter itself would try for ten.
    assert float(seconds) < 8
    [warning] = done.stderr.splitlines()
    assert warning.startswith("spans do not reach the OpenTelemetry collector")


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["threads", "processes"])
def test_spans_of_a_flow_are_one_tree_whatever_computes_its_shards(
    provider: ProviderServer, prefect_api: str, tmp_path: Path, runner: str
) -> None:
    path = written(tmp_path, provider, workers=2)
    command = ["-m", "flows.run", str(path), "--runner", runner]
    with Collector() as collector:
        environment = {**collector.environment, "PREFECT_API_URL": prefect_api}
        done = run(command, environment)
        assert 0 == done.returncode, done.stdout + done.stderr
        spans = collector.spans
        again = run(command, environment)
        assert 0 == again.returncode, again.stdout + again.stderr
        spans_again = [span for span in collector.spans if span not in spans]

    by_name = sorted(spans, key=lambda span: span.name, reverse=True)
    expected: list[Any] = []
    for stage in ["score[exact_match]", "reduce", "parse", "generate"]:
        below: list[Any] = [f"themis.shard {stage}"]
        if stage == "generate":
            below.append(["chat gpt-x", "chat gpt-x"])
        expected += [f"themis.stage {stage}", 2 * below]
    assert ["themis.run", expected] == tree(by_name)
    counted = ("themis.rows.total", "themis.rows.computed", "themis.rows.cached")
    assert {(4, 4, 0)} == {
        tuple(span.attributes[name] for name in counted)
        for span in named(spans, "themis.stage")
    }
    assert [] == named(spans_again, "chat")
    assert {(4, 0, 4)} == {
        tuple(span.attributes[name] for name in counted)
        for span in named(spans_again, "themis.stage")
    }


@pytest.mark.slow
def test_a_run_that_is_interrupted_sends_what_it_was_at(
    provider: ProviderServer, prefect_api: str, tmp_path: Path
) -> None:
    path = written(tmp_path, provider)
    provider.holds = lambda: True
    with Collector() as collector:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.run", str(path)],
            env={
                **os.environ,
                **collector.environment,
                "PREFECT_API_URL": prefect_api,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len(provider.requests) < 1:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.wait(30)
        spans = collector.spans

    [of_run] = named(spans, "themis.run")
    assert ("ERROR", "failed") == (
        of_run.status,
        of_run.attributes["themis.run.status"],
    )
    requests = named(spans, "chat")
    assert requests
    assert {"cancelled"} == {span.attributes["error.type"] for span in requests}
    assert {"ERROR"} == {span.status for span in named(spans, "themis.shard")}
