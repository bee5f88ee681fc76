"""A run in a process of its own, which tests stop, kill or read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def start_run(path: Path, api_url: str, *arguments: str) -> subprocess.Popen[str]:
    """Start `python -m flows.run` for an experiment, its output on one pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", "flows.run", str(path), *arguments],
        env={**os.environ, "PREFECT_API_URL": api_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
