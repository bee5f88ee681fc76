"""Policies over small experiments whose scores a test chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from flows.parameters import EvaluateParameters
from flows.policy_runs import JudgedJob, prepare_jobs, run_job
from flows.preparing import prepare_run
from tests.support.compared_runs import Said, scored
from themis_lib import RunResult, run_until_decided
from themis_lib.comparison.gate_outcomes import judged
from themis_lib.comparison.policy import load_policy
from themis_lib.comparison.policy_verdict import PolicyVerdict, policy_verdict


def write_experiment(
    folder: Path,
    scores: Mapping[str, Sequence[Said]],
    *,
    name: str = "e",
    model: str = "m1",
    **evaluation: Any,
) -> Path:
    """An experiment with the metric `m`, whose cases score what is said, by data set."""
    datasets = []
    for dataset_id, values in scores.items():
        cases = [item.model_dump(mode="json") for item in scored(values)]
        datasets.append({"dataset_id": dataset_id, "cases": cases})
    stated = "tests.support.compared_runs"
    spec = {
        "name": name,
        "generation": {"generator": {"use": f"{stated}:Stated", "model": model}},
        "evaluation": {
            "metrics": [{"use": f"{stated}:StatedScore", "id": "m"}],
            **evaluation,
        },
        "datasets": datasets,
        "seeds": [0],
        "storage": {"store": str(folder / "store")},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def write_policy(
    folder: Path, *experiments: Mapping[str, Any], **settings: Any
) -> Path:
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump({"experiments": list(experiments), **settings}))
    return path


def run_in_process(parameters: EvaluateParameters) -> RunResult:
    """What the flow does, without a server."""
    prepared = prepare_run(parameters)
    if parameters.until_decided:
        return run_until_decided(prepared.experiment, gates=parameters.gates)
    return judged(prepared.experiment.run(prepared.store), prepared.gates)


def judged_jobs(path: Path) -> list[JudgedJob]:
    """The experiments of a policy, run in this process and judged."""
    jobs = prepare_jobs(path, load_policy(path), None)
    return [run_job(job, run_in_process) for job in jobs]


def verdict_of(path: Path) -> PolicyVerdict:
    """The verdict of a policy whose experiments are run in this process."""
    jobs = judged_jobs(path)
    gates = [gate for job in jobs for gate in job.gates]
    runs = [job.run for job in jobs]
    return policy_verdict("policy", load_policy(path), gates, runs)
