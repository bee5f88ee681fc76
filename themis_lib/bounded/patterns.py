"""Regular expressions of users, which a text must not keep busy for ever."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import Field

from themis_lib.bounded.processes import Workers
from themis_lib.errors import RowError

Seconds: TypeAlias = Annotated[
    float,
    Field(
        gt=0,
        allow_inf_nan=False,
    ),
]
#: The processor time that a match may take, in seconds: thousands of times what an
#: ordinary pattern takes on a long text.
MAX_CPU_S = 1.0

_WORKERS = Workers(
    Path(__file__).with_name("pattern_worker.py"),
    task="matches regular expressions",
    # Nothing but the standard library is needed, so the process starts in 30 ms.
    flags=("-I", "-S"),
)


def match_texts(
    pattern: re.Pattern[str],
    text: str,
    *,
    which: int | None,
    cpu_s: float = MAX_CPU_S,
) -> list[str | None] | None:
    """Return the texts of a match and of its groups, or `None` without a match.

    `which` counts the matches: 0 is the first, -1 the last. `None` asks for a match of
    the whole text. Raise `RowError` if it takes more than `cpu_s` seconds of processor
    time.

    >>> match_texts(re.compile("([a-z])([0-9])?"), "a1 b", which=-1)
    ['b', 'b', None]
    """
    # A separate process: `re` cannot be interrupted, and holds up every thread.
    answer = _WORKERS.ask(
        pattern=pattern.pattern,
        flags=pattern.flags,
        text=text,
        which=which,
        cpu_s=cpu_s,
    )
    if answer is None:
        raise RowError(
            f"pattern {pattern.pattern!r} took more than {cpu_s:g} s of processor time "
            f"on {len(text)} characters; write it so that each text can match in one "
            "way only, such as a+ for (a+)+"
        )
    texts: list[str | None] | None = answer["texts"]
    return texts
