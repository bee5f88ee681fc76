"""A failure is a clear error or a clean stop, and the next text has the same bits."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from tests.support.engine_subprocess import (
    ROOT,
    WAIT_S,
    answer_of,
    answered,
    claiming,
    command,
    engine_of,
    exact,
    long_request,
    short_request,
)
from tests.support.generated import write_model
from themis_lib import steadytext
from themis_lib.engine.constraints.constraint import constraint
from themis_lib.engine.engine import Engine
from themis_lib.engine.generation import Request, Token
from themis_lib.engine.models import find_model
from themis_lib.errors import ConfigError, ModelError


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small enough to write a hundred damaged copies of it."""
    return write_model(
        tmp_path_factory.mktemp("small") / "small.gguf", layers=1, width=64, heads=2
    )


@pytest.fixture
def engine(random_model: Path) -> Engine:
    return engine_of(random_model)


@pytest.fixture
def own_engine(engine: Engine, random_model: Path):
    """An engine that no other test depends on."""
    own = claiming(random_model, asdict(engine.invariance))
    yield own
    own.close()


def test_an_abandoned_text_frees_its_slot(engine) -> None:
    """Texts that are given up get no further token; the next one is served at once."""
    expected = answered(engine)
    told = [0] * 40
    begun = threading.Barrier(2, timeout=WAIT_S)

    def count(place: int) -> Callable[[Token], None]:
        def told_of(_: Token) -> None:
            told[place] += 1
            if place == 0 and told[0] == 3:
                begun.wait()

        return told_of

    futures = [
        engine.submit(long_request(), count(place)) for place in range(len(told))
    ]
    begun.wait()
    assert all(future.cancel() for future in futures)
    assert expected == answered(engine)
    assert expected == answered(
        engine
    )  # two threads may share the work: both have seen it by now
    given = sum(told)
    assert expected == answered(engine)
    assert given == sum(told) < 900
    assert 0 == told[-1]


def test_an_abandoned_stream_leaves_the_next_text_as_it_was(
    random_model, monkeypatch
) -> None:
    """Left after its first pieces, and by a loop that ended early."""
    monkeypatch.setenv("THEMIS_CACHE", "off")
    expected = steadytext.generate("What?", 30, model=str(random_model))
    for number in range(12):
        stream = steadytext.generate_iter(
            f"prompt {number}", 500, model=str(random_model)
        )
        assert next(stream)
        stream.close()
    del stream, number
    for _ in steadytext.generate_iter("prompt", 500, model=str(random_model)):
        break
    assert expected == steadytext.generate("What?", 30, model=str(random_model))


@pytest.mark.parametrize("future_of", ["waiting", "decoded", "rated"])
def test_a_cancelled_future_disturbs_nobody(engine, future_of) -> None:
    """Whether its work had begun or not."""
    expected = answered(engine)
    running = [engine.submit(long_request(length=60)) for _ in range(30)]
    beside = engine.submit(short_request())
    if future_of == "rated":
        engine.rate([5, 6, 7], [[8] * 40]).cancel()
    elif future_of == "waiting":
        running[-1].cancel()
    else:
        running[0].cancel()
    assert expected == exact(beside.result(timeout=WAIT_S))
    assert expected == answered(engine)
    finished = [
        exact(future.result(timeout=WAIT_S))
        for future in running
        if not future.cancelled()
    ]
    assert 1 == len({str(one) for one in finished})


def test_a_rating_that_is_given_up_frees_its_slots(own_engine) -> None:
    """Long before its continuations are decoded; until then nothing else begins."""
    expected = answered(own_engine)
    rating = own_engine.rate([5, 6, 7], [[8] * 900] * 1000)
    beside = own_engine.submit(short_request())
    with pytest.raises(TimeoutError):
        beside.result(timeout=0.3)
    assert rating.cancel()
    assert expected == exact(beside.result(timeout=WAIT_S))
    assert expected == answered(own_engine)


