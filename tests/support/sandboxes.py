"""Code in the sandbox, with bounds that a test can wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from themis_lib.errors import FatalError
from themis_lib.sandbox.sandbox import (
    Isolation,
    TestedCode,
    check_isolation,
    run_tests,
)
from themis_lib.sandbox.verdicts import Limits, Verdict

#: The time of a row is long, for machines that are busy.
LIMITS = Limits(cpu_s=1, wall_s=20, memory_mb=256, file_mb=4)


def needs(isolation: Isolation) -> None:
    """Skip the test where the machine does not give this isolation."""
    try:
        check_isolation(isolation)
    except FatalError as error:
        pytest.skip(str(error))


def verdict_on(
    code: str,
    *tests: str,
    isolation: Isolation = "namespaces",
    limits: Limits = LIMITS,
    **fields: Any,
) -> Verdict:
    """Return the verdict of tests on code; by default the code defines a square."""
    parts: Sequence[str] = tests or ("assert f(2) == 4",)
    return run_tests(TestedCode(code=code, parts=parts, **fields), limits, isolation)
