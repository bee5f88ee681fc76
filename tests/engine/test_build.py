"""A build of llama-cpp-python is probed before it is used, and silenced afterwards."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """
import ctypes, logging, os, random, sys, warnings
from pathlib import Path
from themis_lib.engine import build
"""
#: Says what loading the build ends with, twice.
LOADING = """
for _ in range(2):
    try: print(build.load_llama_cpp().__name__)
    except ValueError as error: print(type(error).__name__, error)
"""
CRASH = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"
#: As much of llama_cpp as a probe uses.
WORKING = """
import ctypes
class Params: pass
llama_model_default_params = llama_context_default_params = Params
llama_token = ctypes.c_int32
llama_model_load_from_file = llama_init_from_model = llama_batch_get_one = lambda *_: True
llama_decode = lambda *_: 0
llama_get_logits = lambda *_: [0.0] * 16
"""


def python(
    program: str, kept: Path, *, first_on_path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    path = [str(first_on_path)] if first_on_path else []
    environment = {
        **os.environ,
        "THEMIS_CACHE_DIR": str(kept),
        "PYTHONPATH": os.pathsep.join([*path, os.environ.get("PYTHONPATH", "")]),
    }
    return subprocess.run(
        [sys.executable, "-c", HEAD + program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def fake_build(folder: Path, source: str) -> Path:
    """A package `llama_cpp` that shadows the installed one."""
    (folder / "llama_cpp").mkdir(parents=True)
    (folder / "llama_cpp" / "__init__.py").write_text(source)
    return folder


def test_a_crashing_build_is_one_clear_error(tmp_path: Path) -> None:
    """The error names the signal and the portable rebuild; this process goes on."""
    fake = fake_build(tmp_path / "fake", CRASH)
    done = python(LOADING, tmp_path / "kept", first_on_path=fake)
    first, second = done.stdout.splitlines()

    assert first.startswith(
        "ModelError this build of llama-cpp-python crashes on this processor "
        "(SIGSEGV); rebuild"
    )
    assert (
        'CMAKE_ARGS="-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF" pip install --force-reinstall --no-cache-dir'
        in first
    )
    assert first == second
    assert 0 == done.returncode


def test_a_build_is_probed_until_it_works(tmp_path: Path) -> None:
    """A failure counts for its process, success for all; another file is probed."""
    probes = tmp_path / "probes"
    count = f"open({str(probes)!r}, 'a').write('x')\n"
    fake = fake_build(tmp_path / "fake", "")
    program = f"""
for source in ({count + CRASH!r}, {count + WORKING!r}, {count + WORKING + "# rebuilt"!r}):
    Path({str(fake / "llama_cpp" / "__init__.py")!r}).write_text(source)
    for _ in range(3):
        try: build.check_build()
        except ValueError: pass
    print(len(Path({str(probes)!r}).read_text()), Path({str(tmp_path / "kept")!r}).exists())
"""
    in_one_process = python(
        program, tmp_path / "kept", first_on_path=fake
    ).stdout.splitlines()
    python("build.check_build()", tmp_path / "kept", first_on_path=fake)

    assert ["1 False", "2 True", "3 True"] == in_one_process
    assert "xxx" == probes.read_text()


def test_a_build_that_fails_is_one_clear_error(tmp_path: Path) -> None:
    """A crash, missing libraries, a refused batch, wrong numbers: one line each."""
    fake = fake_build(tmp_path / "fake", "")
    sources = {
        "crashes on this processor (SIGILL)": WORKING
        + "import os, signal\nllama_decode = lambda *_: os.kill(os.getpid(), signal.SIGILL)",
        "does not work (OSError: libgomp.so.1: cannot open)": (
            "raise OSError('libgomp.so.1: cannot open')"
        ),
        "ended with status 1": WORKING + "llama_decode = lambda *_: 1",
        "the numbers are wrong": WORKING
        + "llama_get_logits = lambda *_: [float('nan')] * 16",
        "does not work (exit code 3)": "import os\nos._exit(3)",
    }
    program = f"""
for source in {list(sources.values())!r}:
    Path({str(fake / "llama_cpp" / "__init__.py")!r}).write_text(source)
    try: build.check_build()
    except ValueError as error: print(error)
