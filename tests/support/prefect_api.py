"""What the UI asks of a server: a run from a deployment, its state, its tasks, its
artifacts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.settings import PREFECT_API_URL, temporary_settings

ROOT = Path(__file__).parents[2]


class Api:
    """A server, asked one thing at a time."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, question: Callable[[Any], Any]) -> Any:
        """The answer of an async function that is given a client."""

        async def asked() -> Any:
            async with get_client() as client:
                return await question(client)

        with temporary_settings({PREFECT_API_URL: self.url}):
            return asyncio.run(asked())

    def run(
        self, deployment: str, *, work_queue: str | None = None, **parameters: Any
    ) -> Any:
        """The id of a new run of a deployment, in its own work queue or another."""

        async def create(client: Any) -> Any:
            known = await client.read_deployment_by_name(deployment)
            run = await client.create_flow_run_from_deployment(
                known.id,
                parameters={"parameters": parameters},
                work_queue_name=work_queue,
            )
            return run.id

        return self.ask(create)

    def flow_run(self, flow_run_id: Any) -> Any:
        return self.ask(lambda client: client.read_flow_run(flow_run_id))

    def ended(self, flow_run_id: Any, *, within_s: float = 90) -> Any:
        """The run, once it is over."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            flow_run = self.flow_run(flow_run_id)
            if flow_run.state.is_final():
                return flow_run
            time.sleep(0.5)
        raise AssertionError(
            f"run {flow_run.name} is {flow_run.state.name} after {within_s} s"
        )

    def task_states(self, flow_run_id: Any) -> dict[str, str]:
        return {task.name: task.state.name for task in self._task_runs(flow_run_id)}

    def task_ids(self, flow_run_id: Any) -> dict[str, Any]:
        return {task.name: task.id for task in self._task_runs(flow_run_id)}

    def _task_runs(self, flow_run_id: Any) -> list[Any]:
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
        found: list[Any] = self.ask(
            lambda client: client.read_task_runs(flow_run_filter=of_run, limit=200)
        )
        return found

    def artifacts(self, flow_run_id: Any) -> dict[str, Any]:
        of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
        found = self.ask(lambda client: client.read_artifacts(artifact_filter=of_run))
        return {artifact.key: artifact for artifact in found}

    def logs(self, flow_run_id: Any) -> str:
        of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id]))
        return "\n".join(
            log.message
            for log in self.ask(lambda client: client.read_logs(of_run, limit=200))
        )

    def events(self, prefix: str) -> list[Any]:
        """The events of the last hour whose name begins so, newest first."""
        from prefect.events.filters import EventFilter, EventNameFilter

        wanted = EventFilter(event=EventNameFilter(prefix=[prefix]))
        return list(
            self.ask(lambda client: client.read_events(filter=wanted, limit=50)).events
        )


def experiment_file(
    folder: Path, *, name: str = "numbers", delay_s: float = 0.0, **sections: Any
) -> Path:
    """Forty cases in four shards, whose calls are written to `calls.log`; four calls
    are in flight at a time.
    """
    spec = {
        "name": name,
        "generation": {
            "generator": {
                "use": "tests.support.counting:SlowGenerator",
                "log": str(folder / "calls.log"),
                "delay_s": delay_s,
            }
        },
        "evaluation": {
            "parsers": ["builtin/number"],
            "metrics": ["builtin/numeric_match"],
        },
        "datasets": [
            {
                "dataset_id": "d",
                "cases": [
                    {"case_id": f"c{at}", "input": str(at), "expected_output": str(at)}
                    for at in range(CASES)
                ],
            }
        ],
        "storage": {"store": str(folder / "store")},
        "runtime": {"shard_size": 10, "max_concurrency": IN_FLIGHT},
        **sections,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


CASES, IN_FLIGHT = 40, 4


def calls(folder: Path) -> list[str]:
    log = folder / "calls.log"
    return log.read_text().split() if log.exists() else []


def wait_for_calls(folder: Path, count: int, *, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while len(calls(folder)) < count:
        assert time.monotonic() < deadline, (
            f"{len(calls(folder))} calls after {within_s} s"
        )
        time.sleep(0.01)
