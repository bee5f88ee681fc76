"""Conversations that are killed at any moment: no turn that was answered is asked again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.builtins.test_conversation import row
from tests.support.flow_process import start_run
from tests.support.talking import noted, run, talk, user

pytestmark = pytest.mark.slow

CONVERSATIONS, TURNS = 4, 10
_IN_PROCESS = (
    "import json, sys; from tests.support.talking import run; "
    "run(json.loads(sys.stdin.read()))"
)


def scripts() -> list[dict[str, list[str]]]:
    return [
        {"turns": [f"{name}, turn {turn}" for turn in range(TURNS)]}
        for name in range(CONVERSATIONS)
    ]


def start_in_process(spec: dict[str, object]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _IN_PROCESS], stdin=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(spec))
    process.stdin.close()
    return process


def kill_while_it_talks(
    process: subprocess.Popen[str], log: Path, draw: random.Random
) -> bool:
    """Kill a process some time after its next call; return whether it still ran."""
    before = len(noted(log))
    deadline = time.monotonic() + 60
    while len(noted(log)) == before and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(draw.uniform(0, 0.25))
    is_killed = process.poll() is None
    process.kill()
    process.wait()
    return is_killed


@pytest.mark.parametrize("simulated", [False, True], ids=["scripted", "simulated"])
def test_killed_conversations_ask_no_turn_twice(tmp_path: Path, simulated: bool):
    """After `kill -9` at random moments, turns that were asked twice are at most those in
    flight, and the conversations are those of a run that nobody killed.
    """
    draw = random.Random(11)
    settings = {}
    inputs: list[object] = [*scripts()]
    if simulated:
        settings = {"conversation": {"user": user(tmp_path)}}
        settings["conversation"]["user"]["generator"]["patience"] = TURNS
        settings["conversation"]["user"]["max_turns"] = TURNS
        inputs = [{"goal": f"goal {name}"} for name in range(CONVERSATIONS)]
    spec = talk(tmp_path, inputs, generator={"delay_s": 0.05}, **settings)
    log = tmp_path / "calls.log"

    kills = sum(
        kill_while_it_talks(start_in_process(spec), log, draw) for _ in range(4)
    )
    resumed = run(spec)

    assert kills >= 2
    calls = len(noted(log))
    assert CONVERSATIONS * TURNS <= calls
    assert calls <= CONVERSATIONS * TURNS + kills * CONVERSATIONS
    spec["storage"]["store"] = str(tmp_path / "unkilled")
    unkilled = run(spec)
    for index in range(CONVERSATIONS):
        assert (
            row(unkilled, index)["conversation"] == row(resumed, index)["conversation"]
        )


def test_conversations_through_prefect_are_the_same(tmp_path: Path, prefect_api: str):
    """A run on Prefect that is killed and started again asks what had no answer, and a
    run in process then finds every row of it.
    """
    import yaml

    spec = talk(tmp_path, scripts(), generator={"delay_s": 0.05})
    path = tmp_path / "talks.yaml"
    path.write_text(yaml.safe_dump(spec))
    log = tmp_path / "calls.log"

    process = start_run(path, prefect_api)
    is_killed = kill_while_it_talks(process, log, random.Random(3))
    process.communicate()
    last = start_run(path, prefect_api)
    output, _ = last.communicate(timeout=120)
    found = run(spec)

    assert 0 == last.returncode, output
    assert is_killed
    assert len(noted(log)) <= CONVERSATIONS * TURNS + CONVERSATIONS
    assert 0 == found.manifest.stages[0].computed
