"""What a person sees at the end of a run."""

from __future__ import annotations

import io

from rich.console import Console

from flows.display import print_result
from tests.core.test_agreement import labelled


def test_agreement_fits_a_narrow_terminal() -> None:
    """Kappa and its interval stand on one line of 80 columns, behind the metric and its label."""
    result = labelled((1, True), (2, False), (1, False), (2, True), (1, True))
    console = Console(width=80, file=io.StringIO())

    print_result(result, console, seconds=1.0, page=None, command="run")

    (line,) = [line for line in console.file.getvalue().splitlines() if line.strip().startswith("exact_match")]
    (record,) = result.agreement
    assert f"{record.kappa:.3f}   {record.low:.3f} – {record.high:.3f}" in line
