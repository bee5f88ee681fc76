"""A plain llama.cpp server that decodes what is waiting together, as servers do.

It has OpenAI's Chat Completions with log-probabilities. Unlike the engine it does
nothing for equal bits: one KV cache for all sequences, flash attention, and prompts
computed together. Run as `python -m tests.support.batched_server MODEL PORT`.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
from dataclasses import dataclass, field
from typing import Any

import llama_cpp as llama
import numpy as np
from aiohttp import web

_MOST_SEQUENCES = 64
_CONTEXT = 16_384
_BATCH = 2048
#: How long requests are waited for that may join the next batch.
_GATHER_S = 0.02


@dataclass
class Sequence:
    """A request under way: what is to be computed next, and what was written."""

    future: asyncio.Future[list[dict[str, Any]]]
    tokens: list[int]
    max_tokens: int
    position: int = 0
    written: list[dict[str, Any]] = field(default_factory=list)


class Model:
    """A model and one context, for batches of sequences that are decoded together."""

    def __init__(self, path: str) -> None:
        llama.llama_backend_init()
        self._model = llama.llama_load_model_from_file(
            path.encode(), llama.llama_model_default_params()
        )
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = _CONTEXT
        parameters.n_batch = parameters.n_ubatch = _BATCH
        parameters.n_seq_max = _MOST_SEQUENCES
        parameters.n_threads = parameters.n_threads_batch = 1
        parameters.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_ENABLED
        parameters.kv_unified = True
        self._context = llama.llama_init_from_model(self._model, parameters)
        self._vocab = llama.llama_model_get_vocab(self._model)
        self._size = llama.llama_vocab_n_tokens(self._vocab)
        self._batch = llama.llama_batch_init(_BATCH, 0, 1)

    def tokenize(self, text: str) -> list[int]:
        data = text.encode()
        tokens = (llama.llama_token * (len(data) + 8))()
        count = llama.llama_tokenize(
            self._vocab, data, len(data), tokens, len(tokens), True, True
        )
        return list(tokens[:count])

    def generate(self, sequences: list[Sequence]) -> None:
        """Write the answers of some sequences, all together."""
        memory = llama.llama_get_memory(self._context)
        llama.llama_memory_clear(memory, True)
        live = dict(enumerate(sequences))
        while live:
            for slot, logits in self._decode(live).items():
                if self._is_finished(live[slot], logits):
                    llama.llama_memory_seq_rm(memory, slot, -1, -1)
                    del live[slot]

    def _decode(self, live: dict[int, Sequence]) -> dict[int, Any]:
        """Compute what the sequences are to compute next; return their last logits."""
        entries = []
        for slot, sequence in live.items():
            last = len(sequence.tokens) - 1
            for at, token in enumerate(sequence.tokens):
                entries.append((slot, token, sequence.position + at, at == last))
            sequence.position += len(sequence.tokens)
        found = {}
        for start in range(0, len(entries), _BATCH):
            chunk = entries[start : start + _BATCH]
            for at, (slot, token, position, is_wanted) in enumerate(chunk):
                self._batch.token[at] = token
                self._batch.pos[at] = position
                self._batch.n_seq_id[at] = 1
                self._batch.seq_id[at][0] = slot
                self._batch.logits[at] = is_wanted
            self._batch.n_tokens = len(chunk)
            assert llama.llama_decode(self._context, self._batch) == 0
            for at, (slot, _, _, is_wanted) in enumerate(chunk):
                if is_wanted:
                    pointer = llama.llama_get_logits_ith(self._context, at)
                    row = np.ctypeslib.as_array(pointer, shape=(self._size,))
                    found[slot] = row.astype(np.float64)
        return found

    def _is_finished(self, sequence: Sequence, logits: Any) -> bool:
        """Take the likeliest token; return whether the answer ends with it."""
        rated = logits - logits.max()
        rated -= np.log(np.exp(rated).sum())
        order = np.argsort(-rated, kind="stable")[:5]
        token = int(order[0])
        if llama.llama_vocab_is_eog(self._vocab, token):
            return True
        likely = [self._rated(int(other), rated) for other in order]
        sequence.written.append({**likely[0], "top_logprobs": likely})
        sequence.tokens = [token]
        return len(sequence.written) >= sequence.max_tokens

    def _rated(self, token: int, rated: Any) -> dict[str, Any]:
        buffer = ctypes.create_string_buffer(64)
        length = llama.llama_token_to_piece(self._vocab, token, buffer, 64, 0, False)
        text = buffer.raw[:length].decode(errors="replace")
        return {"token": text, "logprob": float(rated[token]), "bytes": None}


class Server:
    """Requests that wait are gathered, and answered as one batch."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._waiting: list[Sequence] = []
        self._arrived = asyncio.Event()

    async def work(self) -> None:
        while True:
            await self._arrived.wait()
            await asyncio.sleep(_GATHER_S)
            self._arrived.clear()
            while self._waiting:
                batch = self._waiting[:_MOST_SEQUENCES]
                del self._waiting[:_MOST_SEQUENCES]
                await asyncio.to_thread(self._model.generate, batch)
                for sequence in batch:
                    sequence.future.set_result(sequence.written)

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "tiny"}]})

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        prompt = "\n".join(str(turn["content"]) for turn in body["messages"])
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(
            Sequence(
                future,
                self._model.tokenize(prompt + "\n"),
                int(body.get("max_tokens") or 16),
            )
        )
        self._arrived.set()
        written = await future
        text = "".join(item["token"] for item in written)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "length",
            "logprobs": {"content": written} if body.get("logprobs") else None,
        }
        return web.json_response(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1_700_000_000,
                "model": body["model"],
                "choices": [choice],
                "usage": {
                    "prompt_tokens": 1,
                    "completion_tokens": len(written),
                    "total_tokens": 1 + len(written),
                },
            }
        )


async def _working(app: web.Application) -> None:
    server = app["server"]
    app["task"] = asyncio.ensure_future(server.work())


def main(path: str, port: int) -> None:
    app = web.Application()
    server = Server(Model(path))
    app["server"] = server
    app.router.add_get("/v1/models", server.models)
    app.router.add_post("/v1/chat/completions", server.answer)
    app.on_startup.append(_working)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
