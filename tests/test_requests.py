"""What an evaluation asks an object store for: a number that follows its shards, never
its rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.jobs import EXPERIMENT, write_cases
from benchmarks.object_store import BUCKET, CountingServer, counting_s3
from tests.support.drivers import run_through_flow
from tests.test_edit_costs import base, case
from themis_lib import Experiment
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.storage import rows

#: The summary, and the record of the parts; the manifest, twice.
SHARDS, STAGES, TABLES, RECORDS = 3, 4, 2, 2
#: Stages with a component of the user, whose traces are looked for before and after the
#: run, in two requests.
TRACED = 3


@pytest.fixture(scope="module")
def server() -> Iterator[CountingServer]:
    with counting_s3() as server:
        yield server


@pytest.fixture
def storage(server: CountingServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A new store on the server."""
    for name, value in server.credentials.items():
        monkeypatch.setenv(name, value)
    options = {
        "endpoint_url": "AWS_ENDPOINT_URL",
        "key": "AWS_ACCESS_KEY_ID",
        "secret": "AWS_SECRET_ACCESS_KEY",
    }
    parameters = {option: f"${{{name}}}" for option, name in options.items()}
    return {"store": f"s3://{BUCKET}/{uuid.uuid4().hex}", "parameters": parameters}


def requests(
    server: CountingServer, storage: dict[str, Any], *, cases: int
) -> dict[str, int]:
    """The requests of a run of so many cases in three shards."""
    spec = {**base(Path("unused")), "storage": storage}
    size = cases // SHARDS
    wrong = [
        number
        for shard in range(SHARDS)
        for number in range(shard * size, shard * size + shard)
    ]  # no two alike
    spec["datasets"][0]["cases"] = [
        case(10 + number, **({"expected_output": "wrong"} if number in wrong else {}))
        for number in range(cases)
    ]
    spec["runtime"]["shard_size"] = size
    experiment = experiment_from_spec(Experiment, spec, where="spec")
    server.take()
    experiment.run()
    return dict(server.take())


@pytest.mark.parametrize("cases", [6, 600])
def test_requests_follow_shards(
    server: CountingServer,
    storage: dict[str, Any],
    cases: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cold run writes each part once and reads nothing back; a warm one
    reads each part once.

    What a slow machine saves of a shard in progress is removed when the shard is
    published.
    """
    parts = SHARDS * STAGES
    # On a slow machine a listing would grow old, and be made again, in each stage.
    monkeypatch.setattr(rows, "_FRESH_S", 1000)

    cold = requests(server, storage, cases=cases)
    warm = requests(server, storage, cases=cases)

    in_progress = cold.pop("DELETE", 0)
    assert (
        parts + SHARDS + 1 + TABLES + RECORDS + in_progress == cold["PUT"]
    )  # cases, and the row of the summary
    assert (
        STAGES == cold["GET"]
    )  # for the first shard of each stage, which might have been there
    assert cold["LIST"] <= 2 * (parts + 2 * STAGES)
    assert (
        TABLES + RECORDS + SHARDS == warm["PUT"]
    )  # cases that are not in a file are written without asking
    assert parts + 1 == warm["GET"]
    # One for the summary, whose rows have no shard.
    assert 1 + 4 * TRACED == warm["LIST"]
    assert not {"HEAD", "DELETE", "POST"} & {*cold, *warm}


def test_requests_of_ten_thousand_cases(
    server: CountingServer, storage: dict[str, Any], prefect_api: str, tmp_path: Path
) -> None:
    """Through the flow, report and events included: what the documentation states; a slow run
    saves more often.
    """
    write_cases(path=str(tmp_path / "cases.jsonl"), cases=10_000)
    spec = yaml.safe_load(Path(EXPERIMENT).read_text())
    spec["datasets"][0]["path"] = str(tmp_path / "cases.jsonl")
    spec["storage"] = storage
    server.take()

    run_through_flow(spec, tmp_path, prefect_api)
    cold = server.take()
    run_through_flow(spec, tmp_path, prefect_api)
    warm = server.take()

    assert cold.total() <= 60
    # One for the summary, and two for labels, of which the store has none.
    assert {"LIST": 3, "GET": 7, "PUT": 5} == dict(warm)
