"""One engine per model file and window, shared by the process and closed cleanly."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine_subprocess import (
    WAIT_S,
    answer_of,
    answered,
    engine_of,
    in_fresh_process,
    long_request,
    short_request,
)
from themis_lib.engine.engines import (
    LONGEST_WINDOW,
    close_engines,
    engine_for,
    engine_identity,
    loaded_engine,
)
from themis_lib.engine.models import find_model
from themis_lib.errors import ConfigError, ModelError


def test_a_file_and_a_window_have_one_engine(random_model: Path) -> None:
    """Windows of one file share its weights, so that they are in memory once."""
    file = find_model(model=random_model)
    engine = engine_for(file)
    narrow = engine_for(file, window=64)

    assert engine is engine_for(file)
    assert narrow is engine_for(file, window=64)
    assert engine is not narrow
    assert engine.weights is narrow.weights
    assert (1024, 64) == (engine.window, narrow.window)


def test_threads_that_ask_at_once_get_one_engine(random_model: Path) -> None:
    close_engines()
    file = find_model(model=random_model)
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(engine_for(file)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 8 == len(found)
    assert {id(found[0])} == {id(engine) for engine in found}


def test_an_engine_is_loaded_by_the_first_call_and_closed_with_all(
    random_model: Path,
) -> None:
    close_engines()
    file = find_model(model=random_model)
    before = loaded_engine(file)
    engine = engine_for(file)
    loaded = loaded_engine(file)
    close_engines()

    assert [None, engine, None] == [before, loaded, loaded_engine(file)]


def test_an_identity_names_what_decides_the_bits(random_model: Path) -> None:
    """With the window that is used, whether it was asked for or not."""
    file = find_model(model=random_model)
    identity = engine_identity(file)

    assert {"llama_cpp", "numerics", "exp", "decode", "window"} == identity.keys()
    assert 1024 == identity["window"] <= LONGEST_WINDOW
    assert {**identity, "window": 64} == engine_identity(file, window=64)


@pytest.mark.parametrize("window", [0, 15, 1025])
def test_a_window_out_of_range_is_refused(random_model: Path, window: int) -> None:
    """By the identity too, which loads nothing."""
    with pytest.raises(ConfigError, match="takes 16 to 1024"):
        engine_identity(find_model(model=random_model), window=window)


def test_engines_can_be_closed_while_others_wait(random_model) -> None:
    """Waiting calls get an error; later ones get a new engine, and the same bits."""
    expected = answered(engine_of(random_model))
    for _ in range(5):
        engine = engine_of(random_model)
        running = [engine.submit(long_request()) for _ in range(20)]
        rating = engine.rate([5, 6, 7], [[8] * 40] * 200)
        closing = threading.Thread(target=close_engines, daemon=True)
        closing.start()
        closing.join(WAIT_S)
        assert not closing.is_alive(), "close_engines does not return"
        for future in running:
            with pytest.raises(ModelError, match="the engine was closed"):
                future.result(timeout=1)
        assert rating.done()
        with pytest.raises(ModelError, match="the engine was closed"):
            engine.submit(short_request())
        assert expected == answered(engine_of(random_model))


def test_idle_engines_can_be_closed(random_model) -> None:
    """Many times, at once, before and after their first text."""
    for number in range(20):
        engine = engine_of(random_model)
        if number % 2:
            answered(engine)
        closing = threading.Thread(target=close_engines, daemon=True)
        closing.start()
        closing.join(10)
        assert not closing.is_alive(), "close_engines does not return"


def test_threads_that_ask_while_engines_are_closed_get_a_text_or_an_error(
    random_model,
) -> None:
    """Never another text, and never nothing."""
    expected = answered(engine_of(random_model))
    outcomes: list[Any] = []

    def ask() -> None:
        for _ in range(12):
            try:
                outcomes.append(answered(engine_of(random_model)))
            except ModelError as error:
                outcomes.append(str(error))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        close_engines()
        threads[0].join(0.1)
    assert 48 == len(outcomes)
    assert all(one == expected or "the engine was closed" in one for one in outcomes)


@pytest.mark.parametrize("program", ["leave", "leave_unknown"])
def test_the_interpreter_may_end_while_texts_are_decoded(random_model, program) -> None:
    """With exit code 0, and no output."""
    done = in_fresh_process(program, model=str(random_model))
    assert (0, "null\n", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_generates_the_same_text(random_model) -> None:
    """From its own engine, with an idle or a decoding parent; the parent goes on."""
    found = answer_of("forks", timeout_s=60, model=str(random_model))
    assert [found[0]] * 4 == found


def test_a_context_larger_than_memory_is_refused(random_model) -> None:
    """With the way to ask for less; who comes next is served."""
    with pytest.raises(ConfigError, match="takes 16 to 1024"):
        engine_of(random_model, window=10**9)
    assert answered(engine_of(random_model)) == answered(
        engine_of(random_model, window=128)
    )
