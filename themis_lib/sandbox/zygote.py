"""The process that makes a sandbox, and forks it for each row.

It enters the namespaces once, then answers one request after another on a socket: it
starts the two processes of a row, ends them when their time is up, and says how they
ended. It never reads a row: what it knows, the code could find in the memory that it
is forked with. Imports nothing but the standard library.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import resource
import select
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from themis_lib.sandbox import code_side, namespaces, tests_side
from themis_lib.sandbox.landlock import forbid_files
from themis_lib.sandbox.system_calls import forbid_system_calls

#: Modules that need a shared library, which is out of reach in the sandbox, or that
#: much code imports.
_PRELOADED = """
array bisect bz2 collections copy dataclasses datetime decimal enum fractions
functools hashlib heapq inspect itertools lzma math operator queue random re
statistics string textwrap typing unicodedata zlib
"""
_MAX_OPEN_FILES = 64
#: Below are standard input, output and error, which are null.
_LOWEST_FILE = 3
#: The exit codes of a process whose sandbox cannot be closed, and of one that has no
#: memory left to say so.
_NOT_CLOSED = 70
_NO_MEMORY = 71


def main() -> None:
    """Make the sandbox that the arguments describe, and serve requests on it."""
    control = _take_control(int(sys.argv[2]))
    isolated = sys.argv[3] == "namespaces"
    for name in _PRELOADED.split():
        _import_if_there(name)
    # A number of any length can be sent as text.
    sys.set_int_max_str_digits(0)
    try:
        if isolated:
            child = namespaces.enter_namespaces()
            if child:
                os.waitpid(child, 0)
                return
            namespaces.enter_new_root()
        problem = _find_hole(isolated=isolated)
    except OSError as error:
        problem = f"namespaces cannot be entered ({error.strerror or error})"
    except NotImplementedError as error:
        problem = f"not for {error}"
    control.send(json.dumps({"problem": problem}).encode())
    if problem is None:
        gc.collect()
        # What is frozen stays shared with the processes that are forked.
        gc.freeze()
        _serve(control, isolated=isolated)


def _take_control(file: int) -> socket.socket:
    """Return the socket to the process that asks, as the only file but the null ones."""
    if file != _LOWEST_FILE:
        os.dup2(file, _LOWEST_FILE, inheritable=False)
        os.close(file)
    # Every file is below the limit from here on, so that each can be closed.
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))
    return socket.socket(fileno=_LOWEST_FILE)


def _import_if_there(name: str) -> None:
    try:
        importlib.import_module(name)
    # A Python may be built without some of them.
    except ImportError:
        return


def _serve(
    control: socket.socket,
    *,
    isolated: bool,
) -> None:
    while True:
        request, files, _, _ = socket.recv_fds(control, 4096, 1)
        # The process that asks has ended.
        if not request:
            return
        limits = json.loads(request)
        with _folder(limits["file_mb"], isolated=isolated) as folder:
            ends = _run_row(control, files[0], limits, folder)
        control.send(json.dumps(ends).encode())


@contextmanager
def _folder(
    size_mb: int,
    *,
    isolated: bool,
) -> Iterator[Path]:
    """Make an empty folder for a row, and remove it with everything in it."""
    if not isolated:
        root = Path(tempfile.mkdtemp(prefix="themis-code-"))
        folder = root / "code"
        folder.mkdir()
        try:
            yield folder
        finally:
            _remove(folder, root)
        return
    namespaces.mount_writable(size_mb)
    try:
        yield namespaces.WRITABLE
    finally:
        namespaces.unmount_writable()


def _remove(
    folder: Path,
    root: Path,
) -> None:
    """Remove a folder that code wrote into, however deep, and the one around it.

    Not `shutil.rmtree`, which needs an open file and a call of itself for each level:
    code could end the sandbox with it.
    """
    waiting = [folder]
    moved = 0
    while waiting:
        place = waiting.pop()
        for entry in list(place.iterdir()):
            if entry.is_symlink() or not entry.is_dir():
                entry.unlink()
                continue
            # It may be unreadable, and below it paths may be too long.
            entry.chmod(stat.S_IRWXU)
            moved += 1
            waiting.append(entry.rename(root / str(moved)))
        place.rmdir()
    root.rmdir()


def _run_row(
    control: socket.socket,
    row_file: int,
    limits: dict[str, int],
    folder: Path,
) -> dict[str, Any]:
    """Run a row's two processes. Return how each ended, and whether time was up."""
    tests_end, code_end = socket.socketpair()
    tests_file, code_file = tests_end.fileno(), code_end.fileno()

    def run_code() -> None:
        code_side.serve(code_file)

    def run_tests() -> None:
        tests_side.judge(row_file, tests_file)

    code = _fork({code_file}, run_code, limits, folder)
    tests = _fork({row_file, tests_file}, run_tests, limits, folder)
    tests_end.close()
    code_end.close()
    os.close(row_file)
    timed_out = not _wait(tests, control, limits["wall_s"])
    ends: dict[str, Any] = {"timed_out": timed_out}
    for name, process in (("tests", tests), ("code", code)):
        # Without its tests, the code's process finds that there are no more requests.
        ends[name] = _kill(process, grace_s=0.0 if timed_out else 0.2)
    return ends


