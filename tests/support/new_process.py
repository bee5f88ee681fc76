"""Programs of tests that need a Python process to themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


def in_new_process(program: str, **environment: str | None) -> Any:
    """Return what a program prints as JSON in another process.

    As `printed_in_new_process`; `json`, `sys` and `warnings` are imported.
    """
    program = f"import json, sys, warnings\n{program}"
    return json.loads(printed_in_new_process(program, **environment))


def printed_in_new_process(program: str, **environment: str | None) -> str:
    """Return what a program prints in another process, which must end without a word
    on its standard error.

    A variable that is `None` is not set there.
    """
    merged = {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={name: value for name, value in merged.items() if value is not None},
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert (0, "") == (done.returncode, done.stderr.decode())
    return done.stdout.decode()
