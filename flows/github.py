"""What GitHub Actions gives to a step: a summary to write, and a log that it obeys."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from themis_lib.report.policy_markdown import cut_lines

#: The most bytes that GitHub shows of a step's summary: 1 MiB, less what others wrote.
_MOST_SUMMARY_BYTES = 1_000_000


@contextlib.contextmanager
def commands_stopped() -> Iterator[None]:
    """Have GitHub obey no command in the log while the block runs.

    A line that begins with `::` is a command, and the text of a model may be one. Only
    who knows the token could end this, and it is another one every time.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        yield
        return
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}", flush=True)
    try:
        yield
    finally:
        print(f"::{token}::", flush=True)


def write_job_summary(text: str) -> None:
    """Add Markdown to the summary of the job, where there is one.

    Raise `OSError` if it cannot be written.
    """
    file = os.environ.get("GITHUB_STEP_SUMMARY")
    if not file:
        return
    with Path(file).open("a", encoding="utf-8") as summary:
        summary.write(cut_lines(text, _MOST_SUMMARY_BYTES))