def _wait(
    process: int,
    control: socket.socket,
    seconds: float,
) -> bool:
    """Return whether a process ended in time, and the one that asked is still there."""
    handle = os.pidfd_open(process)
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    # Readable only at its end: requests wait for the answer to the last.
    poller.register(control, select.POLLIN)
    try:
        events = poller.poll(seconds * 1000)
    finally:
        os.close(handle)
    return any(file == handle for file, _ in events)


def _kill(
    process: int,
    *,
    grace_s: float,
) -> tuple[int, float]:
    """End a process.

    Return its exit code, or below 0 the signal that ended it, and the processor time
    that it took, in seconds.
    """
    handle = os.pidfd_open(process)
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    # One that has ended by itself, or is about to, says how.
    poller.poll(grace_s * 1000)
    os.close(handle)
    os.kill(process, signal.SIGKILL)
    _, status, usage = os.wait4(process, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime


def _fork(
    files: set[int],
    work: Callable[[], None],
    limits: dict[str, int],
    folder: Path,
) -> int:
    """Return the id of a process that closes its sandbox, does the work, and ends."""
    process = os.fork()
    if process:
        return process
    # Whatever happens, this process never returns to the loop above.
    try:
        _close_sandbox(files, limits, folder)
        work()
    except OSError:
        os._exit(_NOT_CLOSED)
    except MemoryError:
        os._exit(_NO_MEMORY)
    finally:
        os._exit(0)
    return 0


def _close_sandbox(
    files: set[int],
    limits: dict[str, int],
    folder: Path,
) -> None:
    """Give up all rights, and every file but the three that are null and those given."""
    lowest = _LOWEST_FILE
    for file in sorted(files):
        os.closerange(lowest, file)
        lowest = file + 1
    os.closerange(lowest, _MAX_OPEN_FILES)
    os.chdir(folder)
    # In namespaces there are no other files.
    if folder != namespaces.WRITABLE:
        forbid_files(folder)
    megabyte = 2**20
    for name, limit in (
        (resource.RLIMIT_AS, limits["memory_mb"] * megabyte),
        (resource.RLIMIT_CPU, limits["cpu_s"]),
        (resource.RLIMIT_FSIZE, limits["file_mb"] * megabyte),
        (resource.RLIMIT_CORE, 0),
    ):
        # The hard limit too: the code cannot raise it, and no signal asks it to stop.
        resource.setrlimit(name, (limit, limit))
    namespaces.drop_capabilities()
    # The same draws for every row that does not seed.
    random.seed(0)
    forbid_system_calls()


def _find_hole(*, isolated: bool) -> str | None:
    """Return what a closed sandbox does not hold, `None` if it holds everything."""
    limits = {"memory_mb": 512, "cpu_s": 2, "file_mb": 1}
    reader, writer = os.pipe()

    def probe() -> None:
        os.write(writer, " and ".join(_holes()).encode() or b"-")

    with _folder(limits["file_mb"], isolated=isolated) as folder:
        process = _fork({writer}, probe, limits, folder)
        os.close(writer)
        found = os.read(reader, 4096).decode()
        os.close(reader)
        os.waitpid(process, 0)
    if not found:
        return "a process cannot give up its rights (Landlock, seccomp)"
    return None if found == "-" else f"the sandbox does not prevent {found}"


def _holes() -> list[str]:
    holes = []
    for name, attempt in (
        ("new processes", os.fork),
        ("sockets", socket.socket),
        ("signals", lambda: os.kill(os.getppid(), 0)),
        ("access to files", Path("/proc/1/status").read_text),
        ("new files", Path("/themis-code").mkdir),
    ):
        try:
            attempt()
        except OSError:
            continue
        holes.append(name)
    return holes
