"""Processor seconds and clock of a `python -m flows.run` that finds all of its rows, a
server running, and of what it imports.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from resource import RUSAGE_CHILDREN, getrusage

from benchmarks.jobs import EXPERIMENT, write_cases
from benchmarks.processes import (
    Environment,
    Numbers,
    best_of,
    folder,
    fresh,
    prefect_environment,
    python,
    start_server,
)
from benchmarks.report import Aim, Report, Row

_CASES, _REPEATS = 10_000, 7
#: Without garbage collection, as in a run.
_QUIET = "import gc; gc.disable(); "
_OURS = f"{_QUIET}import flows.run, flows.run_asked, flows.display"
#: All that a run imports, but for what it looks up by name.
RUN_IMPORTS = f"{_OURS}, flows.local"
_PREFECT = f"{_QUIET}import prefect.main"
_PANDAS = "import pyarrow, pandas"
_PYARROW = "import pyarrow"


def measure(*, quick: bool) -> Report:
    repeats = 1 if quick else _REPEATS
    with prefect_environment() as environment, folder() as place:
        start_server(environment)
        data, store = place / "cases.jsonl", place / "store"
        fresh(write_cases, path=data, cases=_CASES)
        settings = (f"datasets.0.path={data}", "--store", f"{store}")
        run = ("-m", "flows.run", EXPERIMENT, *settings)
        commands = {
            "run": run,
            "start": ("-c", "pass"),
            "library": ("-c", f"{_QUIET}import themis_lib"),
            "ours": ("-c", _OURS),
            "all": ("-c", RUN_IMPORTS),
            "prefect": ("-c", _PREFECT),
            "help": ("-m", "flows", "--help"),
        }
        if find_spec("pandas"):
            commands |= {"pandas": ("-c", _PANDAS), "pyarrow": ("-c", _PYARROW)}
        # Not measured: they fill the store, and keep what Python and templates compile to.
        _measure_turn(commands, environment)
        least = best_of(repeats, _measure_turn, commands, environment)
    rows = [
        _row("a run, everything cached", least, "run"),
        _row("… Python starts", least, "start"),
        _row("… imports of ours, with their libraries", least, "ours", less="start"),
        _row("… imports of Prefect beside these", least, "all", less="ours"),
        _row("… the run itself", least, "run", less="all"),
    ]
    if "pandas" in commands:
        what = "    of it pandas, which pyarrow imports where it is installed"
        rows.append(_row(what, least, "pandas", less="pyarrow"))
    rows += [
        _row("import prefect.main, alone", least, "prefect", less="start"),
        _row("import themis_lib", least, "library", less="start"),
        _row("themis --help", least, "help"),
    ]
    return Report(
        how=f"the least of {repeats} turns of all commands, each in a fresh process, "
        f"compiled before; {_CASES:,} rows of benchmarks/demo.yaml",
        rows=rows,
        aims=[
            Aim("processor seconds of the run", least["run processor"], 1.5),
            Aim("seconds of themis --help", least["help clock"], 0.5),
        ],
    )


def _measure_turn(
    commands: dict[str, tuple[str, ...]],
    environment: Environment,
) -> Numbers:
    """Return the clock and the processor seconds of each command, one after another."""
    numbers: Numbers = {}
    for name, command in commands.items():
        used = _processor_s()
        began = time.monotonic()
        python(*command, environment=environment)
        numbers[f"{name} clock"] = time.monotonic() - began
        numbers[f"{name} processor"] = _processor_s() - used
    return numbers


def _processor_s() -> float:
    """Return the processor seconds of all processes that this one has waited for."""
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _row(
    what: str,
    numbers: Numbers,
    name: str,
    *,
    less: str | None = None,
) -> Row:
    """Return the numbers of a command, without those of one that is a part of it."""
    row: Row = {"what": what}
    for kind in ("processor", "clock"):
        value = numbers[f"{name} {kind}"]
        if less is not None:
            value -= numbers[f"{less} {kind}"]
        row[f"{kind}_s"] = value
    return row
