"""People with Prefect servers of their own share one store: what one has paid for, the
next finds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from prefect.settings import PREFECT_API_AUTH_STRING, temporary_settings

from flows.server_password import read_password
from tests.support.tables import tables_of
from tests.test_edit_costs import base, task_states
from themis_lib import RunResult, RunStore
from themis_lib.runs.manifest import manifests

pytestmark = pytest.mark.slow

Person = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    """Runs `python -m …` as somebody with a Prefect home, and so a Prefect server, of
    their own.
    """
    names: set[str] = set()

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        names.add(name)
        environment = {**os.environ, "PREFECT_HOME": str(tmp_path / name)}
        environment.pop("PREFECT_API_URL", None)
        command = [sys.executable, "-m", *arguments]
        return subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    yield run
    for name in names:
        run(name, "flows.server", "stop")


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_second_person_pays_nothing(
    where: str, person: Person, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Identical work by somebody else, on another server: no call, every stage from the
    store, the same tables.
    """
    storage: dict[str, Any] = {"store": str(tmp_path / "store")}
    if where == "s3":
        storage = request.getfixturevalue("s3_storage")
    log = tmp_path / "calls.log"
    spec = {**base(tmp_path), "storage": storage}
    spec["generation"]["generator"] = {
        "use": "tests.support.counting:SlowGenerator",
        "log": str(log),
    }
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec))

    first = person("ada", "flows.run", str(path))
    paid = log.read_text().split()
    log.write_text("")
    second = person("bob", "flows.run", str(path))
    store = RunStore(storage["store"])
    runs = [RunResult(store, manifest.run_id) for manifest in manifests(store)]

    assert (0, 0) == (first.returncode, second.returncode), first.stderr + second.stderr
    assert (12, "") == (len(paid), log.read_text())
    assert {0} == {record.computed for record in runs[1].manifest.stages}
    assert tables_of(runs[0]) == tables_of(runs[1])
    assert {"Cached"} == set(states_of("bob", tmp_path, second.stdout).values())


def states_of(name: str, folder: Path, output: str) -> dict[str, str]:
    """The states of the tasks of the run whose page is named in an output."""
    api_url = json.loads((folder / name / "themis-server.json").read_text())["api_url"]
    flow_run_id = next(
        word.rpartition("/")[2] for word in output.split() if "/runs/flow-run/" in word
    )
    with temporary_settings({PREFECT_API_AUTH_STRING: read_password(folder / name)}):
        return task_states(SimpleNamespace(flow_run_id=flow_run_id), api_url)
