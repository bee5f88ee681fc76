"""Runs of the experiment of `tests.test_edit_costs`, with settings by dotted path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.test_edit_costs import base, case, setting
from themis_lib import Experiment, RunResult, RunStore
from themis_lib.experiment.spec import experiment_from_spec


def counted_experiment(
    spec: dict[str, Any] | None = None,
    **settings: Any,
) -> Experiment:
    """Return the experiment of six cases and two samples, or that of a spec.

    The name of a setting is its path, with `__` for each dot.
    """
    spec = spec or base(Path("unused"))
    for path, value in settings.items():
        setting(path.replace("__", "."), value)(spec)
    return experiment_from_spec(Experiment, spec, where="spec")


def ran(
    store: RunStore,
    spec: dict[str, Any] | None = None,
    **settings: Any,
) -> RunResult:
    """Run a `counted_experiment` in a store."""
    return counted_experiment(spec, **settings).run(store)


def with_cases(*numbers: int) -> dict[str, Any]:
    """Return the spec of the experiment with cases of these numbers behind its six."""
    spec = base(Path("unused"))
    spec["datasets"][0]["cases"] += [case(number) for number in numbers]
    return spec
