"""Commands for people to type, in the form by which this process was started."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

#: The verbs whose programs are not in this package.
_ELSEWHERE = {"serve": "deployments.serve"}


def command(
    verb: str,
    *arguments: str,
) -> str:
    """Return a command that does a verb: `themis run …` or `python -m flows.run …`.

    The second where this process is one of the programs itself.

    >>> command("report", "last", "--form", "csv").endswith("report last --form csv")
    True
    """
    module = _ELSEWHERE.get(verb, f"flows.{verb}")
    program = f"python -m {module}" if _is_module() else f"themis {verb}"
    return shlex.join([*program.split(), *arguments])


def login_command() -> str:
    """Return the command that prints the password of the local server's pages."""
    return command("server", "password")


def typed_arguments(without: Sequence[str] = ()) -> list[str]:
    """Return what was typed behind the verb, but for some options."""
    first = 1 if _is_module() else 2
    return [argument for argument in sys.argv[first:] if argument not in without]


def _is_module() -> bool:
    """Return whether this process was started as `python -m flows.VERB`."""
    started = Path(sys.argv[0])
    is_ours = started.parent.name in ("flows", "deployments")
    return (
        is_ours and started.suffix == ".py" and started.stem not in ("__main__", "cli")
    )
