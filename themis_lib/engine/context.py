"""A llama.cpp context with one KV stream a slot: prefill one slot, decode many, copy
and trim what they hold.

Flash attention is off and every sequence has a stream of its own: with either
otherwise, the logits of a prompt depend on how it is cut and on what is decoded beside
it.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from themis_lib.engine.build import clear_log, last_log
from themis_lib.engine.weights import Weights
from themis_lib.errors import ModelError

#: Logits as float32, one row for each output, one column for each token of the
#: vocabulary.
Logits: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]

#: Token ids.
Tokens: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]

#: Tokens in one call to llama.cpp.
MAX_BATCH = 512


class Context:
    """Slots that hold sequences. Not thread-safe: one thread owns it.

    `slots` sequences of at most `length` tokens each. Raises `ModelError` where memory
    does not suffice.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        slots: int,
        length: int,
        threads: int,
    ) -> None:
        self._llama = llama = weights.llama
        self.slots, self.n_vocab = slots, weights.n_vocab
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = slots * length
        parameters.n_batch = parameters.n_ubatch = MAX_BATCH
        parameters.n_outputs_max = slots
        parameters.n_seq_max = slots
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.kv_unified = False
        parameters.swa_full = True  # a window forgets what a shared prefix needs
        parameters.no_perf = True
        clear_log()
        self._context = llama.llama_init_from_model(weights.model, parameters)
        if not self._context:
            raise ModelError(
                f"{weights.path}: no context of {slots} × {length} tokens: {last_log() or 'out of memory?'}; "
                "ask for a smaller `window`"
            )
        self._weights = weights  # outlives the context
        self._free = weakref.finalize(self, llama.llama_free, self._context)
        self._free.atexit = False  # the engine's thread may still be in it
        self._memory = llama.llama_get_memory(self._context)
        self._batch = _Batch(llama)

    def prefill(
        self,
        slot: int,
        tokens: Sequence[int] | Tokens,
        start: int,
        *,
        wanted: bool = True,
    ) -> Logits:
        """Add tokens to a slot from position `start` on; the row of logits after the
        last, where it is `wanted`.

        At most `MAX_BATCH` tokens. The row is llama.cpp's own memory: read it before
        the next call.
        """
        count, outputs = len(tokens), int(wanted)
        self._batch.fill(
            tokens,
            range(start, start + count),
            [slot] * count,
            count - outputs,
        )
        return self._decode_batch(count, outputs)

    def decode(
        self,
        slots: Sequence[int],
        tokens: Sequence[int],
        positions: Sequence[int],
    ) -> Logits:
        """Add one token to each of these slots, in one call; a row of logits each, in
        the same order.
        """
        count = len(slots)
        self._batch.fill(
            tokens,
            positions,
            slots,
            0,
        )
        return self._decode_batch(count, count)

    def copy(
        self,
        source: int,
        target: int,
    ) -> None:
        """Let one slot hold what another holds."""
        self._llama.llama_memory_seq_rm(
            self._memory,
            target,
            -1,
            -1,
        )
        self._llama.llama_memory_seq_cp(
            self._memory,
            source,
            target,
            -1,
            -1,
        )

    def trim(
        self,
        slot: int,
        length: int,
    ) -> None:
        """Forget what a slot holds from position `length` on."""
        self._llama.llama_memory_seq_rm(
            self._memory,
            slot,
            length,
            -1,
        )

    def use_threads(self, threads: int) -> None:
        """Compute with this many threads from now on."""
        self._llama.llama_set_n_threads(self._context, threads, threads)

    def close(self) -> None:
        """Give the memory back."""
        self._free()

    def _decode_batch(
        self,
        count: int,
        outputs: int,
    ) -> Logits:
        clear_log()
        status = self._llama.llama_decode(self._context, self._batch.first(count))
        if status != 0:
            raise ModelError(
                f"llama.cpp could not decode {count} tokens (status {status}): {last_log()}"
            )
        if outputs == 0:
            return np.empty((0, self.n_vocab), dtype=np.float32)
        address = ctypes.cast(
            self._llama.llama_get_logits(self._context), ctypes.c_void_p
        ).value
        assert address is not None
        block = (ctypes.c_float * (outputs * self.n_vocab)).from_address(address)
        rows: Logits = np.ctypeslib.as_array(block).reshape(outputs, self.n_vocab)
        return rows


class _Batch:
    """A `llama_batch` over arrays of ours, filled anew for each call."""

    def __init__(self, llama: Any) -> None:
        self._tokens = np.zeros(MAX_BATCH, dtype=np.int32)
        self._positions = np.zeros(MAX_BATCH, dtype=np.int32)
        self._slot_counts = np.ones(MAX_BATCH, dtype=np.int32)
        self._slots = np.zeros(MAX_BATCH, dtype=np.int32)
        self._slot_pointers = (
            self._slots.ctypes.data + 4 * np.arange(MAX_BATCH)
        ).astype(np.uint64)
        self._wanted = np.zeros(MAX_BATCH, dtype=np.int8)
        self._batch = llama.llama_batch()
        arrays: dict[str, np.ndarray[Any, Any]] = {
            "token": self._tokens,
            "pos": self._positions,
            "n_seq_id": self._slot_counts,
            "seq_id": self._slot_pointers,
            "logits": self._wanted,
        }
        kinds = dict(llama.llama_batch._fields_)
        for name, array in arrays.items():
            setattr(self._batch, name, ctypes.cast(array.ctypes.data, kinds[name]))

    def fill(
        self,
        tokens: Sequence[int] | Tokens,
        positions: Sequence[int],
        slots: Sequence[int],
        first_output: int,
    ) -> None:
        """Tokens with their positions and slots; logits are wanted from `first_output`
        on.
        """
        count = len(tokens)
        self._tokens[:count] = tokens
        self._positions[:count] = positions
        self._slots[:count] = slots
        self._wanted[:first_output] = 0
        self._wanted[first_output:count] = 1

    def first(self, count: int) -> Any:
        """The batch with its first `count` entries."""
        self._batch.n_tokens = count
        return self._batch
