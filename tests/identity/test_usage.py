"""What code refers to."""

from __future__ import annotations

import os
from typing import Any

from themis_lib.identity.usage import Usage, usage_of


def used(function: Any) -> Usage:
    return usage_of(function.__code__)


def test_names_are_read_as_chains() -> None:
    """A dotted name is one chain."""
    assert ("os", "path", "sep") in used(lambda: os.path.sep).chains


def test_variables_with_literal_names_are_listed() -> None:
    """Each way to read an environment variable is seen."""

    def read() -> Any:
        return os.environ["A"], os.environ.get("B"), os.getenv("C")

    assert {"A", "B", "C"} == used(read).variables.names


def test_counters_are_changed_and_not_read() -> None:
    """What is only added to is not read; an object that is handed on may be."""

    class Counting:
        calls = 0

        def count(self) -> None:
            self.calls += 1

        def show(self) -> str:
            return str(self)

    assert {"calls"} == used(Counting.count).changed - used(Counting.count).read
    assert not used(Counting.count).reads_whole_objects
    assert used(Counting.show).reads_whole_objects


def test_computed_names_are_dynamic() -> None:
    """A name that is not in the source may be any."""
    assert used(lambda v: getattr(v, v)).is_dynamic
    assert not used(lambda v: getattr(v, "name")).is_dynamic  # noqa: B009
