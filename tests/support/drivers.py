"""The two ways to run an experiment, as functions from a specification to a finished
run.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import yaml

from themis_lib import Experiment, Matrix, RunResult
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


def run_matrix_in_process(
    spec: dict[str, Any], folder: Path, api_url: str
) -> list[RunResult]:
    """The runs of all cells of a specification with a `matrix`."""
    path = folder / "matrix.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return list(Matrix.from_config(path).run().runs.values())


def run_matrix_through_flow(
    spec: dict[str, Any], folder: Path, api_url: str
) -> list[RunResult]:
    from flows.local import run_matrix_to_end

    path = folder / "matrix.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    parameters = {"experiment": str(path)}
    finished = asyncio.run(
        run_matrix_to_end(api_url, parameters, follow=lambda run: None)
    )
    store = Matrix.from_config(path).baseline.experiment.open_store()
    return [RunResult(store, str(end.run_id)) for end in finished.cells.values()]


MATRIX_DRIVERS = {
    "in process": run_matrix_in_process,
    "through the flow": run_matrix_through_flow,
}
DRIVERS = {"in process": run_in_process, "through the flow": run_through_flow}
