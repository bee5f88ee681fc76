"""Prepares a run: everything about it loaded, compiled and checked, once, in one place.

The command and the flow both start here, so that both refuse the same things with the
same words before anything is generated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flows.parameters import EvaluateParameters
from themis_lib import Experiment, RunStore
from themis_lib.comparison.gate_baselines import ReadyGate, ready_gates
from themis_lib.runs.pipeline import Pipeline


@dataclass(frozen=True)
class PreparedRun:
    """An experiment that can run: its stages, its store and its gates."""

    experiment: Experiment
    pipeline: Pipeline
    store: RunStore
    gates: list[ReadyGate]


def prepare_run(
    parameters: EvaluateParameters,
    *,
    tell_name: Callable[[str], None] | None = None,
) -> PreparedRun:
    """Load, compile and check what is asked for. Raise `InputError` for what is wrong.

    `tell_name` is called with the experiment's name as soon as it is known: what is
    wrong afterwards can then be reported under it.
    """
    experiment = parameters.load()
    if tell_name is not None:
        tell_name(experiment.name)
    pipeline = experiment.compile(until_stage=parameters.until_stage)
    if parameters.runner != "threads":
        experiment.check_portable()
    pipeline.check_data()
    store = experiment.open_store()
    gates = ready_gates(
        parameters.gates,
        pipeline=pipeline,
        store=store,
        by=parameters.gate_by,
    )
    return PreparedRun(
        experiment,
        pipeline,
        store,
        gates,
    )
