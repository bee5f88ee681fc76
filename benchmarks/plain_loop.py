"""Baselines of the engine: `llama_cpp.Llama` called for one prompt after another, and
the rates of the machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np


class PlainLoop:
    """`Llama` with its own settings, kept from ending a text early so that all texts
    have the same length. Where `OMP_NUM_THREADS` bounds the engine, it bounds the loop.
    """

    def __init__(self, path: Path) -> None:
        import llama_cpp

        from themis_lib.cpus import available_cpus, cpus_to_use

        # Its own numbers of threads, if they are fewer.
        most = cpus_to_use()
        self._llama = llama_cpp.Llama(
            model_path=str(path),
            n_ctx=0,
            n_threads=min(max(available_cpus() // 2, 1), most),
            n_threads_batch=min(available_cpus(), most),
            verbose=False,
        )
        vocab = self._llama._model.vocab
        self._never_end: dict[int, float] = {}
        for token in range(self._llama.n_vocab()):
            if llama_cpp.llama_vocab_is_eog(vocab, token):
                self._never_end[token] = float("-inf")

    def complete(
        self,
        prompt: Sequence[int],
        tokens: int,
        *,
        reset: bool,
    ) -> int:
        """Complete a prompt greedily and return the number of tokens written."""
        if reset:
            self._llama.reset()
        done = self._llama.create_completion(
            list(prompt), max_tokens=tokens, temperature=0.0, logit_bias=self._never_end
        )
        return int(done["usage"]["completion_tokens"])


def machine_bound(
    weights: Any,
    *,
    prompt_tokens: int,
    steps: int,
    width: int,
    texts: int,
) -> dict[str, float]:
    """Return the seconds that this machine needs for the work at NumPy's rates.

    They are those of the float32 arithmetic, or of reading the weights once a step,
    whichever is more. Both rates are measured here and now.
    """
    from themis_lib.cpus import available_cpus

    llama = weights.llama
    weight_count = llama.llama_model_n_params(weights.model)
    weight_bytes = llama.llama_model_size(weights.model)
    # A multiplication and an addition for each weight and token.
    tokens = prompt_tokens + texts * steps
    flops = 2.0 * weight_count * tokens
    # A step advances up to `width` texts; each prompt is read in one step more.
    groups = math.ceil(texts / width)
    weight_reads = steps * groups + texts
    flops_per_s = _flops_per_second()
    bytes_per_s = _bytes_per_second()
    arithmetic_s = flops / flops_per_s
    reading_s = weight_bytes * weight_reads / bytes_per_s
    return {
        "seconds": max(arithmetic_s, reading_s),
        "flops": flops,
        "flops_per_s": flops_per_s,
        "bytes_per_s": bytes_per_s,
        "threads": available_cpus(),
    }


def _flops_per_second() -> float:
    size = 1024
    flops = 2.0 * size**3
    matrix = np.ones((size, size), dtype=np.float32)
    seconds = _least_seconds(lambda: matrix @ matrix, repeats=10)
    return flops / seconds


def _bytes_per_second() -> float:
    # 256 MiB: more than the processor's caches hold, so that memory is what is read.
    block = np.ones(2**26, dtype=np.float32)
    seconds = _least_seconds(block.sum, repeats=5)
    return block.nbytes / seconds


def _least_seconds(work: Callable[[], Any], *, repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
