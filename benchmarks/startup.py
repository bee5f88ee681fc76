"""How long it takes until something happens: the import, the first generated row, the end of a small run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.processes import folder, fresh, prefect_environment, python
from benchmarks.report import Aim, Report

_IMPORTS, _REPEATS = 5, 3
_EXPERIMENT = "examples/demo.yaml"
_IN_PROCESS = (
    "import sys; from themis_lib import Experiment; Experiment.from_config(sys.argv[1], overrides=sys.argv[2:]).run()"
)
_WITH_FAILED_ROWS = 3

Times = dict[str, float | None]


def measure(*, quick: bool) -> Report:
    repeats = 1 if quick else _REPEATS
    imports = [fresh("import_library")["seconds"] for _ in range(_IMPORTS)]
    rounds = [_round() for _ in range(repeats)]
    rows: list[dict[str, Any]] = [{"what": "import themis_lib", "first_row_s": None, "exit_s": median(imports)}]
    for what in rounds[0]:
        first = [times["first_row_s"] for times in (each[what] for each in rounds) if times["first_row_s"] is not None]
        ends = [each[what]["exit_s"] for each in rounds]
        rows.append({"what": what, "first_row_s": median(first) if first else None, "exit_s": median(ends)})
    return Report(
        how=f"median of {_IMPORTS} imports and {repeats} of each run, in fresh processes; from the start of the "
        f"process to the first generated row and to its exit; {_EXPERIMENT}: 240 cases, 5 samples each",
        rows=rows,
        aims=[Aim("seconds to import themis_lib, without Prefect", median(imports), 0.5)],
    )


def _round() -> dict[str, Times]:
    flow = ("-m", "flows.run", _EXPERIMENT)
    with folder() as first, folder() as second, folder() as third, prefect_environment() as environment:
        return {
            "Experiment.run in process": _timed(("-c", _IN_PROCESS, _EXPERIMENT), first, environment),
            "flows.run, no server yet": _timed(flow, second, environment),
            "flows.run, server running": _timed(flow, third, environment),
            "flows.run, everything cached": _timed(flow, third, environment),
        }


def _timed(command: tuple[str, ...], store: Path, environment: Mapping[str, str]) -> Times:
    """Seconds from now to the first row and to the exit; no row is generated when all are in the store."""
    with folder() as stamps:
        stamp = stamps / "first_row"
        generator = f"generation.generator={{use: 'benchmarks.generators:Stamped', path: '{stamp}'}}"
        began = time.time()
        python(*command, generator, f"storage.store={store}", environment=environment, codes=(0, _WITH_FAILED_ROWS))
        ended = time.time()
        first = float(stamp.read_text()) - began if stamp.exists() else None
    return {"first_row_s": first, "exit_s": ended - began}
