"""A model file in memory: its weights, its vocabulary, and its header."""

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
    """The weights and the vocabulary of a GGUF file, through llama.cpp.

    If `repacked`, llama.cpp may rearrange weights for the kernels of this processor,
    which compute other bits. Raises `ModelError` if the file cannot be read. Reading a
    vocabulary and tokenizing is safe from any thread.
    """

    def __init__(
        self,
        path: Path,
        *,
        repacked: bool = True,
    ) -> None:
        llama = load_llama_cpp()
        llama.llama_backend_init()
        clear_log()
        parameters = llama.llama_model_default_params()
        # A graphics card computes other bits.
        parameters.n_gpu_layers = 0
        parameters.use_extra_bufts = repacked
        self.llama: Any = llama
        self.model = llama.llama_model_load_from_file(os.fsencode(path), parameters)
        # ggml has set it in the environment below Python, and every process started
        # from here would have it.
        if "KMP_BLOCKTIME" not in os.environ:
            os.unsetenv("KMP_BLOCKTIME")
        if not self.model:
            raise ModelError(
                f"{path}: llama.cpp cannot load this model: "
                f"{last_log() or 'it gives no reason'}"
            )
        _check_architecture(
            path,
            llama,
            self.model,
        )
        finalizer = weakref.finalize(
            self,
            llama.llama_model_free,
            self.model,
        )
        # When the interpreter ends, contexts still use it.
        finalizer.atexit = False
        self.path = path
        self.vocab = llama.llama_model_get_vocab(self.model)
        self.n_vocab = int(llama.llama_vocab_n_tokens(self.vocab))
        self.trained_context = int(llama.llama_model_n_ctx_train(self.model))
        # In tokens; 0 where every layer attends to all of them.
        self.sliding_window = int(llama.llama_model_n_swa(self.model))
        # Each token comes many times, and a call through ctypes is slow.
        self._pieces: dict[int, bytes] = {}

    @property
    def bytes_per_token(self) -> int:
        """Bytes that one token takes in a context."""
        llama = self.llama
        model = self.model
        architecture = self.metadata("general.architecture")
        # Heads may be wider or narrower than their share of the embedding.
        head = self.metadata(f"{architecture}.attention.key_length")
        if head is None:
            width = llama.llama_model_n_embd(model)
            head = width // max(llama.llama_model_n_head(model), 1)
        layers = llama.llama_model_n_layer(model)
        heads = llama.llama_model_n_head_kv(model)
        pairs = int(layers * heads * int(head))
        return _BYTES_OF_A_PAIR * pairs

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """The tokens that end a text or a turn."""
        is_end = self.llama.llama_vocab_is_eog
        vocab = self.vocab
        found = (token for token in range(self.n_vocab) if is_end(vocab, token))
        return frozenset(found)

    @cached_property
    def first_token(self) -> int:
        """The token that stands for an empty prompt.

        It is the beginning of a sequence, or its end, or else token 0.
        """
        # -1 is a token that the vocabulary lacks.
        for find_token in (
            self.llama.llama_vocab_bos,
            self.llama.llama_vocab_eos,
        ):
            token = int(find_token(self.vocab))
            if token >= 0:
                return token
        return 0

    @cached_property
    def constraint_tokenizer(self) -> Any:
        """The vocabulary as `llguidance` reads it."""
        # Imported here: it takes a while, and few texts are constrained.
        from llguidance.llamacpp import lltokenizer_from_vocab

        with warnings.catch_warnings():
            # It asks llama.cpp by names that have newer ones.
            warnings.simplefilter("ignore", DeprecationWarning)
            return lltokenizer_from_vocab(
                self.vocab,
                eos_token=sorted(self.end_tokens),
            )

    @cached_property
    def chat_template(self) -> str:
        """The template that the file brings; empty if it brings none."""
        return self.metadata("tokenizer.chat_template") or ""

    @cached_property
    def specials(self) -> dict[str, str]:
        """The texts of `bos_token` and `eos_token`; empty where there is none."""
        found: dict[str, str] = {}
        for name, find_token in (
            ("bos_token", self.llama.llama_vocab_bos),
            ("eos_token", self.llama.llama_vocab_eos),
        ):
            token = int(find_token(self.vocab))
            found[name] = ""
            if token >= 0:
                text = self.llama.llama_vocab_get_text(self.vocab, token)
                found[name] = text.decode("utf-8", "replace")
        return found

    def tokenize(
        self,
        text: str,
        *,
        add_special: bool,
        parse_special: bool,
    ) -> list[int]:
        """Return the tokens of a text.

        Lone surrogates become question marks, as no vocabulary has them.
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
            # A negative count is the room that it takes.
            room = -count

    def tokenize_behind(self, text: str) -> list[int]:
        """Return the tokens of a text that follows another.

        Some vocabularies put a space before a first word: here they do not. A text that
        begins with a line break is cut on its own, since line breaks may be one token.
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
        length = len(before)
        if both[:length] == before:
            return both[length:]
        return self.tokenize(
            text,
            add_special=False,
            parse_special=False,
        )

    def piece(self, token: int) -> bytes:
        """Return the bytes a token stands for; none for control tokens."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._read_piece(token, special=False)
            is_control = self.llama.llama_vocab_is_control
            # The unknown token, which constraints read as text.
            if not piece and not is_control(self.vocab, token):
                piece = self._read_piece(token, special=True)
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
            # The 0 is how many spaces to leave out at the beginning.
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
        """Return a value of the file's header as text, or `None` if it has no such key."""
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
            # Like `snprintf`, it counts what it would write, without the null at the end.
            if count < room:
                return buffer.raw[:count].decode("utf-8", "replace")
            room = count + 1


def _check_architecture(
    path: Path,
    llama: Any,
    model: Any,
) -> None:
    has_encoder = llama.llama_model_has_encoder(model)
    if has_encoder or not llama.llama_model_has_decoder(model):
        raise ModelError(f"{path}: the model does not generate text; choose a decoder")
    # Their state cannot be cut back to a beginning, as a KV cache can.
    if llama.llama_model_is_recurrent(model) or llama.llama_model_is_hybrid(model):
        raise ModelError(
            f"{path}: recurrent models cannot share prompts here; choose a transformer"
        )
