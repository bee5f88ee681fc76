"""Requests of every kind, exact comparison of answers, and programs to run.

`python -m tests.support.engine_subprocess <program> <arguments as JSON>` runs one of
the programs at the end, in a fresh process.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from themis_lib import steadytext
from themis_lib.engine.build import load_llama_cpp
from themis_lib.engine.constraints.constraint import constraint
from themis_lib.engine.engine import Engine
from themis_lib.engine.engines import engine_for, engine_identity
from themis_lib.engine.generation import Generation, Request, Token
from themis_lib.engine.invariance import Invariance, measure
from themis_lib.engine.models import find_model
from themis_lib.engine.prompt import prompt_tokens
from themis_lib.engine.sampling import Sampling
from themis_lib.engine.weights import Weights
from themis_lib.errors import ModelError

ROOT = Path(__file__).parents[2]

#: Around every rule for cutting: one token, 32, calls of 512, and what may be left for
#: the next call.
EDGES = (
    1,
    2,
    3,
    31,
    32,
    33,
    34,
    63,
    64,
    65,
    96,
    511,
    512,
    513,
    514,
    528,
    543,
    544,
    545,
    576,
    600,
)
SHARED = (33, 64, 130, 300, 560)
#: Seconds until a text that takes next to no time is taken to be lost.
WAIT_S = 60

_CONSTRAINTS = (
    {"regex": r"[a-z]{3,12}"},
    {"regex": r"(yes|no), \d{1,3}-\d{4}"},
    {"choices": ["yes", "no", "yes please", "naïve 🎉", 'a "quoted"\nline']},
    {
        "schema": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}},
        }
    },
)
_SAMPLINGS = (
    Sampling(),
    Sampling(temperature=1),
    Sampling(temperature=1, top_p=0.9),
    Sampling(repetition_penalty=1.3),
    Sampling(temperature=1, top_k=40, min_p=0.02, repetition_penalty=1.1),
)


def workload(n_vocab: int, *, count: int, seed: int) -> list[Request]:
    """Return requests with prompts of 1 to 650 tokens; half share beginnings."""
    random = np.random.default_rng(seed)
    beginnings = [random.integers(0, n_vocab, length).tolist() for length in SHARED]
    edges = random.permutation(EDGES).tolist()
    return [
        _request(random, n_vocab, beginnings, edges, number) for number in range(count)
    ]


def _request(
    random: np.random.Generator,
    n_vocab: int,
    beginnings: Sequence[list[int]],
    edges: Sequence[int],
    number: int,
) -> Request:
    if number % 2:
        beginning = beginnings[number // 2 % len(beginnings)]
        kept = len(beginning) - (int(random.integers(0, 4)) if number % 4 == 1 else 0)
        prompt = (
            beginning[:kept]
            + random.integers(0, n_vocab, int(random.integers(1, 90))).tolist()
        )
    else:
        length = (
            edges[number // 4 % len(edges)]
            if number % 4
            else int(random.integers(2, 200))
        )
        prompt = random.integers(0, n_vocab, length).tolist()
    constrained = (
        constraint(**_CONSTRAINTS[number // 3 % len(_CONSTRAINTS)])
        if number % 3 == 0
        else None
    )
    return Request(
        prompt=tuple(prompt),
        max_tokens=40 if constrained else int(random.integers(1, 20)),
        seed=int(random.integers(0, 2**63)),
        sampling=_SAMPLINGS[number % len(_SAMPLINGS)],
        stops=("e", "zz") if number % 7 == 0 else (),
        constraint=constrained,
        top_logprobs=number % 4,
    )


def continuations(
    n_vocab: int, *, count: int, seed: int
) -> list[tuple[list[int], list[list[int]]]]:
    """Return prompts, each with continuations of 0 to 70 tokens.

    Every other prompt has a shared beginning.
    """
    random = np.random.default_rng(seed)
    lengths = (1, 2, 5, 0, 31, 32, 33, 34, 70)
    beginning = random.integers(0, n_vocab, 128).tolist()
    asked = []
    for number in range(count):
        own = random.integers(0, n_vocab, int(random.integers(1, 100))).tolist()
        sizes = random.permutation(lengths)[:4].tolist()
        found = [random.integers(0, n_vocab, size).tolist() for size in sizes]
        asked.append((beginning + own if number % 2 else own, found))
    return asked


def exact(generation: Generation) -> list[Any]:
    """Return everything an answer says, with every bit of its numbers, as JSON."""
    return [
        generation.finish_reason,
        [exact_token(token) for token in generation.tokens],
    ]


def exact_token(token: Token) -> list[Any]:
    """Return a token with every bit of its numbers."""
    likely = [[one.token, one.text, one.logprob.hex()] for one in token.likely]
    return [
        token.token,
        token.text,
        None if token.logprob is None else token.logprob.hex(),
        likely,
    ]


def command(program: str, **arguments: Any) -> list[str]:
    """Return how to run one of the programs below, from the root of the project."""
    return [
        sys.executable,
        "-m",
        "tests.support.engine_subprocess",
        program,
        json.dumps(arguments),
    ]


def in_fresh_process(
    program: str, timeout_s: float = 60, **arguments: Any
) -> subprocess.CompletedProcess[str]:
    """Run one of the programs below to its end."""
    return subprocess.run(
        command(program, **arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def answer_of(program: str, timeout_s: float = 800, **arguments: Any) -> Any:
    """Return what a program prints, after it ended well."""
    done = in_fresh_process(program, timeout_s, **arguments)
    assert done.returncode == 0, (
        f"{program} ended with {done.returncode}: {done.stderr[-2000:]}"
    )
    return json.loads(
        done.stdout.splitlines()[-1]
    )  # a debugger may have said something before


def engine_of(path: str | os.PathLike[str], window: int | None = None) -> Engine:
    """Return the engine of a model file, as every caller of the library gets it."""
    return engine_for(find_model(model=path), window=window)


def claiming(path: str | os.PathLike[str], claimed: dict[str, Any]) -> Engine:
    """Return a new engine that is told how it may compute, be it true or not."""
    invariance = Invariance(**claimed)
    weights = Weights(Path(path), repacked=invariance.repacked)
    return Engine(weights, invariance, window=1024, slots=8, threads=1)


def long_request(*, length: int = 900) -> Request:
    """Return a text that a model with random weights continues until it is cut."""
    return Request((5, 6, 7), length, top_logprobs=0)


def short_request() -> Request:
    """Return a text that takes next to no time."""
    return Request(
        tuple(range(40, 80)),
        12,
        seed=3,
        sampling=Sampling(temperature=1),
        top_logprobs=2,
    )


def answered(engine: Engine) -> list[Any]:
    """Return what an engine answers to the short request, with every bit."""
    return exact(engine.submit(short_request()).result(timeout=WAIT_S))


def alone(
    *,
    model: str,
    n_vocab: int,
    count: int,
    seed: int,
    claimed: dict[str, Any] | None = None,
) -> list[Any]:
    """Answer each request of a workload in a process that answers nothing else."""
    load_llama_cpp()  # imported once; nothing of a model is loaded before the fork

    def answer(request: Request) -> Any:
        engine = claiming(model, claimed) if claimed else engine_of(model)
        return exact(engine.submit(request).result())

    return [
        _forked(answer, request)
        for request in workload(n_vocab, count=count, seed=seed)
    ]


def chats(engine: Engine, prompts: Sequence[str], *, max_tokens: int) -> list[Request]:
    """Return a request for each prompt as a chat, every other one drawn."""
    requests = []
    for number, prompt in enumerate(prompts):
        tokens = prompt_tokens(
            engine.weights,
            [{"role": "user", "content": prompt}],
            template="chat",
            window=engine.window,
        )
        sampling = Sampling(temperature=number % 2)
        requests.append(
            Request(
                tokens.tokens, max_tokens, seed=7, sampling=sampling, top_logprobs=3
            )
        )
    return requests


def chats_alone(*, model: str, prompts: list[str], max_tokens: int) -> list[Any]:
    """Answer each prompt as a chat in a process that answers nothing else."""
    load_llama_cpp()

    def answer(number: int) -> Any:
        engine = engine_of(model)
        request = chats(engine, prompts, max_tokens=max_tokens)[number]
        return exact(engine.submit(request).result())

    return [_forked(answer, number) for number in range(len(prompts))]


def rated_alone(
    *, model: str, n_vocab: int, count: int, seed: int
) -> list[list[list[str]]]:
    """Each continuation rated by a process that rates nothing else."""
    load_llama_cpp()

    def answer(pair: tuple[list[int], list[int]]) -> Any:
        prompt, continuation = pair
        (rated,) = engine_of(model).rate(prompt, [continuation]).result()
        return [logprob.hex() for logprob in rated.logprobs]

    asked = continuations(n_vocab, count=count, seed=seed)
    return [
        [_forked(answer, (prompt, one)) for one in found] for prompt, found in asked
    ]


def measured(*, model: str) -> dict[str, Any]:
    """Return what measuring a model finds, nothing remembered."""
    load_llama_cpp()
    _, invariance = measure(Path(model), threads=2)
    return asdict(invariance)


def identity(*, model: str) -> dict[str, Any]:
    """Return what an engine says decides its bits, remembered or measured."""
    return engine_identity(find_model(model=model))


def loads(*, models: list[str]) -> list[Any]:
    """Return for each file a text, an error's message, or the signal that killed it."""
    load_llama_cpp()
    os.environ["GGML_NO_BACKTRACE"] = (
        "1"  # else a debugger is started where llama.cpp aborts
    )

    def answer(model: str) -> Any:
        try:
            return exact(engine_of(model).submit(short_request()).result(timeout=60))
        except ModelError as error:
            return {"ModelError": str(error)}

    return [_forked(answer, model) for model in models]


