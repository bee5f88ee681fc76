"""Gates of a run: exit codes, the state on the server, the record, and what is refused
before anything runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from flows.run import app
from tests.flows.test_evaluate import ask
from tests.support.counting import CALLS
from tests.support.drivers import flow_outcome
from tests.test_edit_costs import base, case
from themis_lib import RunStore
from themis_lib.runs.find_run import find_run


def experiment(folder: Path, **fields: Any) -> dict[str, Any]:
    """Sixty cases, of which all but the fifth score 1."""
    spec = {**base(folder / "store"), **fields}
    spec["datasets"] = [
        {"dataset_id": "numbers", "cases": [case(number) for number in range(60)]}
    ]
    spec["runtime"] = {"shard_size": 30, "retries": 0}
    return spec


def command(folder: Path, spec: dict[str, Any], *arguments: str) -> Result:
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec))
    return CliRunner().invoke(app, [str(path), *arguments])


@pytest.mark.parametrize(
    ("gates", "code", "tags"),
    [
        (["first >= 0.5"], 0, ["system-out"]),
        (["first >= 0.5", "first <= 0.5"], 5, ["system-out", "failure"]),
        (["first >= 0.97"], 6, ["error"]),
    ],
)
def test_gates_end_in_their_exit_code(
    gates: list[str],
    code: int,
    tags: list[str],
    prefect_api: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pass is 0, fail 5 and underpowered 6; JUnit XML, record and screen say the
    same.
    """
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    junit = tmp_path / "gates.xml"

    result = command(
        tmp_path,
        experiment(tmp_path),
        *(part for gate in gates for part in ("--gate", gate)),
        "--junit",
        str(junit),
    )

    assert code == result.exit_code, result.output
    assert tags == [case_[0].tag for case_ in ET.parse(junit).getroot()[0]]
    manifest = find_run(RunStore(str(tmp_path / "store")), "costs").manifest
    assert gates == [record.gate for record in manifest.gates]
    assert all(
        f"gate {record.outcome.value}" in result.stdout for record in manifest.gates
    )


def test_run_that_failed_is_1_whatever_its_gates(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no row succeeded the run failed, and its gate cannot tell."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    spec = experiment(tmp_path)
    for item in spec["datasets"][0]["cases"]:
        item["input"] = "not a number"

    result = command(tmp_path, spec, "--gate", "first >= 0.5")

    assert 1 == result.exit_code, result.output
    assert "gate underpowered" in result.stdout


REFUSED = {
    "malformed": (
        ["--gate", "first => 0.5"],
        "gate 'first => 0.5': write 'METRIC >= 0.8'",
    ),
    "unknown metric": (["--gate", "frist >= 0.5"], "did you mean 'first'?"),
    "unknown dataset": (
        ["--gate", "first >= 0.5 on number"],
        "did you mean 'numbers'?",
    ),
    "unknown baseline": (
        ["--gate", "first no worse than nothing by 0.1"],
        "gate 'first no worse than nothing by 0.1'",
    ),
    "too early": (["--gate", "first >= 0.5", "--until", "score"], "run until 'reduce'"),
    "nothing for JUnit": (["--junit", "gates.xml"], "give at least one --gate"),
    "no folder for JUnit": (
        ["--gate", "first >= 0.5", "--junit", "no/where.xml"],
        "no/where.xml",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_gate_that_cannot_be_judged_is_refused_before_anything_runs(
    name: str, tmp_path: Path
) -> None:
    """It is one line and exit code 2, without a server, and no generator is called."""
    arguments, expected = REFUSED[name]
    CALLS.clear()

    result = command(tmp_path, experiment(tmp_path), *arguments)

    assert 2 == result.exit_code, result.output
    assert expected in result.stderr
    assert 1 == len(result.stderr.strip().splitlines())
    assert {} == CALLS


def test_nights_are_gated_by_the_last_good_one(
    prefect_api: str, tmp_path: Path
) -> None:
    """The first night passes with a note, an equal one passes, a worse one fails its
    state and is not the next baseline.
    """
    gates = ["first no worse than last good by 0.05"]
    good, bad = experiment(tmp_path), experiment(tmp_path)
    bad["evaluation"]["metrics"][0]["scale"] = 0.5

    nights = [
        flow_outcome(spec, tmp_path, prefect_api, gates=gates)
        for spec in (good, good, bad, good)
    ]

    store = RunStore(str(tmp_path / "store"))
    (first,), *others = (
        find_run(store, night.run.run_id).manifest.gates for night in nights
    )
    states = [
        ask(
            prefect_api, lambda client, id_=night.flow_run_id: client.read_flow_run(id_)
        ).state
        for night in nights
    ]
    assert ["Completed", "Completed", "GateFailed", "Completed"] == [
        state.name for state in states
    ]
    assert states[2].is_failed()
    assert gates[0] in states[2].message
    assert "nothing to compare" in first.reason
    ids = [night.run.run_id for night in nights]
    assert [ids[0], ids[1], ids[1]] == [record.baseline for (record,) in others]


def test_underpowered_completes_under_its_name(
    prefect_api: str, tmp_path: Path
) -> None:
    """A gate that cannot tell does not fail the flow run: its state is named so, and
    says why.
    """
    outcome = flow_outcome(
        experiment(tmp_path), tmp_path, prefect_api, gates=["first >= 0.97"]
    )

    state = ask(
        prefect_api, lambda client: client.read_flow_run(outcome.flow_run_id)
    ).state

    assert ("GateUnderpowered", True) == (state.name, state.is_completed())
    assert "gate underpowered: first >= 0.97" in state.message
