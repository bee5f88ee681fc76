"""The build of llama-cpp-python, imported only after a subprocess has survived it.

A build for another processor does not fail, it kills: a plain build turns on whatever
the processor reports, and on some virtual machines the first decode is a segmentation
fault. So a subprocess decodes with the bundled model first, once per build and
processor.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import logging
import os
import platform
import re
import sys
from collections import deque
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from themis_lib.engine.gguf_file import check_gguf
from themis_lib.engine.isolated import IsolatedError, run_isolated
from themis_lib.engine.places import recall, remember
from themis_lib.engine.tiny import TINY
from themis_lib.errors import ModelError
from themis_lib.identity.digests import digest

#: Portable code: llama.cpp built for the processor at hand crashes on some, and
#: calculates differently on others. Its code for pictures and sound is not used.
PORTABLE = 'CMAKE_ARGS="-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF"'
INSTALL = f"{PORTABLE} pip install 'themis-flows[local]'"

PROBE_TIMEOUT_S = 120.0
#: Levels of llama.cpp's log (ggml.h): an error, and a continuation of the line before.
_ERROR, _CONTINUES = 4, 5
_LOG_LINES = 10


class _BuildState:
    """The findings about the builds of this process, and the log of the loaded one."""

    def __init__(self) -> None:
        # By build name. Never kept on disk: a failure may come from this process alone.
        self.failures: dict[str, str] = {}
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        # llama.cpp calls it for as long as the process lives; ctypes keeps no reference.
        self.log_callback: Any = None


#: Process-wide, because llama.cpp is one library in a process with one log callback.
_STATE = _BuildState()


def load_llama_cpp() -> ModuleType:
    """Return the module `llama_cpp` of a build that works here, with its log silenced.

    Raises `ModelError`, with the command to run, if it is not installed or its build
    crashes on this processor.
    """
    loaded = sys.modules.get("llama_cpp")
    # A module that the caller imported has no callback of ours: it is probed like any.
    if loaded is not None and _STATE.log_callback is not None:
        return loaded
    check_build()
    module = importlib.import_module("llama_cpp")
    if _STATE.log_callback is None:
        _take_over_log(module)
    return module


def build_version() -> str:
    """Return the version of llama-cpp-python, such as `0.3.36`.

    Raises like `load_llama_cpp`.
    """
    return str(load_llama_cpp().__version__)


def clear_log() -> None:
    """Forget the errors that llama.cpp has reported."""
    _STATE.log.clear()


def last_log() -> str:
    """Return the last ten lines of errors from llama.cpp since `clear_log`.

    Empty if there were none.
    """
    return "".join(_STATE.log).strip()


def shared_libraries() -> list[Path]:
    """Return the libraries of the installed build, sorted.

    Raises `ModelError` if it is not installed.
    """
    package = Path(str(_find_package().origin)).parent
    # llama-cpp-python itself loads its libraries from here, where the variable is set.
    folder = Path(os.environ.get("LLAMA_CPP_LIB_PATH") or package / "lib")
    libraries: list[Path] = []
    for pattern in ("*.so*", "*.dylib", "*.dll"):
        libraries.extend(folder.glob(pattern))
    return sorted(libraries)


def check_build(*, timeout_s: float = PROBE_TIMEOUT_S) -> None:
    """Probe the build in a subprocess, unless it is known to work on this machine.

    The probe decodes a few tokens with the bundled model. Raises `ModelError` if the
    build is missing, crashes, takes longer than `timeout_s` seconds or fails otherwise.
    """
    name = build_name()
    if name not in _STATE.failures:
        if recall("build-works", name) is not None:
            return
        # A damaged model must not be reported as a broken build.
        check_gguf(TINY)
        problem = _probe_build(timeout_s)
        if not problem:
            remember(
                "build-works",
                name,
                {"version": _package_version()},
            )
            return
        _STATE.failures[name] = problem
    raise ModelError(_STATE.failures[name])


def build_name() -> str:
    """Return what tells builds apart on this machine.

    It changes with their files, the processor and the kernel. Raises `ModelError` if
    llama-cpp-python is not installed.
    """
    stamps: list[list[str | int]] = []
    # Size and time instead of content: reading the libraries would slow every start.
    for file in (Path(str(_find_package().origin)), *shared_libraries()):
        found = file.stat()
        stamps.append([str(file), found.st_size, found.st_mtime_ns])
    # What the processor reports decides which code a build runs.
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        features = platform.processor()  # elsewhere than on Linux; may start a process
    else:
        line = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
        features = line[1] if line else ""
    processor = f"{platform.machine()} {features}"
    return digest("build", [stamps, processor, platform.release()])


def _find_package() -> ModuleSpec:
    try:
        spec = importlib.util.find_spec("llama_cpp")
    # Another module in its place in `sys.modules` has no spec; `None` there blocks it.
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        raise ModelError(f"llama-cpp-python is not installed: {INSTALL}")
    return spec


def _package_version() -> str:
    # From the metadata: importing the package to ask it may crash.
    try:
        return importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        return ""


#: Decodes 33, 1 and 8 tokens, because llama.cpp has other kernels for other numbers.
_PROBE = """
import llama_cpp
params = llama_cpp.llama_model_default_params()
params.n_gpu_layers = 0
model = llama_cpp.llama_model_load_from_file({model}, params)
assert model, "the bundled model was not loaded"
params = llama_cpp.llama_context_default_params()
params.n_ctx, params.n_batch, params.n_ubatch = 128, 64, 64
params.n_threads, params.n_threads_batch = 2, 2
context = llama_cpp.llama_init_from_model(model, params)
assert context, "no context was made"
for count in (33, 1, 8, 1):
    tokens = (llama_cpp.llama_token * count)(*range(1, count + 1))
    batch = llama_cpp.llama_batch_get_one(tokens, count)
    status = llama_cpp.llama_decode(context, batch)
    assert status == 0, f"decoding {{count}} tokens ended with status {{status}}"
    logits = llama_cpp.llama_get_logits(context)
    assert all(abs(logits[token]) < 1e30 for token in range(16)), "the numbers are wrong"
