"""A deployed run whose rows are in a batch: while it waits, its worker is free."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.deployments.conftest import kill_with_children, prefect, start_worker
from tests.support.batch_runs import batch_spec, charges
from tests.support.batch_server import BatchServer
from tests.support.prefect_api import Api, experiment_file
from themis_lib import RunStatus, RunStore
from themis_lib.runs.manifest import manifests

# A server, a worker and several runs: more than the default on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
QUEUE = "one-slot"


def test_a_waiting_run_holds_no_worker(
    deployed: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flow run is scheduled again until its batch has ended. Meanwhile a queue with
    one slot runs another experiment.
    """
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    store = str(tmp_path / "batched")
    with BatchServer(batch_s=3600) as server:
        spec = batch_spec(server, storage={"store": store}, poll_s=4.0)
        path = tmp_path / "batched.yaml"
        path.write_text(yaml.safe_dump({"name": "batched", **spec}))
        # Not the whole pool: runs that other tests left in it would hold its slot.
        prefect(deployed, "work-queue", "create", QUEUE, "-p", "themis", "-l", "1")
        worker: subprocess.Popen[bytes] = start_worker(deployed, "--work-queue", QUEUE)
        try:
            run_id = deployed.run(
                "evaluate/evaluate", work_queue=QUEUE, experiment=str(path)
            )
            deadline = time.monotonic() + 90
            while deployed.flow_run(run_id).state.name != "AwaitingBatches":
                assert time.monotonic() < deadline, deployed.logs(run_id)
                time.sleep(0.2)
            waiting = deployed.flow_run(run_id)
            tasks = deployed.task_states(run_id)
            other = deployed.run(
                "evaluate/evaluate",
                work_queue=QUEUE,
                experiment=str(experiment_file(tmp_path)),
            )
            other = deployed.ended(other, within_s=150)
            server.end_batches()
            ended = deployed.ended(run_id, within_s=150)
        finally:
            kill_with_children(worker)

    assert "SCHEDULED" == waiting.state.type.value
    assert "10 rows wait for batch_1 at the provider" in waiting.state.message
    assert "AwaitingBatch" == tasks["generate questions 0-9"]
    assert "Failed" not in tasks.values()
    assert "Completed" == other.state.name
    assert "Completed" == ended.state.name
    assert ended.run_count >= 2
    assert {1: 10} == charges(server)
    statuses = [manifest.status for manifest in manifests(RunStore(store))]
    assert {RunStatus.WAITING} == set(statuses[:-1])
    assert RunStatus.COMPLETED is statuses[-1]
