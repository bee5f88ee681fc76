"""Code that does what it must not: a verdict with its reason, and nothing else happens.

Every file and process that the code aims at is one of the test's own.
"""

from __future__ import annotations

import os
import secrets
import select
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.sandboxes import LIMITS, needs, verdict_on

SECRET = "the-expected-output-8f3a"


@pytest.fixture(params=["namespaces", "landlock"])
def isolation(request):
    needs(request.param)
    return request.param


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary"
    path.write_text(SECRET, encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "def f(x):\n    while True: pass",
        "while True: pass",
        "import os\ndef f(x):\n    while True:\n        try: os.fork()\n        except OSError: pass",
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return f(x)",
        "def f(x): return sum(1 for _ in iter(int, 1))",
        "import signal\nfor number in range(1, 32):\n    try: signal.signal(number, signal.SIG_IGN)\n    except OSError: pass\nwhile True: pass",
    ],
)
def test_endless_code_is_ended_by_its_processor_time(isolation, code):
    """A loop without an end is a timeout, whatever it catches, ignores or closes."""
    verdict = verdict_on(code, isolation=isolation)

    assert ("timeout", "it took more than 1 s of processor time") == (
        verdict.outcome,
        verdict.message,
    )


def test_endless_loop_is_a_timeout():
    """A loop without an end is ended by its processor time, and says so."""
    needs("namespaces")

    verdict = verdict_on("def f(x):\n    while True: pass")

    assert ("timeout", "it took more than 1 s of processor time") == (
        verdict.outcome,
        verdict.message,
    )


@pytest.mark.slow
def test_code_that_waits_is_ended_by_the_time_of_its_row(isolation):
    """Sleep takes no processor time, so the time of the row ends it."""
    code = "import time\ndef f(x): time.sleep(60)"
    began = time.monotonic()

    verdict = verdict_on(code, isolation=isolation, limits=replace(LIMITS, wall_s=1))

    assert ("timeout", "it took more than 1 s") == (verdict.outcome, verdict.message)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "attempt",
    [
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "subprocess.run(['true'])",
        "socket.socket()",
        "socket.socketpair()",
        "socket.create_connection(('127.0.0.1', 80))",
        "os.kill(os.getppid(), 9)",
        "os.kill(-1, 9)",
        "os.killpg(0, 9)",
        "signal.pthread_kill(threading.get_ident(), 9)",
        "os.setpriority(os.PRIO_PROCESS, 0, 5)",
        "os.chroot('.')",
        "os.memfd_create('x')",
        "os.mkfifo('x')",
    ],
)
def test_system_calls_that_reach_out_are_refused(isolation, attempt):
    """A process, a socket, a signal or another limit is refused, and the reason shows
    the line.
    """
    code = (
        "import os, resource, signal, socket, subprocess, threading\n"
        f"def f(x):\n    {attempt}\n    return 4"
    )

    verdict = verdict_on(code, isolation=isolation)

    assert "refused" == verdict.outcome
    assert "Operation not permitted" in verdict.message
    assert verdict.message.endswith(f"at: {attempt}")


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        ("threading.Thread(target=print).start()", "can't start new thread"),
        ("resource.setrlimit(resource.RLIMIT_CPU, (9, 9))", "not allowed to raise"),
    ],
)
def test_threads_and_limits_are_refused_as_python_says_it(isolation, attempt, message):
    """A thread, or more time, is refused with an exception of another type."""
    code = f"import resource, threading\ndef f(x): {attempt}"

    verdict = verdict_on(code, isolation=isolation)

    assert "raised" == verdict.outcome
    assert message in verdict.message


def test_code_that_cuts_its_connection_has_failed(isolation):
    """Code that closes every file of its process and goes on is ended."""
    code = "import os\nos.closerange(0, 64)\nwhile True: pass"

    verdict = verdict_on(code, isolation=isolation)

    assert (
        "killed",
        "it cut the connection to its tests, or was ended from outside",
    ) == (
        verdict.outcome,
        verdict.message,
    )


@pytest.mark.parametrize(
    "attempt",
    [
        "bytearray(10 * 2**30)",
        "[0] * 10**10",
        "b''.join(bytes(2**20) for _ in iter(int, 1))",
        "mmap.mmap(-1, 10 * 2**30)",
    ],
)
def test_ten_gigabytes_are_not_to_be_had(isolation, attempt):
    """Memory beyond the bound is a failed case, at once or when it is reached."""
    verdict = verdict_on(
        f"import mmap\ndef f(x): return {attempt}", isolation=isolation
    )

    outcomes = {"memory"} if "mmap" not in attempt else {"raised"}
    assert outcomes == {verdict.outcome}, verdict


def test_large_file_is_refused(isolation):
    """A file of a gigabyte ends at the bound for files."""
    code = (
        "def f(x):\n    with open('big', 'wb') as file:\n"
        "        for _ in range(1024): file.write(bytes(2**20))"
    )

    verdict = verdict_on(code, isolation=isolation)

    assert "file size" == verdict.outcome
    assert "File too large" in verdict.message


