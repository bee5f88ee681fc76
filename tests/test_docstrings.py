"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import flows
import tasks
import themis_lib

#: What only training the bundled model needs.
TRAINING = ["gguf", "tokenizers", "torch"]
MODULES = [
    module.name
    for package in (themis_lib, tasks, flows)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_are_true(name: str) -> None:
    """Every example in a module's docstrings gives what it says."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in TRAINING:
            raise
        pytest.skip(f"{error.name} is not installed")
    results = doctest.testmod(module, optionflags=doctest.ELLIPSIS)

    assert 0 == results.failed
