"""Experiments whose rows go to a batch server, and processes that run them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from tests.support.anthropic_batch_server import AnthropicBatchServer
from tests.support.batch_server import BatchServer
from themis_lib import Experiment, RunResult, RunStore
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.runs.manifest import manifests
from themis_lib.storage.batch_ledger import BatchLedger
from themis_lib.upkeep.check import check

AnyBatchServer: TypeAlias = BatchServer | AnthropicBatchServer
#: Dollars for a million tokens; a batch costs half.
PRICE = {"input": 2.0, "output": 8.0, "batch": 0.5}
#: What the server counts for each answer costs live: 11 input and 7 output tokens.
LIVE_DOLLARS = (11 * 2 + 7 * 8) / 1e6
#: Columns that differ between a row by batch and the same row asked live.
_VOLATILE = {"transport", "latency_s"}
#: Forks a process for each line, which runs the experiment in the file of that name:
#: imports take far longer than a run.
_FORKS = """
import importlib, json, os, sys
import openai, pyarrow.parquet
for name in sys.argv[1:]:
    importlib.import_module(name)
from themis_lib import Experiment
from themis_lib.experiment.spec import experiment_from_spec
import themis_lib.adapters.openai_api, themis_lib.adapters.transport

for line in sys.stdin:
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
        continue
    spec = json.loads(open(line.strip()).read())
    result = experiment_from_spec(Experiment, spec, where="spec").run()
    os._exit(0 if result.status.value == "completed" else 3)
"""


def batch_spec(
    server: AnyBatchServer,
    *,
    storage: Mapping[str, Any],
    cases: int = 10,
    generator: Mapping[str, Any] | None = None,
    runtime: Mapping[str, Any] | None = None,
    shard_size: int | None = None,
    **batch: Any,
) -> dict[str, Any]:
    """Return an experiment as it is written; `batch` are settings of `runtime.batch`."""
    model = {
        "use": "openai",
        "model": "gpt-4.1",
        "base_url": server.url,
        "max_tokens": 10,
        **(generator or {}),
    }
    if model["use"] == "openai":
        model.setdefault("api_mode", "chat_completions")
    return {
        "generation": {"generator": model},
        "evaluation": {"metrics": ["builtin/exact_match"]},
        "datasets": [
            {
                "dataset_id": "questions",
                "cases": [
                    {
                        "case_id": f"c{index}",
                        "input": f"q{index}",
                        "expected_output": f"re: q{index}",
                    }
                    for index in range(cases)
                ],
            }
        ],
        "storage": dict(storage),
        "cost": {"prices": {model["model"]: PRICE}},
        "runtime": {
            "batch": {"poll_s": 0.05, "settle_s": 0.5, **batch},
            "shard_size": shard_size,
            **(runtime or {}),
        },
    }


def batch_experiment(
    server: AnyBatchServer,
    *,
    storage: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Experiment:
    """Return the experiment of `batch_spec`, in memory by default."""
    spec = batch_spec(server, storage=storage or {"store": "memory"}, **settings)
    return experiment_from_spec(Experiment, spec, where="spec")


class Machine:
    """Runs experiments one after another, each in a process that may be killed.

    `imports` are modules that their generators need, loaded once.
    """

    def __init__(self, folder: Path, *imports: str) -> None:
        folder.mkdir(exist_ok=True)
        self._path = folder / "spec.json"
        self._log = (folder / "errors.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-c", _FORKS, *imports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, "OPENAI_API_KEY": "sk-from-the-environment"},
        )

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.communicate()
        self._log.close()

    def start(self, spec: Mapping[str, Any]) -> int:
        """Start a run and return its process id."""
        self._path.write_text(json.dumps(spec))
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self._path}\n")
        self._process.stdin.flush()
        return int(self._line())

    def ended(self) -> int:
        """Return the exit code of the run, once it has ended."""
        return int(self._line())

    def said(self) -> str:
        """Return what the runs wrote to the standard error."""
        return Path(self._log.name).read_text()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def charges(server: AnyBatchServer) -> Counter[int]:
    """Return how many rows were charged once, twice, and so on."""
    return Counter(count for count in server.charged.values() if count)


def outputs(result: RunResult) -> list[dict[str, Any]]:
    """Return a run's rows, without how they came."""
    rows = result.table("outputs").to_pylist()
    return [
        {name: value for name, value in row.items() if name not in _VOLATILE}
        for row in rows
    ]


def kill_at_random(
    server: AnyBatchServer, machine: Machine, spec: dict[str, Any], draw: random.Random
) -> bool:
    """Start a run, kill it at a random moment, and return whether it was under way."""
    seen = len(server.asked)
    process = machine.start(spec)
    deadline = time.monotonic() + 2
    while len(server.asked) == seen and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(draw.choice([0.1, 0.5, 1.5, 3.0]) * draw.random())
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    return machine.ended() == -signal.SIGKILL


def check_paid_once(
    server: AnyBatchServer, machine: Machine, spec: dict[str, Any]
) -> None:
    """Run to the end, and compare with live calls of the same rows."""
    machine.start(spec)
    assert 0 == machine.ended(), machine.said()
    assert {1: len(spec["datasets"][0]["cases"])} == charges(server)
    store = RunStore(spec["storage"]["store"])
    last = RunResult(store, manifests(store)[-1].run_id)
    live_spec = {**spec, "runtime": {}, "storage": {"store": "memory"}}
    live = experiment_from_spec(Experiment, live_spec, where="spec").run()
    assert outputs(live) == outputs(last)
    assert live.manifest.cost is not None
    assert last.manifest.cost == live.manifest.cost / 2
    ledger = BatchLedger(store, "generate", last.manifest.stages[0].fingerprint)
    assert [] == ledger.open_batches()
    assert [] == list(check(store))
