"""A sandbox that cannot be had is refused, and says what is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.support.sandboxes import needs

#: Inside, the kernel refuses every further namespace of users.
WITHOUT_NAMESPACES = (
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"',
    "sh",
)


def outcome_without_namespaces(isolation: str) -> str:
    if shutil.which("unshare") is None:
        pytest.skip("there is no program `unshare`")
    program = (
        "from themis_lib.errors import FatalError\n"
        "from tests.support.sandboxes import verdict_on\n"
        "try:\n"
        f"    print(verdict_on('def f(x): return 4', isolation={isolation!r}).outcome)\n"
        "except FatalError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [*WITHOUT_NAMESPACES, sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_machine_without_user_namespaces_is_refused():
    """Where namespaces are not allowed no code runs, and the message names the step."""
    needs("namespaces")

    assert (
        "no sandbox for code here: namespaces cannot be entered (unshare: No space left "
        "on device)" == outcome_without_namespaces("namespaces")
    )


def test_landlock_needs_no_namespaces():
    """The weaker way runs code where there are no namespaces."""
    needs("namespaces")
    needs("landlock")

    assert "passed" == outcome_without_namespaces("landlock")
