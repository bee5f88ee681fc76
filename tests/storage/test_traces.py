"""Traces: what rows were found to depend on."""

from __future__ import annotations

from tests.support.stores import OpenStore
from themis_lib.storage.traces import read_traces, write_trace

DIRECTORY = f"rows/score/{'f' * 32}"


def test_rows_without_a_trace_depend_on_nothing(open_store: OpenStore) -> None:
    """A directory without traces, or none at all, is an empty mapping."""
    assert {} == read_traces(open_store(), DIRECTORY)


def test_traces_of_several_writers_are_read_together(open_store: OpenStore) -> None:
    """Every digest that a dependency was seen with is known, by any reader."""
    write_trace(open_store(), DIRECTORY, {"/a": "1", "env:B": "2"})
    write_trace(open_store(), DIRECTORY, {"/a": "1", "env:B": "2"})
    write_trace(open_store(), DIRECTORY, {"/a": "3"})

    assert {"/a": {"1", "3"}, "env:B": {"2"}} == read_traces(open_store(), DIRECTORY)
