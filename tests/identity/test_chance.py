"""The clock, draws and the network in code."""

from __future__ import annotations

import datetime
import random
import time
from typing import Any

import numpy
import pytest

from themis_lib.identity.chance import chance_in_call, chance_in_name


@pytest.mark.parametrize(
    ("module", "rest", "expected"),
    [
        ("time", ("time",), {"the clock (time.time)"}),
        ("datetime", ("datetime", "now"), {"the clock (datetime.now)"}),
        ("random", ("random",), {"randomness (random.random)"}),
        ("random", ("Random",), set()),
        ("numpy", ("random", "choice"), {"randomness (numpy.random.choice)"}),
        ("httpx", ("get",), {"the network (httpx)"}),
        ("urllib", ("request", "urlopen"), {"the network (urllib)"}),
        ("urllib", ("parse", "quote"), set()),
        ("math", ("sqrt",), set()),
    ],
)
def test_chance_is_found_below_a_module(
    module: str, rest: tuple[str, ...], expected: set[str]
) -> None:
    """Calls that give something else every time are named."""
    assert expected == chance_in_call(module, rest)


@pytest.mark.parametrize(
    ("value", "chain", "expected"),
    [
        (time.time, ("time",), {"the clock (time.time)"}),
        (datetime.datetime, ("datetime", "now"), {"the clock (datetime.now)"}),
        (numpy.random.normal, ("normal",), {"randomness (numpy.random.normal)"}),
        (numpy.random.default_rng, ("default_rng",), set()),
        (random.gauss, ("gauss",), {"randomness (random.gauss)"}),
        (len, ("len",), set()),
        (1, ("K",), set()),
    ],
)
def test_chance_is_found_in_a_name(
    value: Any, chain: tuple[str, ...], expected: set[str]
) -> None:
    """A clock that is imported on its own is named, too."""
    assert expected == chance_in_name(value, chain)
