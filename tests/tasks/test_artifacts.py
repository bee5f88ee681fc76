"""What a flow run shows of a run."""

from __future__ import annotations

from pathlib import Path

from prefect.logging import disable_run_logger

from tasks.artifacts import written_page
from tests.support.drivers import run_in_process
from tests.test_edit_costs import base


def test_a_page_that_cannot_be_written_does_not_end_the_flow(tmp_path: Path) -> None:
    """The run is over and saved: there is only no address."""
    result = run_in_process(base(tmp_path / "store"), tmp_path, "")
    Path(f"{result.location}/report.html").mkdir()

    with disable_run_logger():
        assert written_page(result) is None
