"""What a flow run shows of a run."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from tasks.artifacts import report_command, written_page
from tests.support.drivers import run_in_process
from tests.test_edit_costs import base


def test_a_page_that_cannot_be_written_does_not_end_the_flow(tmp_path: Path) -> None:
    """The run is over and saved: there is only no address."""
    result = run_in_process(base(tmp_path / "store"), tmp_path, "")
    Path(f"{result.location}/report.html").mkdir()

    with disable_run_logger():
        assert written_page(result) is None


def test_command_is_for_a_shell(tmp_path: Path) -> None:
    """A folder is one argument whatever its name, and found from any folder."""
    place = tmp_path / "a b; echo $HOME"
    result = run_in_process(base(place), tmp_path, "")

    words = shlex.split(report_command(result))

    assert ["themis", "report", result.run_id, "--store", str(place)] == words


def test_command_keeps_no_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the address of a store refers to is still a reference."""
    monkeypatch.setenv("STORE_PASSWORD", "hunter2")
    address = "memory://me:${STORE_PASSWORD}@host/runs"
    spec = {**base(tmp_path), "storage": {"store": address}}
    result = run_in_process(spec, tmp_path, "")

    command = report_command(result)

    assert "hunter2" in result.store.url
    assert "hunter2" not in command
    assert address == shlex.split(command)[-1]
