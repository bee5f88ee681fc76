"""Hints are ends of texts that a constraint's patterns match, as single bytes."""

from __future__ import annotations

from tests.support.vocabularies import BYTES, POOR, TOKENIZER
from themis_lib.engine.constraints.constraint import constraint
from themis_lib.engine.constraints.hints import byte_tokens, completion_hints

EVERY_BYTE = {byte: byte for byte in range(256)}


def texts(asked: dict, tokens: dict[int, int] = EVERY_BYTE) -> list[bytes]:
    """Return the hints of a constraint in a vocabulary of bytes."""
    return [bytes(hint) for hint in completion_hints(constraint(**asked), tokens)]


def test_a_byte_has_one_token():
    """Special tokens and longer ones are left out.

    llguidance marks special tokens by the byte 255, which UTF-8 never has.
    """
    assert {byte: byte for byte in range(255)} == byte_tokens(BYTES)
    assert {byte: byte + 2 for byte in range(255)} == byte_tokens(TOKENIZER)
    assert {ord("1"): 4} == byte_tokens(POOR)


def test_the_hints_of_a_pattern_are_the_ends_of_its_examples():
    """The shortest comes first."""
    assert [b"z", b"yz", b"xyz"] == texts({"regex": "xyz"})


def test_the_hints_of_a_schema_close_their_string():
    """Patterns and formats are found at every depth."""
    schema = {
        "type": "array",
        "items": {
            "anyOf": [
                {"type": "string", "pattern": "^ab$"},
                {"type": "string", "format": "ipv6"},
            ]
        },
    }

    assert {b'ab"', b'b"', b'::"', b':"'} == set(texts({"schema": schema}))


def test_a_hint_with_a_byte_without_a_token_is_left_out():
    """It could not be written."""
    assert [b"z"] == texts({"regex": "xyz"}, {ord("z"): ord("z")})


def test_choices_need_no_hints():
    """The rest of each choice is tried instead."""
    assert [] == texts({"choices": ["a", "b"]})
