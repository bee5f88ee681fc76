"""Evaluations in pytest: the fixture `themis_run` and the option `--themis-store`.

Every pytest run of an environment with the package imports this module, so it imports
nothing else: what an evaluation needs is imported by the first one. It is not in `flows`,
a name that packages of users have, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from themis_lib import Experiment, RunResult


class ThemisRun(Protocol):
    """What the fixture `themis_run` is: a function that runs an experiment."""

    def __call__(
        self,
        experiment: str | Path | Experiment,
        *,
        overrides: Sequence[str] = (),
        limit: int | None = None,
    ) -> RunResult:
        """Run an experiment in this process, and return its result.

        It is an experiment's file, looked for from pytest's root, or an `Experiment`.
        """


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--themis-store`."""
    parser.getgroup("themis").addoption(
        "--themis-store",
        metavar="URL",
        help="Where experiments of the fixture `themis_run` keep rows and runs: a folder "
        "or an fsspec URL; else where each says, else in the folder `results`.",
    )


@pytest.fixture(scope="session")
def themis_run(pytestconfig: pytest.Config) -> ThemisRun:
    """Return a function that runs an experiment's file, or an `Experiment`.

    Rows that the store has are not computed again. Raise `InputError` for what is wrong
    with the experiment, before anything is generated.
    """
    store = pytestconfig.getoption("--themis-store")

    def run(
        experiment: str | Path | Experiment,
        *,
        overrides: Sequence[str] = (),
        limit: int | None = None,
    ) -> RunResult:
        return _run(experiment, pytestconfig.rootpath, store, overrides, limit)

    return run


def _run(
    experiment: str | Path | Experiment,
    root: Path,
    store: str | None,
    overrides: Sequence[str],
    limit: int | None,
) -> RunResult:
    # Imported late: most runs of pytest have no evaluation.
    from themis_lib import ConfigError, Experiment
    from themis_lib.storage.store import open_store

    if isinstance(experiment, (str, Path)):
        experiment = Experiment.from_config(root / experiment, overrides=overrides)
    elif overrides:
        raise ConfigError(
            "overrides are for an experiment's file; change the `Experiment` itself"
        )
    if limit is not None:
        experiment = experiment.limited(limit)
    storage = experiment.with_store(store).storage
    # Given, since an experiment that has run keeps the store that it opened.
    return experiment.run(open_store(*storage.resolved()))