def test_a_rating_ends_with_its_engine(own_engine) -> None:
    """In the middle of its continuations, with an error."""
    rating = own_engine.rate([5, 6, 7], [[8] * 900] * 1000)
    with pytest.raises(TimeoutError):
        rating.result(timeout=0.3)
    own_engine.close()
    with pytest.raises(ModelError, match="the engine was closed"):
        rating.result(timeout=1)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("mine"),
        KeyboardInterrupt("mine"),
        SystemExit("mine"),
        asyncio.CancelledError("mine"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("place", [0, 5])
def test_an_exception_in_a_callback_fails_that_text_alone(
    own_engine, error, place
) -> None:
    """At the first token or later, its caller gets it; other texts are unchanged."""
    expected = answered(own_engine)
    seen: list[Token] = []

    def fail(token: Token) -> None:
        seen.append(token)
        if len(seen) > place:
            raise error

    beside = own_engine.submit(short_request())
    failing = own_engine.submit(long_request(), fail)
    with pytest.raises(type(error), match="mine"):
        failing.result(timeout=10)
    assert place + 1 == len(seen)
    assert expected == exact(beside.result(timeout=10))
    assert expected == exact(own_engine.submit(short_request()).result(timeout=10))


def test_a_request_that_cannot_be_computed_fails_alone(own_engine) -> None:
    """A token that the vocabulary lacks is an error of that request."""
    expected = answered(own_engine)
    for bad in ((5, 6, 10**6), (5, -1, 6)):
        beside = own_engine.submit(long_request(length=40))
        with pytest.raises(ModelError):
            own_engine.submit(Request(bad, 5)).result(timeout=10)
        assert 40 == len(beside.result(timeout=10).tokens)
        assert expected == answered(own_engine)


@pytest.mark.parametrize(
    "continuation", [[10**6], [-1], [5, 10**6], [5, -1], [5, 6, 10**6, 7]], ids=str
)
def test_a_rating_that_cannot_be_computed_fails_alone(own_engine, continuation) -> None:
    """An error, not a number, and none for the texts beside it."""
    expected = answered(own_engine)
    beside = own_engine.submit(long_request(length=40))
    with pytest.raises((ModelError, IndexError)):
        own_engine.rate([5, 6, 7], [continuation]).result(timeout=10)
    assert 40 == len(beside.result(timeout=10).tokens)
    assert expected == answered(own_engine)


def test_an_error_says_what_went_wrong_now(tmp_path) -> None:
    """Not what llama.cpp reported of another file before."""
    for name in ("first", "second"):
        writer = gguf.GGUFWriter(tmp_path / f"{name}.gguf", f"{name}arch")
        writer.add_tensor("token_embd.weight", np.zeros((4, 4), dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    with pytest.raises(ModelError, match="firstarch"):
        engine_of(tmp_path / "first.gguf")
    with pytest.raises(ModelError, match="secondarch") as caught:
        engine_of(tmp_path / "second.gguf")
    assert "firstarch" not in str(caught.value)


def test_a_constraint_that_cannot_be_met_is_an_error_before_anything_is_decoded(
    engine,
) -> None:
    """At the call, with the length that it takes: some tokens are two letters."""
    asked = Request((5, 6, 7), 10, constraint=constraint(regex="[a-c]{50}"))
    told: list[Token] = []
    with pytest.raises(ConfigError, match="takes 25 tokens"):
        engine.submit(asked, told.append)
    assert [] == told


def test_an_engine_can_be_closed_twice(random_model, engine) -> None:
    """By several threads too."""
    own = claiming(random_model, asdict(engine.invariance))
    threads = [threading.Thread(target=own.close, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    own.close()


def _interrupt(program: str, **arguments: Any) -> tuple[int, str, str]:
    """Start a program, interrupt it once it decodes, and return how it ends."""
    with subprocess.Popen(
        command(program, **arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            assert "decoding" in line, line + process.stderr.read()
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            pytest.fail(f"{program} does not end: {process.communicate()[1][-2000:]}")
        return process.returncode, output, errors


def test_after_an_interrupt_that_is_caught_the_next_text_is_as_ever(
    random_model, engine
) -> None:
    """Ctrl-C while a long text is waited for."""
    status, output, errors = _interrupt("interrupted", model=str(random_model))
    assert 0 == status, errors
    assert str(answered(engine)) == str(json.loads(output))


@pytest.mark.parametrize("program", ["generate", "iterate"])
def test_an_interrupt_ends_a_program_cleanly(random_model, program) -> None:
    """With KeyboardInterrupt as its last word, no dump, and as one that SIGINT
    ended.
    """
    status, output, errors = _interrupt(program, model=str(random_model))
    assert -signal.SIGINT == status, errors
    assert "KeyboardInterrupt" == errors.strip().splitlines()[-1]
    assert 1 == errors.count("Traceback (most recent call last)")
    assert "Fatal" not in errors
    assert "" == output


def test_a_missing_file_is_named(tmp_path) -> None:
    """Before anything is loaded."""
    with pytest.raises(ModelError, match=r"nowhere\.gguf' does not exist"):
        engine_of(tmp_path / "nowhere.gguf")
    with pytest.raises(ModelError, match=r"nowhere\.gguf' does not exist"):
        steadytext.generate("What?", model=str(tmp_path / "nowhere.gguf"))


@pytest.mark.parametrize(
    "where",
    [0, 3, 4, 12, 24, 100, "header - 1", "header", "header + 100", "half", "end - 1"],
    ids=str,
)
def test_a_truncated_model_is_refused(small_model, tmp_path, where) -> None:
    """Wherever it was cut, before llama.cpp sees it."""
    data = small_model.read_bytes()
    header = int(gguf.GGUFReader(small_model).data_offset)
    places = {
        "header - 1": header - 1,
        "header": header,
        "header + 100": header + 100,
        "half": len(data) // 2,
        "end - 1": len(data) - 1,
    }
    path = tmp_path / "cut.gguf"
    path.write_bytes(data[: places.get(where, where)])
    with pytest.raises(ModelError, match=r"cut\.gguf' is (cut short|empty|no GGUF)"):
        find_model(model=path)


def _damaged(
    path: Path, folder: Path, *, count: int, seed: int, flips: int
) -> list[str]:
    """Copies of a model with bytes of the header changed."""
    data, random = path.read_bytes(), np.random.default_rng(seed)
    header = int(gguf.GGUFReader(path).data_offset)
    copies = []
    for number in range(count):
        changed = bytearray(data)
        # The vocabulary is most of a header: look at what is around it as often.
        limit = (700, header)[number % 2]
        for place in random.integers(0, limit, flips).tolist():
            changed[place] ^= int(random.integers(1, 256))
        copies.append(folder / f"{number}.gguf")
        copies[-1].write_bytes(changed)
    return [str(copy) for copy in copies]


@pytest.mark.parametrize(
    ("count", "flips"),
    [
        (8, 1),
        pytest.param(24, 1, marks=pytest.mark.slow),
        pytest.param(300, 2, marks=pytest.mark.slow),
        pytest.param(150, 4, marks=pytest.mark.slow),
    ],
)
def test_a_damaged_header_is_an_error_or_a_model(
    small_model, tmp_path, count, flips
) -> None:
    """Never a crash or a hang: what cannot be known to be damaged may be another
    model.
    """
    copies = _damaged(small_model, tmp_path, count=count, seed=flips, flips=flips)
    outcomes = dict(zip(copies, answer_of("loads", models=copies), strict=True))
    assert {} == {
        Path(copy).name: outcome
        for copy, outcome in outcomes.items()
        if isinstance(outcome, int)
    }
    refused = [outcome for outcome in outcomes.values() if isinstance(outcome, dict)]
    assert count // 4 < len(refused)


def test_a_sound_model_is_no_damaged_one(small_model) -> None:
    """What the test above would call a model is one."""
    (outcome,) = answer_of("loads", models=[str(small_model)])
    assert exact(engine_of(small_model).submit(short_request()).result()) == outcome


def test_random_weights_are_no_error(small_model, tmp_path) -> None:
    """Weights that are not numbers give a text or an error, and the process goes on."""
    data = bytearray(small_model.read_bytes())
    header = int(gguf.GGUFReader(small_model).data_offset)
    data[header:] = b"\xff" * (len(data) - header)
    (tmp_path / "nan.gguf").write_bytes(data)
    data[header:] = np.random.default_rng(0).bytes(len(data) - header)
    (tmp_path / "noise.gguf").write_bytes(data)
    outcomes = answer_of(
        "loads", models=[str(tmp_path / "nan.gguf"), str(tmp_path / "noise.gguf")]
    )
    assert not [outcome for outcome in outcomes if isinstance(outcome, int)]


def test_a_model_larger_than_memory_is_refused_before_it_is_loaded(tmp_path) -> None:
    """By its size, without reading it."""
    path = tmp_path / "huge.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_tensor_info(
        "token_embd.weight", (1 << 20, 1 << 17), np.dtype(np.float16), 2 << 37
    )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with pytest.raises(ModelError, match="is cut short"):
        engine_of(path)
    os.truncate(path, (2 << 37) + (1 << 20))
    with pytest.raises(ModelError, match="bytes of memory"):
        engine_of(path)


def test_a_damaged_download_leaves_the_engine_of_another_model_alone(
    small_model, engine, tmp_path
) -> None:
    """The process that saw it refused goes on."""
    expected = answered(engine)
    path = tmp_path / "cut.gguf"
    path.write_bytes(small_model.read_bytes()[:-1])
    with pytest.raises(ModelError):
        engine_of(path)
    assert expected == answered(engine)


def test_python_itself_runs_the_programs() -> None:
    """The interpreter of the tests, so that what they load is what is tested."""
    assert sys.executable == command("measured")[0]
