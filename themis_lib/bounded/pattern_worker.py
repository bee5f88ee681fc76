"""Matching by Python's `re`. Run by `worker.py`; imports nothing of the library."""

from __future__ import annotations

import re
from collections import deque
from itertools import islice
from typing import Any


def answer(
    pattern: str,
    flags: int,
    text: str,
    which: int | None,
) -> dict[str, Any]:
    """Return the texts of a match and of its groups, or null without a match.

    `which` counts the matches from 0, or from -1 backwards; null asks for a match of
    the whole text.
    """
    compiled = re.compile(pattern, flags)
    if which is None:
        found = compiled.fullmatch(text)
    else:
        found = _match_at(compiled, text, which)
    if found is None:
        return {"texts": None}
    return {"texts": [found[0], *found.groups()]}


def _match_at(
    pattern: re.Pattern[str],
    text: str,
    which: int,
) -> re.Match[str] | None:
    matches = pattern.finditer(text)
    if which >= 0:
        return next(islice(matches, which, None), None)
    # Keeps the last matches alone, however many there are.
    last = deque(matches, maxlen=-which)
    return last[0] if len(last) == -which else None
