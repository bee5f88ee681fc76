"""Where shards are computed: in threads, in processes, or on a Dask or Ray cluster.

These are Prefect's own task runners, prepared so that each process computes one shard
at a time, shares the cores with the others, and ends with its run.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, get_args

from prefect.context import refresh_global_settings_context
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from tasks.worker import begin_process, end_dask_tasks
from themis_lib.components.module_folders import SAFE_PATH
from themis_lib.core.option_names import RunnerName
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
    """Return the task runner of this name for one run, to be entered with `with`.

    By default it has 8 threads, or a process for each core. Raise `ConfigError` for an
    unknown name, or one whose extra is not installed.
    """
    if name not in _RUNNERS:
        raise ConfigError(f"unknown runner {name!r}; {nearest(name, _RUNNERS)}")
    return _RUNNERS[name](workers_of(name, workers), run_id)


def workers_of(
    name: str,
    workers: int | None,
) -> int:
    """Return how many shards a runner computes at once.

    >>> workers_of("threads", None)
    8
    >>> workers_of("processes", 3)
    3
    """
    if workers:
        return workers
    # More processes than cores would only share them.
    return THREADS if name == "threads" else available_cpus()


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
    # The processes wait at one end of a pipe and leave when the other is closed, which
    # the operating system also does when this process is killed.
    # Spawned: a fork would copy locks whose threads do not exist in it.
    theirs, ours = multiprocessing.get_context("spawn").Pipe(duplex=False)
    runner = ProcessPoolTaskRunner(
        max_workers=workers,
        initializer=begin_process,
        initargs=(theirs, _threads_each(workers)),
    )
    with theirs, _safe_path(), server_in_environment(), runner:
        try:
            yield runner
        finally:
            ours.close()


@contextmanager
def server_in_environment() -> Iterator[None]:
    """Set the server in use, and how to log in to it, in the environment for a block.

    Prefect's own threads do not see `temporary_settings`, only the environment's. They
    pass on the events of worker processes, and would start another server for them.
    """
    settings = {
        "PREFECT_API_URL": PREFECT_API_URL.value() or "",
        "PREFECT_API_AUTH_STRING": PREFECT_API_AUTH_STRING.value() or "",
    }
    try:
        with _environment(settings):
            # Prefect reads the environment once, and keeps what it read.
            refresh_global_settings_context()
            yield
    finally:
        refresh_global_settings_context()


def _safe_path() -> AbstractContextManager[None]:
    """Have processes that start in a block leave out the working directory.

    A `types.py` in it would be taken for the library. The processes undo that for the
    programs that they start themselves (`begin_process`, `dask_setup`).
    """
    given = os.environ.get("PYTHONSAFEPATH") or SAFE_PATH
    return _environment({"PYTHONSAFEPATH": given})


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


@contextmanager
def _dask_runner(
    workers: int,
    run_id: str,
) -> Iterator[Runner]:
    """Yield a runner on the cluster that `DASK_SCHEDULER_ADDRESS` names, else local."""
    try:
        import dask
        from prefect_dask import DaskTaskRunner
    except ImportError:
        raise _not_installed("dask") from None
    # Else Dask logs every connection.
    logging.getLogger("distributed").setLevel(logging.WARNING)
    address = dask.config.get("scheduler-address", None)
    cluster = None
    if not address:
        cluster = {
            "n_workers": workers,
            "threads_per_worker": 1,
            # `None` would still open the default port, which another run may have.
            "dashboard_address": ":0",
            "env": {"OMP_NUM_THREADS": str(_threads_each(workers))},
            # Dask calls its `dask_setup` in each process.
            "preload": "tasks.worker",
        }
    dask_runner = DaskTaskRunner(
        address=address,
        cluster_kwargs=cluster,
    )
    # The cluster is started by the first task.
    with _safe_path(), dask_runner as runner:
        try:
            yield runner
        finally:
            # The property `client` would start a cluster where no task needed one.
            if runner._client is not None:
                runner.client.run(end_dask_tasks, run_id, on_error="ignore")


def _ray_runner(
    workers: int,
    _run_id: str,
) -> AbstractContextManager[Runner]:
    """Return a runner on the cluster that `RAY_ADDRESS` names, else a local one."""
    try:
        from prefect_ray import RayTaskRunner
    except ImportError:
        raise _not_installed("ray") from None
    local = None
    # Ray refuses these settings for a cluster that is already running.
    if not os.environ.get("RAY_ADDRESS"):
        local = {
            "num_cpus": workers,
            "include_dashboard": False,
            "log_to_driver": False,
            # Else it tells of each cluster that it starts.
            "logging_level": logging.ERROR,
        }
    runner: Runner = RayTaskRunner(init_kwargs=local)
    return runner


_RUNNERS: dict[str, Callable[[int, str], AbstractContextManager[Runner]]] = {
    "threads": _thread_runner,
    "processes": _process_runner,
    "dask": _dask_runner,
    "ray": _ray_runner,
}
# The names are declared in `themis_lib`, for configuration without Prefect.
assert tuple(_RUNNERS) == get_args(RunnerName)


def _threads_each(workers: int) -> int:
    # For `OMP_NUM_THREADS`: without it, a library in each process starts a thread for
    # every core of the machine.
    return max(available_cpus() // workers, 1)


def _not_installed(extra: str) -> ConfigError:
    return ConfigError(
        f"the runner {extra!r} is not installed; "
        f"run: pip install 'themis-flows[{extra}]'"
    )
