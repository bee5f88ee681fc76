"""Names of things in modules, as users write them in experiments."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from themis_lib import ComponentError
from themis_lib.components.imports import import_named


def test_name_is_imported() -> None:
    """`module:attribute` is that attribute."""
    assert math.sqrt is import_named("reducer", "math:sqrt")


def test_folder_the_program_was_started_in_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module beside the experiment is found, also by a program that was installed."""
    (tmp_path / "beside_the_experiment.py").write_text("answer = 4\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [])

    assert 4 == import_named("graph", "beside_the_experiment:answer")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("math", "graph 'math' names no component; write `module:attribute`"),
        ("math:", "graph 'math:' names no component; write `module:attribute`"),
        (
            "nowhere:graph",
            "graph 'nowhere:graph' cannot be imported: No module named 'nowhere'",
        ),
        ("math:sqtr", "module 'math' has no 'sqtr'; did you mean 'sqrt'?"),
    ],
)
def test_name_that_leads_nowhere_is_refused(name: str, said: str) -> None:
    """The message says what the name stands for, and the nearest that leads
    somewhere.
    """
    with pytest.raises(ComponentError) as caught:
        import_named("graph", name)

    assert said == str(caught.value)
