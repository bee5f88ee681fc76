"""A program in a subprocess answers, or fails without taking this process with it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from themis_lib.engine.isolated import IsolatedError, run_isolated

TIMEOUT_S = 60


def test_a_program_is_answered_with_what_it_prints() -> None:
    assert "4\n" == run_isolated("print(2 + 2)", timeout_s=TIMEOUT_S)


def test_a_program_finds_the_same_modules(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A relative entry of the search path is that of the caller's folder."""
    (tmp_path / "only_here.py").write_text("NAME = 'found'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])

    program = "import os\nos.chdir('/')\nimport only_here\nprint(only_here.NAME)"

    assert "found\n" == run_isolated(program, timeout_s=TIMEOUT_S)


def test_a_program_ignores_the_variables_of_python(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")

    program = f"import sys\nprint({str(tmp_path)!r} in sys.path, sys.flags.optimize)"

    assert "False 0\n" == run_isolated(program, timeout_s=TIMEOUT_S)


def test_a_crash_is_an_error_with_the_name_of_its_signal() -> None:
    program = "import os, signal\nos.kill(os.getpid(), signal.SIGABRT)"

    with pytest.raises(IsolatedError, match="it crashed") as caught:
        run_isolated(program, timeout_s=TIMEOUT_S)

    assert "SIGABRT" == caught.value.crash


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="no real-time signals here")
def test_a_signal_without_a_name_is_a_number() -> None:
    number = int(signal.SIGRTMIN) + 1
    program = f"import os\nos.kill(os.getpid(), {number})"

    with pytest.raises(IsolatedError) as caught:
        run_isolated(program, timeout_s=TIMEOUT_S)

    assert f"signal {number}" == caught.value.crash


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise ValueError('no such thing')", "^ValueError: no such thing$"),
        ("import os\nos._exit(3)", "^exit code 3$"),
    ],
)
def test_a_failure_is_an_error_with_its_last_line(program: str, reason: str) -> None:
    with pytest.raises(IsolatedError, match=reason) as caught:
        run_isolated(program, timeout_s=TIMEOUT_S)

    assert "" == caught.value.crash


def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(IsolatedError, match=r"it was not done after 0\.3 s"):
        run_isolated("import time\ntime.sleep(60)", timeout_s=0.3)


def test_an_interpreter_that_is_not_there_is_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", os.fspath(tmp_path / "no_python"))

    with pytest.raises(IsolatedError, match=r"starting '.*no_python' failed"):
        run_isolated("print()", timeout_s=TIMEOUT_S)


def test_threads_give_way_while_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the caller's environment says how they wait."""
    program = "import os; print(os.environ['OMP_WAIT_POLICY'])"
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    by_default = run_isolated(program, timeout_s=TIMEOUT_S)
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")

    assert ["passive", "active"] == [
        by_default.strip(),
        run_isolated(program, timeout_s=TIMEOUT_S).strip(),
    ]
