"""One step of `make`: `python tools/step.py NAME [--log FILE] -- COMMAND`.

Runs with any Python 3, before anything is installed. Prints the step's name and seconds
when it has ended; with `--log`, the command's output goes to the file, of which the end
is printed if it fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

_LAST_LINES = 40


def main() -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description="Run one step and print its seconds.")
    parser.add_argument("name")
    parser.add_argument("--log", type=Path)
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    began = time.monotonic()
    try:
        code = _run(arguments.name, arguments.command, arguments.log)
    except KeyboardInterrupt:
        return 130
    seconds = time.monotonic() - began
    ending = f"failed with exit code {code}" if code else f"{seconds:.0f} s"
    print(f"{arguments.name}: {ending}", flush=True)
    return code


def _run(name: str, command: list[str], log: Path | None) -> int:
    """Return the exit code; after a failure, print the end of the log."""
    if log is None:
        return subprocess.run(command, check=False).returncode
    print(f"{name}: begun; its output is in {log}", flush=True)
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        with log.open(encoding="utf-8", errors="replace") as lines:
            sys.stderr.writelines(deque(lines, _LAST_LINES))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
