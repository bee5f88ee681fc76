"""Runs by the names people give them: an id or its beginning, `last`, an experiment."""

from __future__ import annotations

import fnmatch
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
    # Ids first: they are a listing, while names take reading every record.
    matching = _ids_beginning_with(store, text)
    if text in matching:
        return RunResult(store, text)
    if len(matching) == 1:
        return RunResult(store, matching[0])
    known = manifests(store)
    named = [run for run in known if text in (LAST, run.name)]
    for run in reversed(named):
        if run.status is not RunStatus.RUNNING:
            return RunResult(store, run.run_id, run)
    if not known:
        raise StoreError(
            f"store {store.public_url!r} has no runs; "
            "`themis run EXPERIMENT.yaml` makes one"
        )
    if matching:
        examples = first_few(sorted(matching))
        raise StoreError(
            f"run {text!r}: {len(matching)} runs begin so ({examples}); "
            "write more of the id"
        )
    if named:
        raise StoreError(
            f"run {text!r}: none has ended yet in store {store.public_url!r}"
        )
    choices = {LAST}
    for run in known:
        choices.update((run.name, run.run_id))
    raise StoreError(
        f"store {store.public_url!r} has no run {text!r}; {nearest(text, choices)}"
    )


def find_runs(
    store: RunStore,
    texts: Sequence[str],
) -> list[RunResult]:
    """Return the runs that texts name, as `find_run` does, in order.

    A text with `*` names the latest run of every experiment whose name is like it, in
    the order in which they started; those that are named already are left out.
    """
    runs: list[RunResult] = []
    for text in texts:
        if "*" not in text:
            runs.append(find_run(store, text))
        else:
            named = {run.run_id for run in runs}
            runs += [run for run in _like(store, text) if run.run_id not in named]
    return runs


def _like(
    store: RunStore,
    pattern: str,
) -> list[RunResult]:
    latest: dict[str, Manifest] = {}
    for run in manifests(store):
        is_like = fnmatch.fnmatchcase(run.name, pattern)
        if is_like and run.status is not RunStatus.RUNNING:
            # Its place is that of the latest run, not of the first.
            latest.pop(run.name, None)
            latest[run.name] = run
    if not latest:
        raise StoreError(
            f"store {store.public_url!r} has no ended run of an experiment like "
            f"{pattern!r}"
        )
    return [RunResult(store, run.run_id, run) for run in latest.values()]


def _ids_beginning_with(
    store: RunStore,
    text: str,
) -> list[str]:
    # Every id begins with an empty text, which nobody means.
    if not text:
        return []
    return [run_id for run_id in store.list("runs") if run_id.startswith(text)]