def interrupted(*, model: str) -> Any:
    """Wait for a long text until a signal comes, then answer a short one."""
    engine = engine_of(model)
    told: list[Token] = []

    def slowly(token: Token) -> None:
        time.sleep(0.01)
        told.append(token)
        if len(told) == 3:  # by now the main thread waits
            _say("decoding")

    future = engine.submit(long_request(), slowly)
    try:
        future.result()
    except KeyboardInterrupt:
        future.cancel()
    return exact(engine.submit(short_request()).result())


def generate(*, model: str) -> None:
    """Generate many long texts through the API, without catching an interrupt."""
    steadytext.preload_models(model=model)
    threading.Timer(0.3, _say, ("decoding",)).start()
    steadytext.generate_batch(
        [f"prompt {number}" for number in range(200)], model=model
    )


def iterate(*, model: str) -> None:
    """Read a long text slowly through the API."""
    for number, _ in enumerate(steadytext.generate_iter("prompt", 512, model=model)):
        if number == 0:
            _say("decoding")
        time.sleep(0.01)


def leave(*, model: str) -> None:
    """Leave while texts are being decoded, waited for and streamed."""
    engine = engine_of(model)
    begun = threading.Event()
    stream = steadytext.generate_iter("prompt", 512, model=model)
    next(stream)
    futures = [
        engine.submit(long_request(), lambda _: _slowly(begun)) for _ in range(20)
    ]
    threading.Thread(target=_outcome, args=(futures[-1],), daemon=True).start()
    begun.wait(60)
    globals()["kept until the interpreter ends"] = stream


