"""Where shards are computed: in threads of this process, in processes of this machine,
or on a Dask or Ray cluster.

Prefect's own task runners, prepared so that every process computes one shard at a time,
shares the cores with the others, and ends with its run.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, get_args

from prefect.context import refresh_global_settings_context
from prefect.settings import PREFECT_API_URL
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from tasks.worker import begin_process, end_dask_tasks
from themis_lib.core.config import RunnerName
from themis_lib.cpus import available_cpus
from themis_lib.errors import ConfigError, nearest

#: Threads mostly wait, for a provider or a disk.
THREADS = 8

Runner = TaskRunner[Any]


def task_runner(
    name: str,
    workers: int | None,
    run_id: str,
) -> AbstractContextManager[Runner]:
    """The task runner of this name for one run, with so many workers: by default 8
    threads, or a process for each core.

    Raises `ConfigError` for a name that is none, or whose extra is not installed.
    """
    if name not in _RUNNERS:
        raise ConfigError(f"unknown runner {name!r}; {nearest(name, _RUNNERS)}")
    return _RUNNERS[name](workers_of(name, workers), run_id)


def workers_of(
    name: str,
    workers: int | None,
) -> int:
    """How many shards a runner computes at once."""
    return workers or (THREADS if name == "threads" else available_cpus())


def _thread_runner(
    workers: int,
    _run_id: str,
) -> AbstractContextManager[Runner]:
    return ThreadPoolTaskRunner(max_workers=workers)


@contextmanager
def _process_runner(
    workers: int,
    _run_id: str,
) -> Iterator[Runner]:
    """Processes that end when this one closes its end of a pipe, or is killed, which
    closes it too.
    """
    theirs, ours = multiprocessing.get_context("spawn").Pipe(duplex=False)
    runner = ProcessPoolTaskRunner(
        max_workers=workers,
        initializer=begin_process,
        initargs=(theirs, _threads_each(workers)),
    )
    with theirs, _settings_for_threads(), runner:
        try:
            yield runner
        finally:
            ours.close()


@contextmanager
def _settings_for_threads() -> Iterator[None]:
    """Show Prefect's own threads the server in use: they know the settings of the whole
    process alone, which are the environment's, and would start another server for the
    events that the processes send.
    """
    before = os.environ.get("PREFECT_API_URL")
    os.environ["PREFECT_API_URL"] = PREFECT_API_URL.value() or ""
    refresh_global_settings_context()
    try:
        yield
    finally:
        del os.environ["PREFECT_API_URL"]
        if before is not None:
            os.environ["PREFECT_API_URL"] = before
        refresh_global_settings_context()


@contextmanager
def _dask_runner(
    workers: int,
    run_id: str,
) -> Iterator[Runner]:
    """The cluster that Dask's own setting names (`DASK_SCHEDULER_ADDRESS`), else
    processes of this machine.
    """
    try:
        import dask
        from prefect_dask import DaskTaskRunner
    except ImportError:
        raise _not_installed("dask") from None
    logging.getLogger("distributed").setLevel(
        logging.WARNING
    )  # else it tells of every connection
    address = dask.config.get("scheduler-address", None)
    local = {
        "n_workers": workers,
        "threads_per_worker": 1,
        "dashboard_address": None,
        "env": {"OMP_NUM_THREADS": str(_threads_each(workers))},
        "preload": "tasks.worker",
    }
    with DaskTaskRunner(
        address=address,
        cluster_kwargs=None if address else local,
    ) as runner:
        try:
            yield runner
        finally:
            if runner._client is not None:  # asking for `client` would start a cluster
                runner.client.run(end_dask_tasks, run_id, on_error="ignore")


def _ray_runner(
    workers: int,
    _run_id: str,
) -> AbstractContextManager[Runner]:
    """The cluster that Ray's own setting names (`RAY_ADDRESS`), else processes of this
    machine.
    """
    try:
        from prefect_ray import RayTaskRunner
    except ImportError:
        raise _not_installed("ray") from None
    local = {"num_cpus": workers, "include_dashboard": False, "log_to_driver": False}
    runner: Runner = RayTaskRunner(
        init_kwargs=None if os.environ.get("RAY_ADDRESS") else local
    )
    return runner


_RUNNERS: dict[str, Callable[[int, str], AbstractContextManager[Runner]]] = {
    "threads": _thread_runner,
    "processes": _process_runner,
    "dask": _dask_runner,
    "ray": _ray_runner,
}
assert tuple(_RUNNERS) == get_args(RunnerName)


def _threads_each(workers: int) -> int:
    """Threads for the arithmetic of each process, as `OMP_NUM_THREADS` says it to every
    library that computes.
    """
    return max(available_cpus() // workers, 1)


def _not_installed(extra: str) -> ConfigError:
    return ConfigError(
        f"the runner {extra!r} is not installed; run: pip install 'themis-flows[{extra}]'"
    )