"""
    done = python(program, tmp_path / "kept", first_on_path=fake)

    assert len(sources) == len(done.stdout.splitlines())
    assert all(
        said in line
        for said, line in zip(sources, done.stdout.splitlines(), strict=True)
    )
    assert "" == done.stderr


def test_a_build_that_hangs_is_one_clear_error(tmp_path: Path) -> None:
    """A probe ends after its time."""
    fake = fake_build(tmp_path / "fake", "import time\ntime.sleep(60)")
    program = (
        "try: build.check_build(timeout_s=0.5)\nexcept ValueError as error: "
        "print(error)"
    )
    done = python(program, tmp_path / "kept", first_on_path=fake)

    assert "it was not done after 0.5 s); rebuild it portably" in done.stdout


def test_no_build_is_one_clear_error(tmp_path: Path) -> None:
    """Without llama-cpp-python the error is the command that installs it portably."""
    done = python("sys.modules['llama_cpp'] = None" + LOADING, tmp_path / "kept")

    expected = (
        'llama-cpp-python is not installed: CMAKE_ARGS="-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF" '
        "pip install 'themis-flows[local]'"
    )
    assert 2 * [f"ModelError {expected}"] == done.stdout.splitlines()


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that remembers that the installed build works."""
    if importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("llama-cpp-python is not installed")
    kept = tmp_path_factory.mktemp("probed")
    assert "" == python("build.check_build()", kept).stderr
    return kept


def test_the_installed_build_loads_and_leaves_the_process_as_it_was(
    tmp_path: Path, probed: Path
) -> None:
    """The real build changes nothing of the caller's, and prints nothing.

    Unchanged are the environment, the random state, the working directory, the warning
    filters, and every logger's level and handlers. A file that cannot be loaded leaves
    llama.cpp's reason in `last_log`.
    """
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    program = f"""
def state():
    loggers = [logging.root, *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    logging_state = {{}}
    for one in loggers:
        found = one.level, list(one.handlers), one.disabled, one.propagate
        logging_state[one.name] = found
    filters = list(warnings.filters)
    return dict(os.environ), random.getstate(), os.getcwd(), filters, logging_state
logging.basicConfig(level=logging.DEBUG)
import numpy, diskcache  # what llama_cpp imports beside itself
before = state()
llama_cpp = build.load_llama_cpp()
assert llama_cpp is build.load_llama_cpp() and build.build_version() == llama_cpp.__version__
params = llama_cpp.llama_model_default_params()
assert llama_cpp.llama_model_load_from_file(os.fsencode(build.TINY), params)
assert not build.last_log()
assert not llama_cpp.llama_model_load_from_file({os.fsencode(tmp_path / "broken.gguf")!r}, params)
after = state()
assert before[:4] == after[:4]
assert {{name: after[4][name] for name in before[4]}} == before[4]
print(build.last_log())
"""
    done = python(program, probed)

    assert "failed to load model" in done.stdout
    assert (0, "") == (done.returncode, done.stderr)


def test_a_callers_log_callback_stays(probed: Path) -> None:
    """A callback that someone set before keeps getting the log."""
    program = """
import llama_cpp
heard = []
mine = llama_cpp.llama_log_callback(lambda level, text, data: heard.append(text))
llama_cpp.llama_log_set(mine, ctypes.c_void_p(0))
build.load_llama_cpp()
llama_cpp.llama_model_load_from_file(b"missing.gguf", llama_cpp.llama_model_default_params())
print(len(heard) > 0, repr(build.last_log()))
"""
    done = python(program, probed)

    assert ("True ''\n", "") == (done.stdout, done.stderr)


def test_verbosity_that_a_caller_chose_is_heeded(probed: Path) -> None:
    """Where llama_cpp's own logger was given a level, its log goes where it went."""
    program = """
import llama_cpp._logger
llama_cpp._logger.set_verbose(True)
build.load_llama_cpp()
llama_cpp.llama_model_load_from_file(b"missing.gguf", llama_cpp.llama_model_default_params())
print(bool(build.last_log()))
"""
    done = python(program, probed)

    assert "True\n" == done.stdout
    assert "missing.gguf" in done.stderr
