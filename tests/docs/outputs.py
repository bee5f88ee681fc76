"""What a page shows of an output, compared with the output."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: What is another on every run. Where a page shows one, any is right.
_VOLATILE = {
    "run_id": r"\d{8}-\d{6}-[0-9a-f]{6}",
    "uuid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "port": r"127\.0\.0\.1:\d+",
    "time": r"\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?",
    "day": r"(?<!\S)\d{4}-\d\d-\d\d(?!\S)",
    "seconds": r"\b\d+(?:\.\d+)? m?s\b",
    # Fingerprints and names of parts: a user's code has others under another Python.
    "digest": r"\b[0-9a-f]{32}\b|\b(?=[a-f]*\d)[0-9a-f]{12}\b",
    "size": r"\b\d+(?:\.\d+)? (?:bytes|[kMG]B)\b",
}
#: What commands say while they wait, if they have to wait for long.
_PROGRESS = re.compile(
    r"starting a Prefect server, .*|"
    r"(?:\S+  \(cell \d+ of \d+\)  )?generate [\d,]+/[\d,]+(?:  \S+ [\d,]+/[\d,]+)*"
)
_ANY_VOLATILE = re.compile("|".join(f"(?P<{k}>{v})" for k, v in _VOLATILE.items()))


def pattern_of(shown: Sequence[str]) -> re.Pattern[str]:
    """Return the pattern of the texts that agree with the lines of a page.

    `…` is any text within a line, and a line that is only `…` any number of lines.
    """
    parts = []
    for line in shown:
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append("[^\n]*".join(map(_literal, line.rstrip().split("…"))) + "\n")
    return re.compile("".join(parts))


def _literal(text: str) -> str:
    """Return a pattern for a text in which run ids, times and ports may be others."""
    pattern = ""
    end = 0
    for found in _ANY_VOLATILE.finditer(text):
        pattern += re.escape(text[end : found.start()])
        pattern += f"(?:{_VOLATILE[str(found.lastgroup)]})"
        end = found.end()
    return pattern + re.escape(text[end:])


def agrees(shown: Sequence[str], output: str) -> bool:
    """Return whether an output is what a page shows."""
    return pattern_of(_trimmed(shown)).fullmatch(_joined(lines_of(output))) is not None


def lines_of(output: str) -> list[str]:
    """Return the lines of an output without trailing blanks, spaces, carriage returns
    and lines on the progress, which a quick machine does not print.
    """
    lines = [line.rstrip() for line in output.splitlines()]
    return _trimmed([line for line in lines if not _PROGRESS.fullmatch(line)])


def _trimmed(lines: Sequence[str]) -> list[str]:
    """Return lines without the empty ones at the end."""
    last = len(lines)
    while last and not lines[last - 1].strip():
        last -= 1
    return list(lines[:last])


def _joined(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
