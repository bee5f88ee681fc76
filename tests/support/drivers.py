"""The two ways to run an experiment, as functions from a specification to a finished
run.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import yaml

from themis_lib import Experiment, RunResult
from themis_lib.experiment.spec import experiment_from_spec


def run_in_process(spec: dict[str, Any], folder: Path, api_url: str) -> RunResult:
    return experiment_from_spec(Experiment, spec, where="spec").run()


def run_through_flow(spec: dict[str, Any], folder: Path, api_url: str) -> RunResult:
    return flow_outcome(spec, folder, api_url).run.result


def flow_outcome(
    spec: dict[str, Any], folder: Path, api_url: str, **parameters: Any
) -> Any:
    from flows.local import run_to_end

    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec))
    return asyncio.run(
        run_to_end(
            api_url, {"experiment": str(path), **parameters}, follow=lambda run: None
        )
    )


DRIVERS = {"in process": run_in_process, "through the flow": run_through_flow}
