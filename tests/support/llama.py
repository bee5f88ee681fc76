"""What tests of local models need."""

from __future__ import annotations

import importlib.util

import pytest

needs_llama = pytest.mark.skipif(
    importlib.util.find_spec("llama_cpp") is None,
    reason="llama-cpp-python is not installed",
)
