"""Gates on runs whose scores a test writes down."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.compared_runs import Stated, scored
from themis_lib import (
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    RunResult,
    RunStore,
)
from themis_lib.comparison.gate import parse_gate
from themis_lib.comparison.gate_baselines import ReadyGate, ready_gates
from themis_lib.comparison.gate_outcomes import judge
from themis_lib.runs.manifest import GateRecord


def outcome(
    run: RunResult,
    text: str,
    baseline: RunResult | None = None,
    cluster_by: str | None = None,
) -> GateRecord:
    (record,) = judge(run, [ReadyGate(parse_gate(text), baseline, cluster_by)])
    return record


def experiment(name: str = "stated") -> Experiment:
    return Experiment(
        name=name,
        generation=GenerationConfig(generator=Stated()),
        datasets=[Dataset(dataset_id="d", cases=scored([1, 0]))],
        evaluation=EvaluationConfig(
            metrics=[{"use": "tests.support.compared_runs:StatedScore", "id": "m"}]
        ),
    )


def ready(
    texts: Sequence[str], store: RunStore, *, until_stage: str = "reduce"
) -> list[ReadyGate]:
    return ready_gates(
        texts, pipeline=experiment().compile(until_stage=until_stage), store=store
    )
