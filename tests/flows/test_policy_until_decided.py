"""Experiments of a policy that stop once their required gates are decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from flows.ci import app
from flows.policy_runs import judge_job, prepare_jobs
from tests.support.deciding import CALLS, guesses
from tests.support.policies import judged_jobs, verdict_of, write_policy
from themis_lib import ConfigError, Experiment, RunResult
from themis_lib.comparison.policy import load_policy
from themis_lib.comparison.policy_verdict import PolicyVerdict
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.report.policy_markdown import policy_markdown
from themis_lib.runs.manifest import GateRecord

LAST_GOOD = "right no worse than last good by 0.1"


def experiment_file(folder: Path, *, right: float, **changes: Any) -> Path:
    """An experiment on 200 numbers, every other of which is even."""
    spec = guesses(folder / "store", right=right)
    for number, case in enumerate(spec["datasets"][0]["cases"]):
        case["metadata"] = {"even": str(number % 2 == 0)}
    spec["evaluation"] |= {"slices": ["even"]} | changes
    path = folder / "guesses.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


def entry(path: Path, *required: str, **settings: Any) -> dict[str, Any]:
    return {
        "experiment": str(path),
        "required": list(required),
        "until_decided": True,
        **settings,
    }


def full_run(folder: Path, *, right: float) -> RunResult:
    """A run of all cases, which counts as good."""
    spec = guesses(folder / "store", right=right)
    return experiment_from_spec(Experiment, spec, where="spec").run()


def records(verdict: PolicyVerdict) -> dict[str, GateRecord]:
    return {gate.record.gate: gate.record for gate in verdict.gates}


@pytest.mark.parametrize(
    ("right", "outcome"), [(0.9, "pass"), (0.2, "fail"), (0.52, "underpowered")]
)
def test_it_stops_once_a_gate_is_decided(
    right: float, outcome: str, tmp_path: Path
) -> None:
    """The verdict says after how many cases, and only these are generated; what nothing
    can decide takes more, and is underpowered.
    """
    path = experiment_file(tmp_path, right=right)
    policy = write_policy(tmp_path, entry(path, "right >= 0.5"))
    CALLS.clear()

    verdict = verdict_of(policy)

    (gate,) = verdict.gates
    (run,) = verdict.runs
    used = CALLS["generate"]
    assert outcome == verdict.outcome.value == gate.record.outcome.value
    assert (used, 200) == (run.cases, run.total)
    assert f"decided after {used:,} of 200 cases" in gate.record.reason
    assert (used < 60) == (outcome != "underpowered")
    assert f"| {run.case_count} |" in policy_markdown(verdict, {})


def test_a_gate_on_the_last_good_run_stops_too(tmp_path: Path) -> None:
    """The last good run has all cases, as does the first run of all: it has nothing to
    compare with.
    """
    path = experiment_file(tmp_path, right=0.9)
    policy = write_policy(tmp_path, entry(path, LAST_GOOD), no_baseline="pass")

    first = verdict_of(policy)
    experiment_file(tmp_path, right=0.95)
    second, third = verdict_of(policy), verdict_of(policy)

    assert [200, True, True] == [
        first.runs[0].cases,
        second.runs[0].cases < 200,
        third.runs[0].cases < 200,
    ]
    for verdict in (second, third):
        assert first.runs[0].run_id == records(verdict)[LAST_GOOD].baseline


def test_advisory_gates_are_judged_where_the_required_ones_stopped(
    tmp_path: Path,
) -> None:
    """By confidence sequences, those on slices too. A difference has none: it is
    underpowered, and not missing.
    """
    full_run(tmp_path, right=0.2)
    path = experiment_file(tmp_path, right=0.9)
    advisory = ["right >= 0.3", "right >= 0.3 on even=True", LAST_GOOD]
    policy = write_policy(
        tmp_path, entry(path, "right >= 0.5", advisory=[*advisory, "right >= 0.88"])
    )

    (job,) = judged_jobs(policy)

    assert job.result is not None
    found = {gate.record.gate: gate.record for gate in job.gates}
    rows = {row.slice: row for row in job.result.summary}
    assert job.run.cases < 60
    for gate, name in zip(advisory[:2], ("all", "even=True"), strict=True):
        row = rows[name]
        assert "confidence sequence" == row.interval_method
        assert (row.low, row.high) == (found[gate].low, found[gate].high)
        assert "pass" == found[gate].outcome.value
    assert "underpowered" == found["right >= 0.88"].outcome.value
    difference = found[LAST_GOOD]
    assert ("underpowered", None) == (difference.outcome.value, difference.low)
    assert "it was not what decided" in difference.reason
    assert ["right >= 0.5"] == [gate.gate for gate in job.result.manifest.gates]


def test_a_stopped_run_is_judged_without_running(tmp_path: Path) -> None:
    """It is a run on all of these cases, though it has few; a policy that asks for all
    does not take it.
    """
    path = experiment_file(tmp_path, right=0.9)
    policy = write_policy(tmp_path, entry(path, "right >= 0.5"))
    (ran,) = judged_jobs(policy)

    (found,) = prepare_jobs(policy, load_policy(policy), None)
    assert ran.gates == judge_job(found).gates

    whole = write_policy(tmp_path, entry(path, "right >= 0.5", until_decided=False))
    (missing,) = prepare_jobs(whole, load_policy(whole), None)
    assert "has no run of 'guesses'" in str(judge_job(missing).run.problem)
    (asked,) = prepare_jobs(whole, load_policy(whole), None, until_decided=True)
    assert ran.gates == judge_job(asked).gates


def test_the_option_leaves_alone_what_has_no_required_gate(tmp_path: Path) -> None:
    """There, nothing would decide when to stop."""
    path = experiment_file(tmp_path, right=0.9)
    policy = write_policy(
        tmp_path,
        entry(path, "right >= 0.5", until_decided=False),
        {
            "experiment": str(path),
            "overrides": ["name=shown"],
            "advisory": ["right >= 0.5"],
        },
    )

    jobs = prepare_jobs(policy, load_policy(policy), None, until_decided=True)

    assert [True, False] == [job.parameters.until_decided for job in jobs]


@pytest.mark.parametrize(
    ("settings", "evaluation", "policy_settings", "problem"),
    [
        ({"required": [], "advisory": ["right >= 0.5"]}, {}, {}, "no required gate"),
        ({"required": ["right >= 0.5 on even=True"]}, {}, {}, "is a slice"),
        ({}, {}, {"by": "mean"}, "decides by a confidence sequence"),
        (
            {},
            {"statistics": {"cluster_by": "even"}},
            {},
            "cluster_by='even' says that cases depend on each other",
        ),
    ],
)
def test_what_cannot_be_decided_is_refused_before_anything_runs(
    settings: dict[str, Any],
    evaluation: dict[str, Any],
    policy_settings: dict[str, Any],
    problem: str,
    tmp_path: Path,
) -> None:
    """With the number of the experiment and the reason."""
    path = experiment_file(tmp_path, right=0.9, **evaluation)
    # Another experiment's gate, so that the policy has a required one.
    first = entry(path, "right >= 0.5", until_decided=False, overrides=["name=first"])
    second = {**entry(path, "right >= 0.5"), **settings}
    policy = write_policy(tmp_path, first, second, **policy_settings)
    CALLS.clear()

    with pytest.raises(ConfigError) as refused:
        prepare_jobs(policy, load_policy(policy), None)

    assert "experiments[1]: " in str(refused.value)
    assert problem in str(refused.value)
    assert {} == CALLS


def test_the_command_stops_and_says_so(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server, by its option: exit code 0, and how many of the cases it took."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    path = experiment_file(tmp_path, right=0.9)
    whole = write_policy(tmp_path, entry(path, "right >= 0.5", until_decided=False))
    CALLS.clear()

    found = CliRunner().invoke(app, [str(whole), "--until-decided"])

    assert 0 == found.exit_code, found.output
    assert f"completed  {CALLS['generate']} of 200 cases in " in found.output
    assert CALLS["generate"] < 60