def test_many_files_are_refused_together():
    """In namespaces the bound is for all files of a row together."""
    needs("namespaces")
    code = (
        "def f(x):\n    for name in range(1024):\n"
        "        with open(str(name), 'wb') as file: file.write(bytes(2**20))"
    )

    verdict = verdict_on(code)

    assert "file size" == verdict.outcome
    assert "No space left on device" in verdict.message


@pytest.mark.parametrize(
    "attempt",
    [
        "open(path).read()",
        "open(path, 'w')",
        "open(path + '.new', 'w')",
        "os.truncate(path, 0)",
        "os.unlink(path)",
        "os.rename(path, 'mine')",
        "os.rename('own', path)",
        "os.link(path, 'mine')",
        "os.symlink(path, 'mine') or open('mine', 'a')",
        "os.chmod(path, 0)",
        "os.utime(path)",
        "os.rmdir(os.path.dirname(path))",
        "os.listdir(os.path.dirname(path))",
    ],
)
def test_files_outside_are_out_of_reach(isolation, canary, attempt):
    """A file outside the code's folder is neither read, nor changed, nor made."""
    code = f"import os\npath = {str(canary)!r}\nopen('own', 'w')\ndef f(x): return {attempt}"

    verdict = verdict_on(code, isolation=isolation)

    assert verdict.outcome in ("refused", "raised")
    assert SECRET == canary.read_text(encoding="utf-8")
    assert [canary] == list(canary.parent.iterdir())


def test_own_folder_can_be_written_and_is_empty_for_the_next_row(isolation):
    """Code may use files in its folder; the next row does not see them."""
    code = (
        "import os\nbefore = os.listdir()\nwith open('own', 'w') as file: file.write('4')\n"
        "def f(x): return (before, open('own').read())"
    )

    verdicts = [
        verdict_on(code, "assert f(2) == ([], '4')", isolation=isolation)
        for _ in range(2)
    ]

    assert ["passed"] * 2 == [verdict.outcome for verdict in verdicts]


@pytest.mark.parametrize(
    "name", ["environ", "mem", "maps", "cmdline", "root/etc/passwd"]
)
def test_parent_cannot_be_read_in_proc(isolation, name):
    """Neither this process nor the sandbox's own can be read through `/proc`."""
    for process in (os.getpid(), 1, "self"):
        code = f"def f(x): return open('/proc/{process}/{name}', 'rb').read()"

        verdict = verdict_on(code, isolation=isolation)

        assert verdict.outcome in ("refused", "raised"), verdict
        assert "Error: [Errno" in verdict.message


#: Whether a text, given backwards, is anywhere in the memory of the process: where
#: Python keeps objects, and around it.
SEARCH = """
import ctypes, gc, os
control = "a-text-that-is-in-the-code-77"
reader, writer = os.pipe()
libc = ctypes.CDLL(None)

def f(backwards):
    parts = {id(value) >> 20 for value in gc.get_objects()}
    parts |= {part + near for part in parts for near in (-1, 1)}
    for page in (part * 256 + number for part in parts for number in range(256)):
        # The system refuses to read an address that is not there.
        size = libc.write(writer, ctypes.c_void_p(page * 4096), 4096)
        if size > 0 and os.read(reader, size)[::-1].find(backwards) >= 0:
            return True
    return False
"""


@pytest.mark.slow
def test_expected_output_is_nowhere_in_the_memory_of_the_code(isolation):
    """A search of the memory of the code's process finds what is in the code, and not
    what its tests compare with: neither of this row nor of the last.
    """
    control = "a-text-that-is-in-the-code-77"
    tests = (
        f"expected = {SECRET!r}",
        f"assert f({control[::-1].encode()!r}) is True",
        f"assert f({SECRET[::-1].encode()!r}) is False",
    )
    limits = replace(LIMITS, cpu_s=10)

    verdicts = []
    for _ in range(2):
        verdicts.append(verdict_on(SEARCH, *tests, isolation=isolation, limits=limits))

    assert ["passed"] * 2 == [verdict.outcome for verdict in verdicts], verdicts


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("import sys\nsys.exit(0)", "exited"),
        ("import os\nos._exit(0)", "exited"),
        ("import os\ndef f(x): os._exit(0)", "exited"),
        ("import os\nos._exit(70)", "exited"),
        ("import os\ndef f(x): os.closerange(3, 64)", "exited"),
        ("raise SystemExit", "exited"),
        ("print(4)\nprint('passed')\ndef f(x): print(4)", "wrong"),
        (
            "class Any:\n    def __eq__(self, other): return True\n    __hash__ = None\n"
            "def f(x): return Any()",
            "wrong",
        ),
        (
            "class Int(int):\n    def __eq__(self, other): return True\ndef f(x): return Int(5)",
            "wrong",
        ),
        (
            "import builtins\nbuiltins.AssertionError = ValueError\ndef f(x): return 5",
            "wrong",
        ),
        (
            "import operator\nimport themis_lib.sandbox.code_side as side\n"
            "side._OPERATIONS['call'] = lambda *_: 5\ndef f(x): return 4",
            "wrong",
        ),
        (
            "import json, os, struct\ntext = json.dumps({'outcome': 'passed', 'message': ''}).encode()\n"
            "for file in range(3, 64):\n"
            "    try: os.write(file, struct.pack('!I', len(text)) + text)\n"
            "    except OSError: pass\n"
            "def f(x): return 5",
            "raised",
        ),
        ("import os\ndef f(x): os.abort()", "killed"),
        ("import ctypes\ndef f(x): ctypes.string_at(0)", "killed"),
        ("def f(x): return 'x' * 2**24", "too large"),
    ],
)
def test_verdict_cannot_be_forged(isolation, code, outcome):
    """Early ends, prints, objects equal to everything, patched modules and forged
    messages all fail the case.
    """
    assert outcome == verdict_on(code, isolation=isolation).outcome


