"""The build of llama-cpp-python: imported only after a probe in a process of its own
has survived it.

A build for another processor does not fail, it kills: a plain one turns on whatever the
processor reports, and on some virtual machines the first decode is a segmentation
fault. So the bundled model is decoded in a subprocess first, once per build and
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
#: calculates differently on others.
PORTABLE = 'CMAKE_ARGS="-DGGML_NATIVE=OFF"'
INSTALL = f"{PORTABLE} pip install 'themis-flows[local]'"

PROBE_TIMEOUT_S = 120.0
#: Levels of llama.cpp's log (ggml.h): an error, and what continues the line before.
_ERROR, _CONTINUES = 4, 5

#: What kept a build from being used, by its name: found out once per process, never
#: kept on disk.
_FAILURES: dict[str, str] = {}
_LOG: deque[str] = deque(maxlen=10)
_CALLBACKS: list[Any] = []


def load_llama_cpp() -> ModuleType:
    """The module `llama_cpp`, of a build that is known to work here, its log silenced.

    Raises `ModelError`, with the command to run, if it is not installed or its build
    crashes on this processor.
    """
    loaded = sys.modules.get("llama_cpp")
    if loaded is not None and _CALLBACKS:
        return loaded
    check_build()
    module = importlib.import_module("llama_cpp")
    _silence_log(module)
    return module


def build_version() -> str:
    """The version of llama-cpp-python, such as `0.3.36`; raises like `load_llama_cpp`."""
    return str(load_llama_cpp().__version__)


def clear_log() -> None:
    """Forget the errors that llama.cpp has reported."""
    _LOG.clear()


def last_log() -> str:
    """The errors that llama.cpp reported since `clear_log`, the last ten lines; empty
    if there were none.
    """
    return "".join(_LOG).strip()


def shared_libraries() -> list[Path]:
    """The libraries of the installed build, sorted; raises `ModelError` if it is not
    installed.
    """
    package = Path(str(_module_spec().origin)).parent
    folder = Path(os.environ.get("LLAMA_CPP_LIB_PATH") or package / "lib")
    return sorted(
        file
        for pattern in ("*.so*", "*.dylib", "*.dll")
        for file in folder.glob(pattern)
    )


def check_build(*, timeout_s: float = PROBE_TIMEOUT_S) -> None:
    """Decode a few tokens with the bundled model in a subprocess, unless this build was
    seen to survive that here.

    Raises `ModelError` if the build is missing, crashes, takes longer than `timeout_s`
    seconds or fails otherwise.
    """
    name = build_name()
    if name not in _FAILURES:
        if recall("build-works", name) is not None:
            return
        check_gguf(TINY)
        reason = _probe_build(timeout_s)
        if not reason:
            remember("build-works", name, {"version": _installed_version()})
            return
        _FAILURES[name] = reason
    raise ModelError(_FAILURES[name])


def _module_spec() -> ModuleSpec:
    try:
        spec = importlib.util.find_spec("llama_cpp")
    except (
        ImportError,
        ValueError,
    ):  # a module that someone put in its place, or blocked
        spec = None
    if spec is None or spec.origin is None:
        raise ModelError(f"llama-cpp-python is not installed: {INSTALL}")
    return spec


def _installed_version() -> str:
    try:
        return importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        return ""


def build_name() -> str:
    """What tells builds apart on this machine: changes with their files, the processor
    and the kernel.

    Raises `ModelError` if llama-cpp-python is not installed.
    """
    files = [
        (str(file), file.stat())
        for file in (Path(str(_module_spec().origin)), *shared_libraries())
    ]
    stamps = [[path, found.st_size, found.st_mtime_ns] for path, found in files]
    return digest("build", [stamps, _processor_name(), platform.release()])


def _processor_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(
            encoding="utf-8",
            errors="replace",
        )
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    return f"{platform.machine()} {flags[1] if flags else ''}"


_PROBE = """
import llama_cpp
params = llama_cpp.llama_model_default_params()
params.n_gpu_layers = 0
model = llama_cpp.llama_model_load_from_file({model}, params)
assert model, "the bundled model was not loaded"
params = llama_cpp.llama_context_default_params()
params.n_ctx, params.n_batch, params.n_ubatch, params.n_threads, params.n_threads_batch = 128, 64, 64, 2, 2
context = llama_cpp.llama_init_from_model(model, params)
assert context, "no context was made"
for count in (33, 1, 8, 1):
    tokens = (llama_cpp.llama_token * count)(*range(1, count + 1))
    status = llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, count))
    assert status == 0, f"decoding {{count}} tokens ended with status {{status}}"
    logits = llama_cpp.llama_get_logits(context)
    assert all(abs(logits[token]) < 1e30 for token in range(16)), "the numbers are wrong"
print("works")
"""


def _probe_build(timeout_s: float) -> str:
    """Why the build cannot be used, or the empty text."""
    if not sys.executable:  # Python within another program: there is nothing to start
        return ""
    try:
        said = run_isolated(
            _PROBE.format(model=repr(os.fsencode(TINY))), timeout_s=timeout_s
        )
    except IsolatedError as error:
        if error.crash:
            return f"this build of llama-cpp-python crashes on this processor ({error.crash}); {_rebuild_hint()}"
        return (
            f"this build of llama-cpp-python does not work ({error}); {_rebuild_hint()}"
        )
    if "works" not in said:
        return f"this build of llama-cpp-python does not work; {_rebuild_hint()}"
    return ""


def _rebuild_hint() -> str:
    version = _installed_version()
    package = f"llama-cpp-python=={version}" if version else "llama-cpp-python"
    return (
        f"rebuild it portably: {PORTABLE} pip install --force-reinstall --no-cache-dir "
        f"--no-binary llama-cpp-python {package}"
    )


def _silence_log(module: ModuleType) -> None:
    """Take over the log from llama-cpp-python's own callback, which prints; leave one
    that someone else set.
    """
    if _CALLBACKS:
        return
    own = importlib.import_module("llama_cpp._logger")
    logger: logging.Logger = own.logger

    last = 0

    def keep(
        level: int,
        text: bytes | None,
        user_data: object,
    ) -> None:
        nonlocal last
        last = last if level == _CONTINUES else level
        if last == _ERROR:
            _LOG.append((text or b"").decode("utf-8", "replace"))
        # The caller's wish: `Llama(verbose=…)` sets this level, and nothing else does.
        if logger.level != logging.NOTSET:
            own.llama_log_callback(level, text, user_data)

    callback = module.llama_log_callback(keep)
    _CALLBACKS.append(callback)
    if _is_current(module, own.llama_log_callback):
        module.llama_log_set(callback, ctypes.c_void_p(0))


def _is_current(
    module: ModuleType,
    callback: Any,
) -> bool:
    current, user_data = module.llama_log_callback(), ctypes.c_void_p()
    module.llama_log_get(ctypes.byref(current), ctypes.byref(user_data))
    return (
        ctypes.cast(current, ctypes.c_void_p).value
        == ctypes.cast(callback, ctypes.c_void_p).value
    )
