"""Small vocabularies for llguidance, and what can be written in them."""

from __future__ import annotations

import functools

import pytest

from themis_lib.engine.constraints.constraint import constraint

llguidance = pytest.importorskip("llguidance")


class Bytes:
    """A vocabulary of single bytes."""

    eos_token_id = 256
    bos_token_id = None
    tokens = (*(bytes([byte]) for byte in range(256)), b"</s>")

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)


class Vocabulary:
    """Every byte and some longer pieces, read greedily; the first tokens are two ends
    of sequence.
    """

    eos_token_id = 0
    bos_token_id = None
    special_token_ids = (0, 1)
    pieces = (
        b"ab",
        b"12",
        b'"}',
        b'":',
        b'",',
        b"},{",
        b"true",
        b"null",
        b"hello",
        b" w",
        "é".encode(),
        b"[]",
        b"aaaa",
    )
    tokens = (b"</s>", b"<end>", *(bytes([byte]) for byte in range(256)), *pieces)

    def __call__(self, text: bytes | str) -> list[int]:
        rest, found = text.encode() if isinstance(text, str) else text, []
        while rest:
            size = next(size for size in (5, 4, 3, 2, 1) if rest[:size] in self.known)
            found.append(self.known[rest[:size]])
            rest = rest[size:]
        return found

    @functools.cached_property
    def known(self) -> dict[bytes, int]:
        return {piece: token for token, piece in enumerate(self.tokens)}


class WithoutLetters(Vocabulary):
    """A vocabulary that can write `ab` but neither letter alone."""

    tokens = (b"</s>", b"<end>", b"ab", b"abab", b"1")


BYTES = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Bytes()))
TOKENIZER = llguidance.LLTokenizer(
    llguidance.TokenizerWrapper(Vocabulary()), eos_token=[0, 1]
)
POOR = llguidance.LLTokenizer(
    llguidance.TokenizerWrapper(WithoutLetters()), eos_token=[0, 1]
)


def accepts(text: str, **asked) -> bool:
    """Whether a text can be written under what was asked for."""
    matcher = llguidance.LLMatcher(BYTES, constraint(**asked).grammar, log_level=0)
    encoded = list(text.encode())
    return matcher.validate_tokens([*encoded, 256]) == len(encoded) + 1
