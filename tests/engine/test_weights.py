"""A vocabulary cuts texts into tokens, and tokens have bytes; a header has settings."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest
from gguf.scripts.gguf_new_metadata import MetadataDetails, copy_with_new_metadata

from tests.support.generated import text_of, write_model
from themis_lib.engine.models import TINY
from themis_lib.engine.weights import Weights
from themis_lib.errors import ModelError

TEXTS = ["", "A", " two  words ", "größer", "🎉", "\n\n", "What is 27 + 58?"]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights(TINY)


@pytest.mark.parametrize("text", TEXTS)
def test_the_pieces_of_a_text_are_its_bytes(weights: Weights, text: str) -> None:
    tokens = weights.tokenize(text, add_special=False, parse_special=False)

    assert text.encode() == b"".join(weights.piece(token) for token in tokens)


def test_lone_surrogates_become_question_marks(weights: Weights) -> None:
    tokens = weights.tokenize("a\ud800b", add_special=False, parse_special=False)

    assert b"a?b" == b"".join(weights.piece(token) for token in tokens)


def test_control_tokens_have_no_bytes(weights: Weights) -> None:
    """They have texts, which are read as such only where that is asked for."""
    end = weights.specials["eos_token"]
    as_control = weights.tokenize(end, add_special=False, parse_special=True)
    as_text = weights.tokenize(end, add_special=False, parse_special=False)

    assert end
    assert [b""] == [weights.piece(token) for token in as_control]
    assert set(as_control) <= weights.end_tokens
    assert end.encode() == b"".join(weights.piece(token) for token in as_text)


def test_a_word_of_the_vocabulary_has_its_bytes(tmp_path: Path) -> None:
    """Asked for again, it is the same object."""
    found = Weights(write_model(tmp_path / "model.gguf", layers=1, extra_tokens=3))

    assert b"word1" == found.piece(260)
    assert found.piece(260) is found.piece(260)


def test_a_header_has_settings_of_any_length(tmp_path: Path, weights: Weights) -> None:
    """Texts longer than the first buffer included, and `None` for what it lacks."""
    template = "{{ messages[0].content }}" * 100
    added = {
        "tokenizer.chat_template": MetadataDetails(
            gguf.GGUFValueType.STRING,
            template,
        )
    }
    plain = write_model(tmp_path / "plain.gguf", layers=1)
    writer = gguf.GGUFWriter(tmp_path / "templated.gguf", "llama")
    copy_with_new_metadata(gguf.GGUFReader(plain), writer, added, [])

    assert "llama" == weights.metadata("general.architecture")
    assert None is weights.metadata("no.such.key")
    assert template == Weights(tmp_path / "templated.gguf").chat_template


def test_a_file_without_a_template_has_an_empty_one(tmp_path: Path) -> None:
    found = Weights(write_model(tmp_path / "model.gguf", layers=1))

    assert "" == found.chat_template
    assert {"bos_token": "<|start|>", "eos_token": "<|end|>"} == found.specials
    assert 258 == found.first_token


def test_a_token_takes_keys_and_values_of_every_layer(tmp_path: Path) -> None:
    """Two bytes each: 3 layers of 2 heads of 64 numbers."""
    path = write_model(tmp_path / "model.gguf", layers=3, width=256, heads=4)

    assert 3 * 2 * 64 * 2 * 2 == Weights(path).bytes_per_token


def test_a_file_that_llama_cpp_refuses_is_an_error_with_its_reason(
    tmp_path: Path,
) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))

    with pytest.raises(ModelError, match=r"broken\.gguf: llama\.cpp cannot load"):
        Weights(tmp_path / "broken.gguf")


@pytest.mark.parametrize("sentencepiece", [True, False], ids=["sentencepiece", "bytes"])
@pytest.mark.parametrize(
    "text", ["A", " A", "  two words ", "größer", "🎉", "\n", "\nA", "3"]
)
def test_a_text_behind_another_is_cut_into_tokens_without_a_space_before_it(
    tmp_path, sentencepiece, text
) -> None:
    """Also where a vocabulary puts one before the first word of a text."""
    weights = Weights(
        write_model(tmp_path / "model.gguf", layers=1, sentencepiece=sentencepiece)
    )

    alone = weights.tokenize("A", add_special=False, parse_special=False)
    behind = weights.tokenize_behind(text)

    assert (" A" if sentencepiece else "A") == text_of(weights, tuple(alone))
    assert text == text_of(weights, tuple(behind)).removeprefix(
        " " if sentencepiece and text[0] == "\n" else ""
    )
