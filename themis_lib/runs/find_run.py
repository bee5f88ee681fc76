"""Runs by the names people give them: an id or its beginning, `last`, an experiment."""

from __future__ import annotations

from collections.abc import Sequence

from themis_lib.errors import StoreError, first_few, nearest
from themis_lib.runs.manifest import Manifest, RunStatus, manifests
from themis_lib.runs.results import RunResult
from themis_lib.storage.store import RunStore

LAST = "last"


def find_run(
    store: RunStore,
    text: str,
) -> RunResult:
    """Return the run that `text` names.

    In this order: its id; the beginning of an id that no other run shares; `last` or
    an experiment's name, for the latest run (of that name) that has ended. Raise
    `StoreError` with what there is to choose from.
    """
    begun = []
    if text:
        begun = [run_id for run_id in store.list("runs") if run_id.startswith(text)]
    if text in begun:
        return RunResult(store, text)
    if len(begun) == 1:
        return RunResult(store, begun[0])
    known = in_time(manifests(store))
    if not known:
        raise StoreError(
            f"store {store.url!r} has no runs; "
            "`python -m flows.run EXPERIMENT.yaml` makes one"
        )
    named = [run for run in known if text in (LAST, run.name)]
    ended = [run for run in named if run.status is not RunStatus.RUNNING]
    if ended:
        return RunResult(store, ended[-1].run_id, ended[-1])
    if begun:
        raise StoreError(
            f"run {text!r}: {len(begun)} runs begin so ({first_few(sorted(begun))}); "
            "write more of the id"
        )
    if named:
        raise StoreError(f"run {text!r}: none has ended yet in store {store.url!r}")
    choices = [LAST]
    for run in known:
        choices += [run.name, run.run_id]
    raise StoreError(
        f"store {store.url!r} has no run {text!r}; {nearest(text, set(choices))}"
    )


def in_time(runs: Sequence[Manifest]) -> list[Manifest]:
    """Return runs in the order in which they started."""
    return sorted(runs, key=lambda run: (run.started_at, run.run_id))