print("works")
"""


def _probe_build(timeout_s: float) -> str:
    """Return why the build cannot be used, or the empty text."""
    # Python embedded in another program: there is no interpreter to start.
    if not sys.executable:
        return ""
    program = _PROBE.format(model=repr(os.fsencode(TINY)))
    try:
        printed = run_isolated(program, timeout_s=timeout_s)
    except IsolatedError as error:
        if error.crash:
            problem = f"crashes on this processor ({error.crash})"
        else:
            problem = f"does not work ({error})"
    else:
        if "works" in printed:
            return ""
        problem = "does not work"
    version = _package_version()
    package = f"llama-cpp-python=={version}" if version else "llama-cpp-python"
    return (
        f"this build of llama-cpp-python {problem}; rebuild it portably: "
        f"{PORTABLE} pip install --force-reinstall --no-cache-dir "
        f"--no-binary llama-cpp-python {package}"
    )


def _take_over_log(module: ModuleType) -> None:
    """Keep llama.cpp's errors instead of printing them.

    A callback that someone else has set stays.
    """
    own = importlib.import_module("llama_cpp._logger")
    logger: logging.Logger = own.logger
    last_level = 0

    def keep_errors(
        level: int,
        text: bytes | None,
        user_data: object,
    ) -> None:
        nonlocal last_level
        if level != _CONTINUES:
            last_level = level
        if last_level == _ERROR:
            _STATE.log.append((text or b"").decode("utf-8", "replace"))
        # The caller's wish: `Llama(verbose=…)` sets this level, and nothing else does.
        if logger.level != logging.NOTSET:
            own.llama_log_callback(
                level,
                text,
                user_data,
            )

    callback = module.llama_log_callback(keep_errors)
    _STATE.log_callback = callback
    current = module.llama_log_callback()
    user_data = ctypes.c_void_p()
    module.llama_log_get(ctypes.byref(current), ctypes.byref(user_data))
    # Function pointers compare by identity of their Python objects: compare addresses.
    current_address = ctypes.cast(current, ctypes.c_void_p).value
    own_address = ctypes.cast(own.llama_log_callback, ctypes.c_void_p).value
    if current_address == own_address:
        module.llama_log_set(callback, ctypes.c_void_p(0))
