"""What the engine is measured against: `llama_cpp.Llama` called for one prompt after
another, and the machine.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


class PlainLoop:
    """`Llama` with its own settings, and texts that do not end early, so that every
    text has the same length.
    """

    def __init__(self, path: Path) -> None:
        import llama_cpp

        self._llama = llama_cpp.Llama(model_path=str(path), n_ctx=0, verbose=False)
        ends = [token for token in range(self._llama.n_vocab()) if self._is_end(token)]
        self._never_end = dict.fromkeys(ends, float("-inf"))

    def complete(self, prompt: Sequence[int], tokens: int, *, reset: bool) -> int:
        """Complete a prompt greedily; the tokens written."""
        if reset:
            self._llama.reset()
        done = self._llama.create_completion(
            list(prompt), max_tokens=tokens, temperature=0.0, logit_bias=self._never_end
        )
        return int(done["usage"]["completion_tokens"])

    def _is_end(self, token: int) -> bool:
        import llama_cpp

        return bool(llama_cpp.llama_vocab_is_eog(self._llama._model.vocab, token))


def machine_bound(
    weights: Any, *, prompt_tokens: int, steps: int, width: int, texts: int
) -> dict[str, float]:
    """The seconds this machine needs at NumPy's rates, measured here and now: for the
    arithmetic in float32, or for reading the weights once a step, whichever is more.
    """
    from themis_lib.cpus import available_cpus

    llama = weights.llama
    weight_count, weight_bytes = (
        llama.llama_model_n_params(weights.model),
        llama.llama_model_size(weights.model),
    )
    flops = 2.0 * weight_count * (prompt_tokens + texts * steps)
    flops_per_s, bytes_per_s, threads = _arithmetic(), _bandwidth(), available_cpus()
    read = weight_bytes * (steps * -(-texts // width) + texts)
    return {
        "seconds": max(flops / flops_per_s, read / bytes_per_s),
        "flops": flops,
        "flops_per_s": flops_per_s,
        "bytes_per_s": bytes_per_s,
        "threads": threads,
    }


def _arithmetic() -> float:
    size = 1024
    matrix = np.ones((size, size), dtype=np.float32)
    return max(2.0 * size**3 / _seconds(lambda: matrix @ matrix) for _ in range(10))


def _bandwidth() -> float:
    block = np.ones(2**26, dtype=np.float32)
    return max(block.nbytes / _seconds(block.sum) for _ in range(5))


def _seconds(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
