"""The walk: labels, and what it leaves out."""

from __future__ import annotations

import math
from typing import Any

from tests.identity.loading import walked
from themis_lib.identity.walk import Walk

LIMIT = 3


def even(n: int) -> Any:
    return n == 0 or odd(n - 1)


def odd(n: int) -> Any:
    return n > LIMIT and even(n - 1) and math.pi


def make(k: int) -> Any:
    def score() -> int:
        return k

    return score


def test_functions_that_call_each_other_are_found_once() -> None:
    """A circle of calls ends, and each definition has its place."""
    identity = walked(even)

    assert {f"{__name__}.even", f"{__name__}.odd"} == set(identity.definitions)
    assert f"{__name__}.LIMIT" in identity.values
    assert set(identity.definitions) <= set(identity.places)


def test_functions_of_one_factory_are_numbered() -> None:
    """They share their name, and hold values of their own."""
    identity = walked([make(1), make(2)])
    label = f"{__name__}.make.<locals>.score"

    assert {label, f"{label}~2"} == set(identity.definitions)
    assert identity.values[f"{label}(k)"] != identity.values[f"{label}~2(k)"]


def test_names_that_are_left_out_are_uncovered() -> None:
    """Each is listed with the reason."""
    walk = Walk(frozenset({"client"}), lambda name: name == "api_key")
    walk.add_slot("client", "client", iter([]))
    walk.add_slot("api_key", "api_key", "secret")

    assert {"client": "named in `runtime`", "api_key": "a credential"} == dict(
        walk.result().uncovered
    )