def leave_unknown(*, model: str) -> None:
    """Leave while an engine decodes that the library does not keep."""
    found = engine_of(model).invariance
    engine = claiming(model, asdict(found))
    begun = threading.Event()
    engine.submit(long_request(), lambda _: _slowly(begun))
    begun.wait(60)


def forks(*, model: str) -> list[Any]:
    """Return the same text from the parent and from children forked at several times.

    They are forked before, while and after the parent decoded.
    """
    context = multiprocessing.get_context("fork")
    engine = engine_of(model)
    found = [exact(engine.submit(short_request()).result())]
    found.append(_from_child(context, model))
    begun = threading.Event()
    running = engine.submit(long_request(), lambda _: _slowly(begun))
    begun.wait(60)
    found.append(_from_child(context, model))
    running.cancel()
    found.append(exact(engine.submit(short_request()).result()))
    return found


def _from_child(context: Any, model: str) -> Any:
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(
        target=lambda: sender.send(
            exact(engine_of(model).submit(short_request()).result())
        )
    )
    child.start()
    answer = receiver.recv() if receiver.poll(60) else "the child does not answer"
    child.join(30)
    if child.exitcode is None:
        child.kill()
    return answer if child.exitcode == 0 else f"the child ended with {child.exitcode}"


def _forked(answer: Callable[[Any], Any], argument: Any) -> Any:
    """Return what a child process answers; -n if signal n killed it.

    Another number if it raised.
    """
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(receiver)
            with os.fdopen(sender, "w") as file:
                json.dump(answer(argument), file)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - nothing may go on in the child
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(97)
    os.close(sender)
    with os.fdopen(receiver) as file:
        text = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return json.loads(text) if status == 0 else status


def _outcome(future: Any) -> None:
    with contextlib.suppress(ModelError):
        future.result()


def _slowly(begun: threading.Event) -> None:
    time.sleep(0.01)
    begun.set()


def _say(word: str) -> None:
    print(word, file=sys.stderr, flush=True)


if __name__ == "__main__":
    found = globals()[sys.argv[1]](**json.loads(sys.argv[2]))
    print(json.dumps(found), flush=True)
