"""How long it takes until something happens: the import, the first generated row, the
end of a small run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.processes import folder, fresh, prefect_environment, python
from benchmarks.report import Aim, Report

_IMPORTS, _REPEATS = 5, 3
_EXPERIMENT = "examples/sums.yaml"
_FLOW = ("-m", "flows.run", _EXPERIMENT)
_IN_PROCESS = (
    "-c",
    "import sys, themis_lib; themis_lib.Experiment.from_config(sys.argv[1], "
    "overrides=sys.argv[2:]).run()",
    _EXPERIMENT,
)
_WITH_FAILED_ROWS = 3


def measure(*, quick: bool) -> Report:
    repeats = 1 if quick else _REPEATS
    imports = median(fresh("import_library") for _ in range(_IMPORTS))
    rounds = [_round() for _ in range(repeats)]
    rows: list[dict[str, Any]] = [
        {"what": "import themis_lib", "first_row_s": None, "exit_s": imports}
    ]
    for what in rounds[0]:
        first, ended = zip(*(times[what] for times in rounds), strict=True)
        rows.append(
            {
                "what": what,
                "first_row_s": median(first) if None not in first else None,
                "exit_s": median(ended),
            }
        )
    return Report(
        how=f"median of {_IMPORTS} imports, timed inside, and of {repeats} of each run,"
        f" from the start of the process "
        f"to the first generated row and to its exit; {_EXPERIMENT}: 240 cases, 5 samples each",
        rows=rows,
        aims=[Aim("seconds to import themis_lib, without Prefect", imports, 0.5)],
    )


def _round() -> dict[str, tuple[float | None, float]]:
    with (
        folder() as first,
        folder() as second,
        folder() as third,
        prefect_environment() as environment,
    ):
        return {
            "Experiment.run, in process": _times(_IN_PROCESS, first, environment),
            "flows.run, no server yet": _times(_FLOW, second, environment),
            "flows.run, server running": _times(_FLOW, third, environment),
            "flows.run, everything cached": _times(_FLOW, third, environment),
        }


def _times(
    command: tuple[str, ...], store: Path, environment: Mapping[str, str]
) -> tuple[float | None, float]:
    """Seconds to the first row and to the exit; no row is generated when all are in the
    store.
    """
    with folder() as stamps:
        stamp = stamps / "first_row"
        stamped = f"{{use: 'benchmarks.generators:Stamped', path: '{stamp}'}}"
        generator = f"generation.generator={stamped}"
        began = time.time()
        python(
            *command,
            generator,
            f"storage.store={store}",
            environment=environment,
            codes=(0, _WITH_FAILED_ROWS),
        )
        ended = time.time()
        return float(
            stamp.read_text()
        ) - began if stamp.exists() else None, ended - began
