"""Runs by the names people give them: an id, the beginning of one, `last`, or the name
of an experiment.
"""

from __future__ import annotations

from collections.abc import Sequence

from themis_lib.errors import StoreError, first_few, nearest
from themis_lib.runs.manifest import Manifest, RunStatus, manifests
from themis_lib.runs.results import RunResult
from themis_lib.storage.store import RunStore

LAST = "last"


def find_run(store: RunStore, text: str) -> RunResult:
    """The run that `text` names: its id, the beginning of an id that no other run
    shares, `last` for the latest run of the store that has ended, or an experiment's
    name for the latest of its runs that has ended.

    Raises `StoreError` that says what there is.
    """
    run_ids = store.list("runs")
    begun = [run_id for run_id in run_ids if run_id.startswith(text)] if text else []
    if text in begun:
        return RunResult(store, text)
    if len(begun) == 1:
        return RunResult(store, begun[0])
    known = in_time(manifests(store))
    if not known:
        raise StoreError(
            f"store {store.url!r} has no runs; `python -m flows.run EXPERIMENT.yaml` makes one"
        )
    ended = [
        run
        for run in known
        if run.status is not RunStatus.RUNNING and text in (LAST, run.name)
    ]
    if ended:
        return RunResult(store, ended[-1].run_id, ended[-1])
    if begun:
        raise StoreError(
            f"run {text!r}: {len(begun)} runs begin so ({first_few(sorted(begun))}); write more of the id"
        )
    if text == LAST or any(run.name == text for run in known):
        raise StoreError(f"run {text!r}: none has ended yet in store {store.url!r}")
    hint = nearest(
        text, [LAST, *{run.name for run in known}, *(run.run_id for run in known)]
    )
    raise StoreError(f"store {store.url!r} has no run {text!r}; {hint}")


def in_time(runs: Sequence[Manifest]) -> list[Manifest]:
    """Runs in the order in which they started."""
    return sorted(runs, key=lambda run: (run.started_at, run.run_id))
