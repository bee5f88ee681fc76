"""Notebooks: a run inside the event loop that a notebook already has, and its progress."""

from __future__ import annotations

import asyncio
import contextlib
import html
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from themis_lib.errors import ThemisError
from themis_lib.experiment.event_loop import run_in_new_loop
from themis_lib.stages.progress import Progress

T = TypeVar("T")

_INTERVAL_S = 0.5


def run_to_end(
    work: Callable[[], Awaitable[T]],
    *,
    instead: str,
) -> T:
    """Return what asynchronous work returns, from code that is not asynchronous.

    In a notebook, whose cells run inside an event loop, the work runs in a thread of
    its own; interrupting the cell cancels it. Raise `ThemisError`, which names the call
    to await (`instead`), inside any other running loop: it would stand still.
    """
    if not _is_loop_running():
        return run_in_new_loop(lambda: _awaited(work))
    if _notebook_shell() is None:
        raise ThemisError(f"an event loop is running here; use `{instead}`")
    # Here, since only notebooks need it.
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal() as portal:
        return portal.call(work)


@contextlib.asynccontextmanager
async def progress_shown(progress: Progress) -> AsyncIterator[None]:
    """Show a bar for each stage below the cell while the block runs.

    Nothing is shown outside notebooks.
    """
    if _notebook_shell() is None:
        yield
        return
    from IPython.display import HTML, display

    handle = display(HTML(progress_html(progress)), display_id=True)

    async def keep_updating() -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            handle.update(HTML(progress_html(progress)))

    updating = asyncio.ensure_future(keep_updating())
    try:
        yield
    finally:
        updating.cancel()
        handle.update(HTML(progress_html(progress)))


def progress_html(progress: Progress) -> str:
    """Return a bar for each stage, with its rows, as HTML."""
    lines = []
    for label, item in progress.stages().items():
        done = item.reached
        counts = (
            f"{done:,}/{item.total:,}, {item.cached:,} cached, {item.failed:,} failed"
        )
        bar = f'<progress value="{done}" max="{max(item.total, 1)}"></progress>'
        lines.append(f"<div>{bar} {html.escape(label)} {counts}</div>")
    return "\n".join(lines)


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _notebook_shell() -> Any:
    """Return IPython's shell where it runs in a kernel; `None` elsewhere."""
    # Never imported for this: only a notebook has it already.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if hasattr(shell, "kernel") else None


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
