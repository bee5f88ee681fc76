"""The experiment of a run, made again from the run's record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from themis_lib.errors import ConfigError
from themis_lib.experiment.experiment import Experiment
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.runs.results import RunResult


def experiment_of(run: RunResult) -> Experiment:
    """Return the experiment of a run as its record has it, without its data.

    Raise `ConfigError` for a run that another process cannot make again.
    """
    manifest = run.manifest
    if manifest.imported is not None:
        raise ConfigError(
            f"run {run.run_id!r} was imported from {manifest.imported.tool}: nothing of "
            "it can be computed here"
        )
    if manifest.configuration is None:
        raise ConfigError(
            f"run {run.run_id!r} is of an earlier version and does not have its "
            "experiment; run it again, which costs nothing"
        )
    written = {**manifest.configuration, "datasets": []}
    _refuse_live_objects(written, run.run_id)
    return experiment_from_spec(Experiment, written, where=f"run {run.run_id!r}")


def _refuse_live_objects(
    written: Mapping[str, Any],
    run_id: str,
) -> None:
    for section in ("generation", "evaluation"):
        for name, value in (written.get(section) or {}).items():
            for component in value if isinstance(value, list) else [value]:
                # A live object is written as its class in angle brackets.
                if isinstance(component, str) and component.startswith("<"):
                    raise ConfigError(
                        f"run {run_id!r}: {section}.{name} was the live object "
                        f"{component}, which its record cannot make again; name it as "
                        "`module:attribute`, or give both experiments in Python"
                    )
