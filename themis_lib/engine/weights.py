"""A model file in memory: its weights, its vocabulary, and what its header says."""

from __future__ import annotations

import ctypes
import os
import warnings
import weakref
from functools import cached_property
from pathlib import Path
from typing import Any

from themis_lib.engine.build import clear_log, last_log, load_llama_cpp
from themis_lib.errors import ModelError

#: Keys and values, each of two bytes.
_BYTES_OF_A_PAIR = 4


class Weights:
    """The weights and the vocabulary of a GGUF file, through llama.cpp. Raises
    `ModelError` where it cannot be read.

    Reading a vocabulary and tokenizing is safe from any thread.
    """

    def __init__(self, path: Path) -> None:
        llama = load_llama_cpp()
        llama.llama_backend_init()
        clear_log()
        parameters = llama.llama_model_default_params()
        parameters.n_gpu_layers = 0
        self.llama: Any = llama
        self.model = llama.llama_model_load_from_file(os.fsencode(path), parameters)
        if (
            "KMP_BLOCKTIME" not in os.environ
        ):  # ggml has set it, and every process started from here would have it
            os.unsetenv("KMP_BLOCKTIME")
        if not self.model:
            raise ModelError(
                f"{path}: llama.cpp cannot load this model: {last_log() or 'it gives no reason'}"
            )
        if llama.llama_model_has_encoder(
            self.model
        ) or not llama.llama_model_has_decoder(self.model):
            raise ModelError(
                f"{path}: the model does not generate text; choose a decoder"
            )
        if llama.llama_model_is_recurrent(self.model) or llama.llama_model_is_hybrid(
            self.model
        ):
            raise ModelError(
                f"{path}: recurrent models cannot share prompts here; choose a transformer"
            )
        weakref.finalize(
            self, llama.llama_model_free, self.model
        ).atexit = False  # contexts still use it
        self.path = path
        self.vocab = llama.llama_model_get_vocab(self.model)
        self.n_vocab = int(llama.llama_vocab_n_tokens(self.vocab))
        self.trained_context = int(llama.llama_model_n_ctx_train(self.model))
        self._pieces: dict[int, bytes] = {}

    @property
    def bytes_per_token(self) -> int:
        """Bytes that one token takes in a context."""
        llama, model = self.llama, self.model
        head = self.metadata(
            f"{self.metadata('general.architecture')}.attention.key_length"
        )
        if head is None:
            head = llama.llama_model_n_embd(model) // max(
                llama.llama_model_n_head(model), 1
            )
        values = (
            llama.llama_model_n_layer(model)
            * llama.llama_model_n_head_kv(model)
            * int(head)
        )
        return _BYTES_OF_A_PAIR * int(values)

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """The tokens that end a text or a turn."""
        is_end = self.llama.llama_vocab_is_eog
        return frozenset(
            token for token in range(self.n_vocab) if is_end(self.vocab, token)
        )

    @cached_property
    def first_token(self) -> int:
        """What stands for an empty prompt: the beginning of a sequence, or its end, or
        the first token there is.
        """
        candidates = (
            self.llama.llama_vocab_bos(self.vocab),
            self.llama.llama_vocab_eos(self.vocab),
            0,
        )
        return next(int(token) for token in candidates if token >= 0)

    @cached_property
    def constraint_tokenizer(self) -> Any:
        """The vocabulary as `llguidance` reads it."""
        from llguidance.llamacpp import lltokenizer_from_vocab

        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # it asks llama.cpp by names that have newer ones
            return lltokenizer_from_vocab(self.vocab, eos_token=sorted(self.end_tokens))

    @cached_property
    def chat_template(self) -> str:
        """The template that the file brings; empty where it brings none."""
        return self.metadata("tokenizer.chat_template") or ""

    @cached_property
    def specials(self) -> dict[str, str]:
        """The texts of `bos_token` and `eos_token`; empty where there is none."""
        return {f"{name}_token": self._special_text(name) for name in ("bos", "eos")}

    def _special_text(self, name: str) -> str:
        token = int(getattr(self.llama, f"llama_vocab_{name}")(self.vocab))
        return (
            ""
            if token < 0
            else self.llama.llama_vocab_get_text(self.vocab, token).decode(
                "utf-8", "replace"
            )
        )

    def tokenize(
        self,
        text: str,
        *,
        add_special: bool,
        parse_special: bool,
    ) -> list[int]:
        """The tokens of a text; lone surrogates become question marks, as no vocabulary
        has them.
        """
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        while True:
            tokens = (ctypes.c_int32 * room)()
            count = self.llama.llama_tokenize(
                self.vocab,
                data,
                len(data),
                tokens,
                room,
                add_special,
                parse_special,
            )
            if count >= 0:
                return tokens[:count]
            room = -count

    def tokenize_behind(self, text: str) -> list[int]:
        """The tokens of a text that follows another: without the space that some
        vocabularies put before a first word.

        Where the text begins with a line break it is cut like a text of its own, since
        line breaks may be one token.
        """
        before = self.tokenize(
            "\n",
            add_special=False,
            parse_special=False,
        )
        both = self.tokenize(
            f"\n{text}",
            add_special=False,
            parse_special=False,
        )
        if both[: len(before)] == before:
            return both[len(before) :]
        return self.tokenize(
            text,
            add_special=False,
            parse_special=False,
        )

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; none for control tokens."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._read_piece(token, special=False)
            if not piece and not self.llama.llama_vocab_is_control(self.vocab, token):
                piece = self._read_piece(
                    token, special=True
                )  # the unknown token, which constraints read as text
            piece = self._pieces.setdefault(token, piece)
        return piece

    def _read_piece(
        self,
        token: int,
        *,
        special: bool,
    ) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = self.llama.llama_token_to_piece(
                self.vocab,
                token,
                buffer,
                room,
                0,
                special,
            )
            if count >= 0:
                return buffer.raw[:count]
            room = -count

    def metadata(self, key: str) -> str | None:
        """A value of the file's header as text; None where it has no such key."""
        room = 1024
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = self.llama.llama_model_meta_val_str(
                self.model,
                key.encode(),
                buffer,
                room,
            )
            if count < 0:
                return None
            if count < room:
                return buffer.raw[:count].decode("utf-8", "replace")
            room = count + 1
