"""Time until something happens: the import, the first generated row, the end of a small
run and of the demo of recorded outputs.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.jobs import import_library
from benchmarks.processes import (
    ROOT,
    Environment,
    folder,
    fresh,
    prefect_environment,
    python,
)
from benchmarks.report import Aim, Report, Row
from flows.exit_codes import FAILED_ROWS

_IMPORTS, _REPEATS = 5, 3
_EXPERIMENT = "examples/sums.yaml"
_FLOW = ("-m", "flows.run", _EXPERIMENT)
_HELP = "themis --help"
_IN_PROCESS = (
    "-c",
    "import sys, themis_lib; themis_lib.Experiment.from_config(sys.argv[1], "
    "overrides=sys.argv[2:]).run()",
    _EXPERIMENT,
)
_DEMO = "flows.demo, empty store"
_FIRST_LINE = "flows.run, first line on a terminal"
#: Seconds to the first row, `None` without one, and to the exit.
_Times = tuple[float | None, float]


def measure(*, quick: bool) -> Report:
    repeats = 1 if quick else _REPEATS
    import_s = median(fresh(import_library) for _ in range(_IMPORTS))
    rounds = [_measure_round() for _ in range(repeats)]
    help_s = median(measured[_HELP][1] for measured in rounds)
    rows: list[Row] = [
        {"what": "import themis_lib", "first_row_s": None, "exit_s": import_s}
    ]
    for what in rounds[0]:
        times = [measured[what] for measured in rounds]
        rows.append(_build_row(what, times))
    line_s = median(measured[_FIRST_LINE][1] for measured in rounds)
    demo_s = median(measured[_DEMO][1] for measured in rounds)
    return Report(
        how=f"median of {_IMPORTS} imports, timed inside, and of {repeats} of each "
        "run, from the start of the process to the first generated row and to its "
        f"exit, or to the first line; {_EXPERIMENT}: 240 cases, 5 samples each; "
        "flows.demo: 300 cases twice",
        rows=rows,
        aims=[
            Aim("seconds to import themis_lib, without Prefect", import_s, 0.5),
            Aim("seconds to the first line of themis run", line_s, 0.3),
            Aim("seconds of the demo of recorded outputs, first", demo_s, 10),
            Aim("seconds of themis --help", help_s, 0.5),
        ],
    )


def _measure_round() -> dict[str, _Times]:
    with (
        folder() as in_process,
        folder() as without_server,
        folder() as with_server,
        folder() as demo,
        prefect_environment() as environment,
    ):
        # In this order: the second run starts the server that the others use, and the
        # last one finds its rows in the store of the third.
        return {
            _HELP: _time_help(),
            "Experiment.run, in process": _time_run(
                _IN_PROCESS, in_process, environment
            ),
            "flows.run, no server yet": _time_run(_FLOW, without_server, environment),
            "flows.run, server running": _time_run(_FLOW, with_server, environment),
            "flows.run, everything cached": _time_run(_FLOW, with_server, environment),
            _FIRST_LINE: _time_first_line(with_server, environment),
            _DEMO: _time_demo(demo),
            "flows.demo, everything cached": _time_demo(demo),
        }


def _time_run(
    command: tuple[str, ...],
    store: Path,
    environment: Environment,
) -> _Times:
    with folder() as stamps:
        stamp = stamps / "first_row"
        generator = f"{{use: 'benchmarks.generators:Stamped', path: '{stamp}'}}"
        overrides = (f"generation.generator={generator}", f"storage.store={store}")
        # A row without an answer is a result of the example, not a failure here.
        codes = (0, FAILED_ROWS)
        # The wall clock, which the other process shares.
        began = time.time()
        python(*command, *overrides, environment=environment, codes=codes)
        exit_s = time.time() - began
        # A run that finds all its rows in the store generates none.
        first_row_s = None
        if stamp.exists():
            first_row_s = float(stamp.read_text()) - began
    return first_row_s, exit_s


def _time_first_line(store: Path, environment: Environment) -> _Times:
    """Return no row, and the seconds until a plan of the experiment shows anything."""
    ours, theirs = pty.openpty()
    command = [sys.executable, *_FLOW, "--plan", f"storage.store={store}"]
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        os.read(ours, 1)
        seconds = time.monotonic() - began
        # Else it would wait for somebody to read.
        process.terminate()
    os.close(ours)
    return None, seconds


def _time_demo(store: Path) -> _Times:
    began = time.monotonic()
    python("-m", "flows.demo", "--store", str(store))
    # Its rows are recorded outputs: none is generated.
    return None, time.monotonic() - began


def _time_help() -> _Times:
    began = time.monotonic()
    python("-m", "flows", "--help")
    return None, time.monotonic() - began


def _build_row(what: str, times: list[_Times]) -> Row:
    first_rows, exits = zip(*times, strict=True)
    # A median of only some repeats would be that of other runs.
    first_row_s = None
    if None not in first_rows:
        first_row_s = median(first_rows)
    return {
        "what": what,
        "first_row_s": first_row_s,
        "exit_s": median(exits),
    }
