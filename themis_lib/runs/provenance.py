"""What computes rows here, beside what identifies them: versions, and the machine.

None of it is in a key: it is recorded with each run, so that where a row comes out
otherwise elsewhere, people see what differs.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGE = "themis-flows"
#: The libraries in whose hands the values of rows are, and the module of each.
_LIBRARIES = {
    "anthropic": "anthropic",
    "any-llm-sdk": "any_llm",
    "jinja2": "jinja2",
    "jsonschema": "jsonschema",
    "langdetect": "langdetect",
    "langgraph": "langgraph",
    "llama-cpp-python": "llama_cpp",
    "llguidance": "llguidance",
    "lm-eval": "lm_eval",
    "math-verify": "math_verify",
    "numpy": "numpy",
    "openai": "openai",
    "orjson": "orjson",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "rapidfuzz": "rapidfuzz",
    "rouge-score": "rouge_score",
    "sacrebleu": "sacrebleu",
    "scipy": "scipy",
    "sympy": "sympy",
}
_PROCESSORS = Path("/proc/cpuinfo")


def versions() -> dict[str, str]:
    """Return the versions of this package, Python, and the libraries in use by now."""
    loaded = [name for name, module in _LIBRARIES.items() if module in sys.modules]
    return {
        # `source`: run from a checkout that is not installed.
        _PACKAGE: _version(_PACKAGE) or "source",
        "python": platform.python_version(),
        **versions_of(loaded),
    }


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of these libraries that are installed, by name."""
    found = {name: _version(name) for name in names}
    return {name: text for name, text in found.items() if text is not None}


@cache
def machine() -> dict[str, str]:
    """Return the interpreter, the system and the processor; never the machine's name."""
    return {
        "interpreter": platform.python_implementation(),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": _processor(),
    }


# Reading a version takes milliseconds.
@cache
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """Return the processor's model, as far as the system tells."""
    try:
        for line in _PROCESSORS.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or "not known"
