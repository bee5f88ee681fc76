"""Programs of tests that need a Python process to themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


def in_new_process(program: str, **environment: str | None) -> Any:
    """Return what a program prints as JSON in another process.

    A variable that is `None` is not set there. `json`, `sys` and `warnings` are
    imported.
    """
    merged = {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, "-c", f"import json, sys, warnings\n{program}"],
        env={name: value for name, value in merged.items() if value is not None},
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert (0, "") == (done.returncode, done.stderr.decode())
    return json.loads(done.stdout)
