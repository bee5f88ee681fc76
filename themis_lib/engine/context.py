"""A llama.cpp context with one KV stream per slot.

It prefills one slot, decodes many, and copies and trims what they hold. Flash attention
is off and every sequence has its own stream: otherwise the logits of a prompt depend on
how it is cut and on what is decoded beside it.
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

Tokens: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]

#: Tokens in one call to llama.cpp. Another number cuts long prompts elsewhere: where
#: cuts matter, texts change.
MAX_BATCH = 512


class Context:
    """Slots that hold sequences. Not thread-safe: one thread owns it.

    There are `slots` sequences of at most `length` tokens each. Raises `ModelError` if
    memory does not suffice.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        slots: int,
        length: int,
        threads: int,
    ) -> None:
        llama = weights.llama
        self.slots = slots
        self.n_vocab = weights.n_vocab
        self._llama = llama
        parameters = llama.llama_context_default_params()
        # For all slots together: llama.cpp divides it among the streams.
        parameters.n_ctx = slots * length
        # Physical batches as long as logical ones, so that llama.cpp cuts none itself.
        parameters.n_batch = MAX_BATCH
        parameters.n_ubatch = MAX_BATCH
        parameters.n_outputs_max = slots
        parameters.n_seq_max = slots
        parameters.n_threads, parameters.n_threads_batch = _alone_and_together(threads)
        # With flash attention or a unified KV, splitting or batching a prompt changes
        # its logits by up to 5e-2.
        parameters.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.kv_unified = False
        # A sliding window forgets what a shared prefix needs.
        parameters.swa_full = True
        parameters.no_perf = True
        clear_log()
        self._context = llama.llama_init_from_model(weights.model, parameters)
        if not self._context:
            raise ModelError(
                f"{weights.path}: no context of {slots} × {length} tokens: "
                f"{last_log() or 'out of memory?'}; ask for a smaller `window`"
            )
        # The context points into the weights: they must not be collected before it.
        self._weights = weights
        self._free = weakref.finalize(
            self,
            llama.llama_free,
            self._context,
        )
        # When the interpreter ends, the engine's thread may still be decoding in it.
        self._free.atexit = False
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
        """Add tokens to a slot from position `start` on, and return the last logits.

        They are one row, or none if it is not `wanted`. At most `MAX_BATCH` tokens. The
        row is llama.cpp's own memory: read it before the next call.
        """
        count = len(tokens)
        outputs = int(wanted)
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
        """Add one token to each of these slots in one call, and return their logits.

        The rows are in the order of the slots, and are llama.cpp's own memory: read
        them before the next call.
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
        """Replace what one slot holds by what another holds."""
        memory = self._memory
        # -1 means all positions: between streams llama.cpp copies nothing but the whole.
        self._llama.llama_memory_seq_rm(
            memory,
            target,
            -1,
            -1,
        )
        self._llama.llama_memory_seq_cp(
            memory,
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
        self._llama.llama_set_n_threads(
            self._context,
            *_alone_and_together(threads),
        )

    def close(self) -> None:
        """Free the memory."""
        self._free()

    def _decode_batch(
        self,
        count: int,
        outputs: int,
    ) -> Logits:
        # The log holds the last errors of the process: an old one would mislead.
        clear_log()
        batch = self._batch.first(count)
        status = self._llama.llama_decode(self._context, batch)
        if status != 0:
            raise ModelError(
                f"llama.cpp could not decode {count} tokens "
                f"(status {status}): {last_log()}"
            )
        # Without an output there is no row that the pointer could lead to.
        if outputs == 0:
            return np.empty((0, self.n_vocab), dtype=np.float32)
        pointer = self._llama.llama_get_logits(self._context)
        address = ctypes.cast(pointer, ctypes.c_void_p).value
        assert address is not None
        # A view, not a copy: a row has the size of the vocabulary, for every token.
        numbers = ctypes.c_float * (outputs * self.n_vocab)
        flat = np.ctypeslib.as_array(numbers.from_address(address))
        rows: Logits = flat.reshape(outputs, self.n_vocab)
        return rows


def _alone_and_together(threads: int) -> tuple[int, int]:
    """Return the threads for one token and for several, of so many in all."""
    # As llama-cpp-python does. For a token alone more threads wait for each other: on
    # two cores SmolLM2 took 1.6 times as long with two.
    return max(threads // 2, 1), threads


class _Batch:
    """A `llama_batch` over NumPy arrays, filled anew for each call.

    `llama_batch_init` would allocate the same, but filling it takes a Python loop over
    the tokens.
    """

    def __init__(self, llama: Any) -> None:
        self._tokens = np.zeros(MAX_BATCH, dtype=np.int32)
        self._positions = np.zeros(MAX_BATCH, dtype=np.int32)
        self._slot_counts = np.ones(MAX_BATCH, dtype=np.int32)
        self._slots = np.zeros(MAX_BATCH, dtype=np.int32)
        # A pointer for each token, to its element of 4 bytes in the array of slots.
        offsets = 4 * np.arange(MAX_BATCH)
        pointers = self._slots.ctypes.data + offsets
        self._slot_pointers = pointers.astype(np.uint64)
        self._wanted = np.zeros(MAX_BATCH, dtype=np.int8)
        self._batch = llama.llama_batch()
        # The arrays are attributes too: the structure alone would not keep them alive.
        arrays: dict[str, np.ndarray[Any, Any]] = {
            "token": self._tokens,
            "pos": self._positions,
            "n_seq_id": self._slot_counts,
            "seq_id": self._slot_pointers,
            "logits": self._wanted,
        }
        kinds = dict(llama.llama_batch._fields_)
        for name, array in arrays.items():
            pointer = ctypes.cast(array.ctypes.data, kinds[name])
            setattr(self._batch, name, pointer)

    def fill(
        self,
        tokens: Sequence[int] | Tokens,
        positions: Sequence[int],
        slots: Sequence[int],
        first_output: int,
    ) -> None:
        """Set tokens with their positions and slots.

        Logits are wanted from the place `first_output` on.
        """
        count = len(tokens)
        self._tokens[:count] = tokens
        self._positions[:count] = positions
        self._slots[:count] = slots
        self._wanted[:first_output] = 0
        self._wanted[first_output:count] = 1

    def first(self, count: int) -> Any:
        """Return the batch with its first `count` entries."""
        self._batch.n_tokens = count
        return self._batch