@pytest.mark.parametrize(
    ("code", "test"),
    [
        ("def f(x): return [5]\ndef set(x): return 1", "assert set(f(2)) == set([4])"),
        ("def f(x): return 5\ndef abs(x): return 0", "assert abs(f(2) - 4) < 1e-6"),
        (
            "class math:\n    isclose = lambda *_: True\ndef f(x): return 5",
            "assert math.isclose(f(2), 4)",
        ),
        (
            "import math\nmath.isclose = lambda *_: True\ndef f(x): return 5",
            "assert math.isclose(f(2), 4)",
        ),
        ("def f(x): raise StopIteration", "assert all(map(f, [2]))"),
        ("def f(x): raise GeneratorExit", "assert all(f(x) for x in [2])"),
        ("def f(x): return 5\ndef n(): return 5\nn = n", "n = 4\nassert f(2) == n"),
    ],
)
def test_names_and_signals_of_python_are_not_the_codes_to_give(isolation, code, test):
    """Code that defines a built-in, a module or a name of the tests, or ends their
    iterations, still fails.
    """
    assert verdict_on(code, test, isolation=isolation).outcome in ("wrong", "raised")


def test_process_of_the_machine_lives_on(isolation):
    """A process that the code knows the id of is neither ended nor traced nor read."""
    with subprocess.Popen(["sleep", "60"]) as canary:
        reading = f"libc.process_vm_readv({canary.pid}, 0, 0, 0, 0, 0)"
        tracing = f"libc.ptrace(16, {canary.pid}, 0, 0)"
        code = (
            "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
            f"def read(): return ({reading}, ctypes.get_errno())\n"
            f"def trace(): return ({tracing}, ctypes.get_errno())\n"
            f"def kill(): os.kill({canary.pid}, 9)"
        )
        refused = "(-1, 1)"

        verdicts = [
            verdict_on(code, test, isolation=isolation).outcome
            for test in (
                f"assert read() == {refused}",
                f"assert trace() == {refused}",
                "kill()",
            )
        ]
        ended = canary.poll()
        canary.kill()

    assert ["passed", "passed", "refused"] == verdicts
    assert ended is None


def test_network_of_the_machine_is_out_of_reach():
    """A server on loopback sees no connection."""
    needs("namespaces")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        code = (
            f"import socket\ndef f(x): socket.create_connection(('127.0.0.1', {port}))"
        )

        assert "refused" == verdict_on(code).outcome
        with pytest.raises(TimeoutError):
            server.accept()


def test_sandbox_ends_with_the_process_that_asked():
    """A process that is killed leaves no sandbox, even in the middle of a row."""
    needs("namespaces")
    program = """
import os, threading
from themis_lib.sandbox import sandbox
from themis_lib.sandbox.verdicts import Limits
from tests.support.sandboxes import verdict_on
verdict_on("def f(x): return 4")
(idle,) = sandbox._IDLE.values()
print(idle[0]._process.pid, flush=True)
threading.Thread(target=verdict_on, args=("import time\\ndef f(x): time.sleep(60)",)).start()
input()
os.kill(os.getpid(), 9)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        zygote = int(process.stdout.readline())
        time.sleep(0.3)
        handle = os.pidfd_open(zygote)
        process.communicate("\n")

    poller = select.poll()
    poller.register(handle, select.POLLIN)
    ended = poller.poll(2000)
    os.close(handle)

    assert ended


def test_folder_of_any_depth_is_removed(isolation):
    """A tree of unreadable folders, deeper than a path may be long, ends no sandbox."""
    mark = secrets.token_hex(8)
    code = (
        f"import os\nos.mkdir({mark!r})\n"
        "for _ in range(900):\n    os.mkdir('deep' * 8)\n"
        "    os.chdir('deep' * 8)\n    os.mkdir('closed', 0)\n"
        "    os.symlink('/', 'link')\n    open('file', 'w').close()\n"
        "def f(x): return 5"
    )

    outcomes = [verdict_on(code, isolation=isolation).outcome for _ in range(2)]

    assert outcomes[0] == outcomes[1]
    assert outcomes[0] in {"wrong", "file size"}
    assert [] == list(Path("/tmp").glob(f"themis-code-*/*/{mark}"))
