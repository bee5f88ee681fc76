"""Jobs that run the local engine, each called in a fresh process by
`benchmarks.processes.fresh`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

#: Tokens of each.
Prompts: TypeAlias = list[tuple[int, ...]]


def engine_beside_loop(
    *,
    model: str,
    shared: int,
    own: int,
    out: int,
    prompts: int,
    repeats: int,
) -> dict[str, Any]:
    """Return the least seconds for greedy texts of exactly `out` tokens by the engine
    and by a loop over `Llama`, by turns; the machine's bound; and how the model is
    computed.
    """
    from benchmarks.plain_loop import PlainLoop, machine_bound
    from themis_lib.engine.engines import engine_for
    from themis_lib.engine.generation import Request
    from themis_lib.engine.models import find_model

    file = find_model(model=model)
    engine = engine_for(file)
    loop = PlainLoop(file.path)
    # New ones in each turn: the engine still has those of the turn before.
    turns = [
        _random_prompts(engine, shared=shared, own=own, prompts=prompts, seed=turn)
        for turn in range(repeats + 1)
    ]

    def by_engine(texts: Prompts) -> int:
        requests = [Request(text, out, ignore_eos=True) for text in texts]
        return _count_tokens(engine, requests)

    def by_loop(texts: Prompts, *, reset: bool) -> int:
        tokens = 0
        for text in texts:
            tokens += loop.complete(text, out, reset=reset)
        return tokens

    ways = {
        "engine": by_engine,
        "loop": lambda texts: by_loop(texts, reset=False),
        "reset": lambda texts: by_loop(texts, reset=True),
    }
    seconds = _least_times(ways, turns, tokens=prompts * out)
    bound = machine_bound(
        engine.weights,
        # The shared prefix is computed once.
        prompt_tokens=prompts * own + shared,
        steps=out,
        width=8,
        texts=prompts,
    )
    invariance = engine.invariance
    mode = (
        f"{file.name} (decoded {invariance.decode!r}, "
        f"{invariance.narrowest} to {invariance.width} at a time)"
    )
    return {**seconds, "bound": bound, "model": mode}


def examination(*, model: str) -> float:
    """Return the processor seconds of one thread that examines a model."""
    from themis_lib.engine.build import load_llama_cpp
    from themis_lib.engine.invariance import measure
    from themis_lib.engine.models import find_model

    path = find_model(model=model).path
    load_llama_cpp()
    begun = time.process_time()
    measure(path, threads=1)
    return time.process_time() - begun


def constrained_beside_free(*, repeats: int) -> dict[str, Any]:
    """Return the least seconds a token, greedy, with and without a regular expression
    that allows every text.
    """
    from themis_lib.engine.constraints.constraint import constraint
    from themis_lib.engine.engines import engine_for
    from themis_lib.engine.generation import Request
    from themis_lib.engine.models import find_model

    engine = engine_for(find_model(model="tiny"))
    texts = _random_prompts(engine, shared=0, own=16, prompts=32)

    def seconds_per_token(pattern: str | None) -> float:
        # Compiled before the clock starts: what is measured is the cost of a step.
        allowed = None
        if pattern is not None:
            allowed = constraint(regex=pattern)
        began = time.perf_counter()
        requests = [Request(text, 128, constraint=allowed) for text in texts]
        tokens = _count_tokens(engine, requests)
        seconds = time.perf_counter() - began
        return seconds / tokens

    # The first turn warms up.
    seconds_per_token(None)
    seconds_per_token(r"(?s:.*)")
    free_turns, constrained_turns = [], []
    for _ in range(repeats):
        free_turns.append(seconds_per_token(None))
        constrained_turns.append(seconds_per_token(r"(?s:.*)"))
    free = min(free_turns)
    constrained = min(constrained_turns)
    overhead = constrained / free - 1
    return {
        "free": free,
        "constrained": constrained,
        "overhead_percent": 100 * overhead,
    }


def _count_tokens(engine: Any, requests: Sequence[Any]) -> int:
    """Generate the texts and return how many tokens they have together."""
    # All are submitted before the first is awaited, so that they share batches.
    running = [engine.submit(request) for request in requests]
    tokens = 0
    for text in running:
        tokens += len(text.result().tokens)
    return tokens


def _random_prompts(
    engine: Any,
    *,
    shared: int,
    own: int,
    prompts: int,
    seed: int = 0,
) -> Prompts:
    """Return prompts of random tokens that share their first `shared` ones."""
    import numpy as np

    random = np.random.default_rng(seed)
    weights = engine.weights
    # Control tokens have no text.
    tokens = range(weights.n_vocab)
    words = list(filter(weights.piece, tokens))
    prefix = random.choice(words, shared).tolist()
    texts = []
    for _ in range(prompts):
        rest = random.choice(words, own).tolist()
        text = (*prefix, *rest)
        texts.append(text)
    return texts


def _least_times(
    ways: Mapping[str, Callable[[Prompts], int]],
    turns: Sequence[Prompts],
    *,
    tokens: int,
) -> dict[str, dict[str, float]]:
    """Return the least seconds of each way of writing the texts, taken by turns: by the
    clock, and of all processors.
    """
    seconds: dict[str, float] = {}
    processor_seconds: dict[str, float] = {}
    for turn, texts in enumerate(turns):
        for name, write in ways.items():
            began = time.perf_counter()
            processor_began = time.process_time()
            written = write(texts)
            taken = time.perf_counter() - began
            processor_taken = time.process_time() - processor_began
            assert written == tokens, f"{name} wrote texts of another length"
            # The first turn warms up.
            if turn == 0:
                continue
            seconds[name] = min(seconds.get(name, taken), taken)
            least = processor_seconds.get(name, processor_taken)
            processor_seconds[name] = min(least, processor_taken)
    return {"seconds": seconds, "processor_seconds": processor_seconds}
