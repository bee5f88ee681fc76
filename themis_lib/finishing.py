"""Work that no signal ends halfway."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future


def finish_first(work: Callable[[], None]) -> None:
    """Do work to its end, and raise only then what the handler of a signal raised.

    What follows a first signal must come to its end although a second one comes: people
    press Ctrl-C twice, and Prefect sends SIGTERM to what a terminal has interrupted. One
    more while it waits is raised at once, as the work may hang.
    """
    # Handlers raise in the main thread alone. They stay as they are: Prefect asks
    # whether its own is there before it cancels.
    if threading.current_thread() is not threading.main_thread():
        work()
        return
    begun = threading.Lock()
    done: Future[None] = Future()

    def do() -> None:
        if not begun.acquire(blocking=False):
            return
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            done.set_exception(error)
        else:
            done.set_result(None)

    run_in_context = contextvars.copy_context().run
    thread = threading.Thread(target=run_in_context, args=(do,), daemon=True)
    try:
        thread.start()
        done.exception()
    except BaseException:
        # Here, unless the thread has begun.
        do()
        done.exception()
        raise
    done.result()
