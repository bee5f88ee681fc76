"""Installing the package where nothing is: seconds from `pip install` to the first score,
packages, and space on disk.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from benchmarks.processes import ROOT, Environment, folder
from benchmarks.report import Aim, Report, Row

_MEGABYTE = 1e6
_HEAVIEST = 8
#: A mean with four digits.
_SCORE = re.compile(r"\b[01]\.\d{4}\b")
#: Prints the files of each installed distribution as a JSON object.
_LIST_FILES = """
import importlib.metadata as metadata, json
print(json.dumps({
    found.name: [str(found.locate_file(file)) for file in found.files or ()]
    for found in metadata.distributions()
}))
"""


@dataclass(frozen=True)
class _Ended:
    """A command that has ended; `cpu_s` is that of all its processes."""

    wall_s: float
    cpu_s: float
    first_score_s: float | None
    output: str


def measure(*, quick: bool) -> Report:
    """Install the wheel of this source tree, and run the demo; `quick` uses pip's
    cache.
    """
    with folder() as temporary:
        wheel = _build_wheel(temporary)
        programs = temporary / "venv" / "bin"
        python = str(programs / "python")
        # No compiler is found: whatever has no wheel fails.
        environment = {**os.environ, "PATH": str(programs), "CC": "no", "CXX": "no"}
        # The installed packages are measured, not those of the checkout.
        environment.pop("PYTHONPATH", None)
        venv = _run(sys.executable, "-m", "venv", str(temporary / "venv"))
        before = _sizes(python)
        constraints = ("-c", str(ROOT / "constraints.txt"))
        cache = () if quick else ("--no-cache-dir",)
        install = (python, "-m", "pip", "install", "-qq", *cache, *constraints)
        themis = str(programs / "themis")
        demo = (themis, "demo")
        ended = {
            "python -m venv": venv,
            "pip install": _run(*install, str(wheel), environment=environment),
            "themis --help": _run(themis, "--help", environment=environment),
            "themis demo": _run(*demo, environment=environment, where=temporary),
            "themis demo, again": _run(*demo, environment=environment, where=temporary),
        }
        sizes = {
            name: size for name, size in _sizes(python).items() if name not in before
        }
    return _build_report(ended, sizes)


def _build_report(ended: Mapping[str, _Ended], sizes: Mapping[str, int]) -> Report:
    rows: list[Row] = []
    for what, command in ended.items():
        seconds = {
            "first_score_s": command.first_score_s,
            "exit_s": command.wall_s,
            "cpu_s": command.cpu_s,
        }
        rows.append({"what": what, **seconds})
    heaviest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:_HEAVIEST]
    weights = [{"package": name, "mb": sizes[name] / _MEGABYTE} for name in heaviest]
    megabytes = sum(sizes.values()) / _MEGABYTE
    first_score_s = ended["themis demo"].first_score_s or float("inf")
    return Report(
        how=f"{len(sizes)} packages, {megabytes:.0f} MB with their bytecode, in a new "
        "environment without a compiler; seconds from the start of each command to the "
        "first mean in its output, to its exit, and of processors",
        rows=rows,
        aims=[Aim("seconds of `themis demo` to its first score", first_score_s, 10)],
        parts={"heaviest packages": Report(how="as installed", rows=weights)},
    )


def _build_wheel(folder: Path) -> Path:
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    (wheel,) = folder.glob("*.whl")
    return wheel


def _run(
    *command: str,
    environment: Environment | None = None,
    where: Path = ROOT,
) -> _Ended:
    """Run a command to its end. Raises `RuntimeError` if it fails."""
    cpu_before = _children_cpu_s()
    began = time.monotonic()
    first_score_s = None
    output = []
    with subprocess.Popen(
        command,
        cwd=where,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if first_score_s is None and _SCORE.search(line):
                first_score_s = time.monotonic() - began
            output.append(line)
    wall_s = time.monotonic() - began
    text = "".join(output)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}:\n{text}")
    return _Ended(wall_s, _children_cpu_s() - cpu_before, first_score_s, text)


def _children_cpu_s() -> float:
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _sizes(python: str) -> dict[str, int]:
    """Return the bytes of each distribution that this interpreter finds."""
    files: dict[str, list[str]] = json.loads(
        _run(python, "-I", "-c", _LIST_FILES).output
    )
    return {name: sum(map(_bytes_of, paths)) for name, paths in files.items()}


def _bytes_of(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except FileNotFoundError:  # a record may name bytecode that was not written
        return 0
