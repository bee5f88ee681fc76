"""How many cores a process keeps busy, and that local models write the same whatever
its share.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from themis_lib.cpus import available_cpus, cpus_to_use

_GENERATE = """
from themis_lib.steadytext import generate
from themis_lib.engine.engines import engine_identity
from themis_lib.engine.models import find_model

text, logprobs = generate("What is 21 + 34?", model="tiny", return_logprobs=True)
print(repr((text, logprobs, engine_identity(find_model(model="tiny")))))
"""


def test_share_is_what_runners_of_several_processes_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`OMP_NUM_THREADS` is the share; without it, or where it says nothing, all cores
    are, and never more.
    """
    shares = {}
    for value in ("1", "0", "", "many", "100000"):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        shares[value] = cpus_to_use()
    monkeypatch.delenv("OMP_NUM_THREADS")

    assert {
        "1": 1,
        "0": available_cpus(),
        "": available_cpus(),
        "many": available_cpus(),
        "100000": available_cpus(),
    } == shares
    assert available_cpus() == cpus_to_use()


@pytest.mark.slow
def test_share_changes_neither_bits_nor_identity() -> None:
    """A process with one core writes the same text with the same log-probabilities as
    one with all of them.
    """
    pytest.importorskip("llama_cpp")

    texts = {threads: written(OMP_NUM_THREADS=threads) for threads in ("1", "100")}

    assert "numerics" in texts["1"]
    assert texts["1"] == texts["100"]


def written(**environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _GENERATE],
        env={**os.environ, "THEMIS_CACHE": "off", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
