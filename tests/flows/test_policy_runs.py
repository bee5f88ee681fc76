"""The verdict of a policy: what its gates come to, and that nothing missing passes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from flows.parameters import EvaluateParameters
from flows.policy_runs import JudgedJob, judge_job, prepare_jobs, run_job
from tests.support.batch_runs import batch_spec
from tests.support.batch_server import BatchServer
from tests.support.policies import (
    judged_jobs,
    run_in_process,
    verdict_of,
    write_experiment,
    write_policy,
)
from themis_lib import ConfigError, FatalError, RunResult, RunStore
from themis_lib.comparison.policy import load_policy
from themis_lib.comparison.policy_verdict import PolicyGate
from themis_lib.runs.manifest import manifests

RELATIVE = "m no worse than last good by 0.1"


def outcomes(gates: list[PolicyGate]) -> list[str]:
    return [gate.record.outcome.value for gate in gates]


def judged_without_running(path: Path) -> list[JudgedJob]:
    return [judge_job(job) for job in prepare_jobs(path, load_policy(path), None)]


def good_run(folder: Path, path: Path) -> RunResult:
    """A run without gates, which counts as good."""
    return run_in_process(EvaluateParameters(experiment=str(path)))


@pytest.mark.parametrize(
    ("required", "advisory", "settings", "expected"),
    [
        (["m >= 0.5"], [], {}, "pass"),
        (["m >= 0.5"], ["m <= 0.5", "m >= 0.78"], {}, "pass"),
        (["m >= 0.5", "m >= 0.78"], [], {}, "underpowered"),
        (["m >= 0.5", "m >= 0.78"], [], {"underpowered": "pass"}, "pass"),
        (["m >= 0.5", "m >= 0.78"], [], {"underpowered": "fail"}, "fail"),
        (["m >= 0.5", "m >= 0.78"], [], {"by": "mean"}, "pass"),
        (["m >= 0.78", "m <= 0.5"], [], {"underpowered": "pass"}, "fail"),
    ],
)
def test_verdict_is_the_worst_of_the_required_gates(
    required: list[str],
    advisory: list[str],
    settings: dict[str, str],
    expected: str,
    tmp_path: Path,
) -> None:
    """Fail, then underpowered, then pass; advisory gates are reported alone, and the
    policy says what an underpowered one counts as.
    """
    path = write_experiment(tmp_path, {"d": [1] * 80 + [0] * 20})
    entry = {"experiment": str(path), "required": required, "advisory": advisory}

    verdict = verdict_of(write_policy(tmp_path, entry, **settings))

    assert expected == verdict.outcome.value
    assert advisory == [gate.record.gate for gate in verdict.advisory]


def test_gates_are_over_experiments_data_sets_and_slices(tmp_path: Path) -> None:
    """A gate without a place holds for each data set of its experiment."""
    one = write_experiment(tmp_path, {"a": [1] * 40, "b": [0] * 40}, name="one")
    two = write_experiment(tmp_path, {"a": [1] * 40}, name="two")
    policy = write_policy(
        tmp_path,
        {"experiment": str(one), "required": ["m >= 0.5", "m >= 0.5 on a"]},
        {"experiment": str(two), "required": ["m >= 0.5"]},
    )

    verdict = verdict_of(policy)

    assert [
        ("one", "a", "pass"),
        ("one", "b", "fail"),
        ("one", "a", "pass"),
        ("two", "a", "pass"),
    ] == [
        (gate.experiment, gate.record.dataset_id, gate.record.outcome.value)
        for gate in verdict.gates
    ]


def test_gate_ends_the_same_beside_others(tmp_path: Path) -> None:
    """Nothing is adjusted for how many gates there are."""
    path = write_experiment(tmp_path, {"d": [1] * 80 + [0] * 20})
    one = {"experiment": str(path), "required": ["m >= 0.71"]}
    many = {**one, "required": ["m >= 0.71"] + [f"m >= 0.{n}" for n in range(10, 40)]}

    alone = verdict_of(write_policy(tmp_path, one)).gates[0].record
    among = verdict_of(write_policy(tmp_path, many)).gates[0].record

    assert alone == among
    assert "pass" == alone.outcome.value


# Missing results


def test_missing_baseline_fails_unless_the_policy_says_otherwise(
    tmp_path: Path,
) -> None:
    """The run does not become the last good one by failing so; one without gates is."""
    path = write_experiment(tmp_path, {"d": [1] * 40})
    entry = {"experiment": str(path), "required": [RELATIVE]}
    strict = write_policy(tmp_path, entry)

    first, second = verdict_of(strict), verdict_of(strict)
    good = good_run(tmp_path, path)
    third = verdict_of(strict)

    assert [["fail"], ["fail"], ["pass"]] == [
        outcomes(verdict.gates) for verdict in (first, second, third)
    ]
    assert first.gates[0].is_missing
    assert "set `no_baseline: pass`" in first.gates[0].record.reason
    assert good.run_id == third.gates[0].record.baseline

    lenient = write_policy(tmp_path, entry, no_baseline="pass", store=f"{tmp_path}/new")
    assert "pass" == verdict_of(lenient).outcome.value


def test_run_that_an_error_stops_fails_its_gates_and_no_others(tmp_path: Path) -> None:
    """Required and advisory ones, with the reason; the next experiment is run."""
    one = write_experiment(tmp_path, {"d": [1] * 40}, name="one")
    two = write_experiment(tmp_path, {"d": [1] * 40}, name="two")
    gates = {"required": ["m >= 0.5"], "advisory": ["m >= 0.6"]}
    path = write_policy(
        tmp_path, {"experiment": str(one), **gates}, {"experiment": str(two), **gates}
    )

    def run(parameters: EvaluateParameters) -> RunResult:
        if parameters.experiment == str(one):
            raise FatalError("the key was refused")
        return run_in_process(parameters)

    jobs = [run_job(job, run) for job in prepare_jobs(path, load_policy(path), None)]

    assert [["fail", "fail"], ["pass", "pass"]] == [outcomes(job.gates) for job in jobs]
    assert ["the key was refused"] * 2 == [gate.record.reason for gate in jobs[0].gates]
    assert ["the key was refused", None] == [job.run.problem for job in jobs]


def test_failed_run_fails_its_gates(tmp_path: Path) -> None:
    """Where missing answers are forbidden, the run has no result."""
    path = write_experiment(
        tmp_path, {"d": [1] * 40 + ["none"]}, statistics={"no_answer": "fail"}
    )
    entry = {"experiment": str(path), "required": ["m >= 0.5"]}

    (gate,) = verdict_of(write_policy(tmp_path, entry)).gates

    assert (True, "fail") == (gate.is_missing, gate.record.outcome.value)
    assert gate.record.reason.startswith("the run failed: 1 of 41 cases of 'd'")


def test_run_that_waits_for_a_batch_fails_its_gates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it has scored already: the rest is still at the provider."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    path = tmp_path / "batched.yaml"
    with BatchServer(batch_s=60) as server:
        spec = batch_spec(server, storage={"store": str(tmp_path / "s")}, wait=False)
        path.write_text(yaml.safe_dump(spec))
        entry = {"experiment": str(path), "required": ["exact_match >= 0"]}
        (gate,) = verdict_of(write_policy(tmp_path, entry)).gates

    assert (True, "fail") == (gate.is_missing, gate.record.outcome.value)
    assert gate.record.reason.startswith("the run waits for batches")


def test_metric_without_a_score_fails(tmp_path: Path) -> None:
    """By itself such a gate would be underpowered, which a policy may let pass."""
    path = write_experiment(tmp_path, {"a": [1] * 40, "b": [None] * 40})
    entry = {"experiment": str(path), "required": ["m >= 0.5"]}

    verdict = verdict_of(write_policy(tmp_path, entry, underpowered="pass"))

    assert ["pass", "fail"] == outcomes(verdict.gates)
    assert [False, True] == [gate.is_missing for gate in verdict.gates]


def test_failed_cases_never_make_a_gate_pass(tmp_path: Path) -> None:
    """Left out of the mean, they decide: whatever they would have scored counts."""
    path = write_experiment(tmp_path, {"d": [1] * 40 + [None] * 40})
    entry = {"experiment": str(path), "required": ["m >= 0.6"]}

    (gate,) = verdict_of(write_policy(tmp_path, entry)).gates

    assert "underpowered" == gate.record.outcome.value


def test_data_set_that_the_baseline_lacks_fails(tmp_path: Path) -> None:
    """There is nothing to compare with, which is no pass."""
    before = write_experiment(tmp_path, {"a": [1] * 40})
    good_run(tmp_path, before)
    path = write_experiment(tmp_path, {"a": [1] * 40, "b": [1] * 40})
    entry = {"experiment": str(path), "required": [RELATIVE]}

    verdict = verdict_of(write_policy(tmp_path, entry, underpowered="pass"))

    assert [("a", "pass"), ("b", "fail")] == [
        (gate.record.dataset_id, gate.record.outcome.value) for gate in verdict.gates
    ]


def test_slice_without_a_case_fails(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, {"d": [1] * 40}, slices=["scores"])
    entry = {"experiment": str(path), "required": ["m >= 0.5 on scores=odd"]}

    (gate,) = verdict_of(write_policy(tmp_path, entry)).gates

    assert ("fail", "no case is in this place") == (
        gate.record.outcome.value,
        gate.record.reason,
    )


# Without running


def test_existing_run_is_judged_as_it_was_when_it_ran(tmp_path: Path) -> None:
    """Against the runs before it; nothing is computed, and no run is added."""
    good_run(tmp_path, write_experiment(tmp_path, {"d": [1] * 40}))
    worse = write_experiment(tmp_path, {"d": [1] * 20 + [0] * 20})
    path = write_policy(tmp_path, {"experiment": str(worse), "required": [RELATIVE]})
    (ran,) = judged_jobs(path)
    runs = len(manifests(RunStore(f"{tmp_path}/store")))

    (judged,) = judged_without_running(path)

    assert ran.gates == judged.gates
    assert ran.run == judged.run
    assert runs == len(manifests(RunStore(f"{tmp_path}/store")))


@pytest.mark.parametrize("change", ["model", "limit", "case", "no run"])
def test_run_of_something_else_is_missing(change: str, tmp_path: Path) -> None:
    """One of an earlier version of the experiment or its data, or with `--limit`."""
    path = write_experiment(tmp_path, {"d": [1] * 40})
    policy = write_policy(tmp_path, {"experiment": str(path), "required": ["m >= 0.5"]})
    if change == "limit":
        run_in_process(EvaluateParameters(experiment=str(path), limit=30))
    elif change != "no run":
        good_run(tmp_path, path)
        model = "m2" if change == "model" else "m1"
        last = 0 if change == "case" else 1
        write_experiment(tmp_path, {"d": [1] * 39 + [last]}, model=model)

    (judged,) = judged_without_running(policy)

    assert ["fail"] == outcomes(judged.gates)
    assert "has no run of 'e' as it is now" in str(judged.run.problem)


# Refused before anything runs


@pytest.mark.parametrize(
    ("gate", "problem"),
    [
        ("mm >= 0.5", "no metric 'mm'; did you mean 'm'?"),
        ("m >= 0.5 on dd", "no dataset or slice 'dd'; did you mean 'd'?"),
        ("m no worse than nothing by 0.1", "gate 'm no worse than nothing by 0.1'"),
    ],
)
@pytest.mark.parametrize("kind", ["required", "advisory"])
def test_names_in_gates_are_checked_before_anything_runs(
    kind: str, gate: str, problem: str, tmp_path: Path
) -> None:
    """With the number of the experiment and the nearest name."""
    path = write_experiment(tmp_path, {"d": [1] * 40})
    good = {"experiment": str(path), "required": ["m >= 0.5"]}
    bad = {**good, "overrides": ["name=bad"], kind: [gate]}
    policy = write_policy(tmp_path, good, bad)

    with pytest.raises(ConfigError) as refusal:
        prepare_jobs(policy, load_policy(policy), None)

    assert f"{policy}: experiments[1]: " in str(refusal.value)
    assert problem in str(refusal.value)
    assert [] == manifests(RunStore(f"{tmp_path}/store"))


def test_experiments_of_one_name_are_refused(tmp_path: Path) -> None:
    """`last good` would compare one with the other."""
    path = write_experiment(tmp_path, {"d": [1] * 40})
    entry = {"experiment": str(path), "required": ["m >= 0.5"]}
    policy = write_policy(tmp_path, entry, entry)

    with pytest.raises(ConfigError, match=r"experiments\[1\]: experiments\[0\] is cal"):
        prepare_jobs(policy, load_policy(policy), None)


def test_store_in_memory_is_refused(tmp_path: Path) -> None:
    """Its rows and runs would be gone, and with them every baseline."""
    path = write_experiment(tmp_path, {"d": [1] * 40})
    policy = write_policy(tmp_path, {"experiment": str(path), "required": ["m >= 0"]})

    with pytest.raises(ConfigError, match="ends with this command"):
        prepare_jobs(policy, load_policy(policy), "memory")


def test_message_hides_what_an_experiment_refers_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comment on a pull request shows it, and masks no secret."""
    monkeypatch.setenv("SIGNATURE", "c2VjcmV0")
    experiment = tmp_path / "e.yaml"
    experiment.write_text(
        "name: e\n"
        "generation: {generator: {use: builtin/replay, path: 'memory://h/${SIGNATURE}.csv'}}\n"
        "evaluation: {parsers: [builtin/text], metrics: [builtin/exact_match]}\n"
        f"datasets: [{{dataset_id: d, path: {tmp_path}/d.jsonl}}]\n"
    )
    (tmp_path / "d.jsonl").write_text('{"input": 1, "expected_output": 1}\n')
    entry = {"experiment": str(experiment), "required": ["exact_match >= 0.5"]}
    path = write_policy(tmp_path, entry)

    with pytest.raises(ConfigError, match="no file 'memory://h/") as caught:
        prepare_jobs(path, load_policy(path), f"{tmp_path}/store")

    assert "${SIGNATURE}.csv" in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)
