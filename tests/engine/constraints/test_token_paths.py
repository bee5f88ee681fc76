"""As few tokens as a budget has are found where they exist."""

from __future__ import annotations

import pytest

from tests.support.reference_automaton import Automaton
from tests.support.vocabularies import POOR, TOKENIZER, Vocabulary
from themis_lib.engine.constraints.derivatives import Derivatives
from themis_lib.engine.constraints.patterns import translate
from themis_lib.engine.constraints.token_paths import sort_vocabulary, tokens_within


def within(limit: int, pattern: str, tokenizer=TOKENIZER) -> str | None:
    """Return the text of the tokens found."""
    known = Derivatives(translate(pattern).expression)
    vocabulary = sort_vocabulary(tokenizer)
    tokens = tokens_within(limit, known, known.start, vocabulary)
    assert tokens is None or len(tokens) <= limit
    return None if tokens is None else tokenizer.decode_str(tokens)


def test_a_longer_text_of_fewer_tokens_is_found() -> None:
    """`hello` is one token of this vocabulary, `xyz` are three."""
    assert "hello" == within(1, "xyz|hello")
    assert within(0, "xyz|hello") is None


def test_tokens_may_be_parts_of_a_character_or_span_items() -> None:
    """Tokens are bytes: neither characters nor items of a pattern are their borders."""
    assert "日" == within(3, "[日-本]")
    assert 'x"},{' == within(3, 'x"[}],[{]')


def test_a_vocabulary_without_letters_is_searched_too() -> None:
    """There are texts that it cannot write at all."""
    assert "abab1" == within(2, "(?:ab){2}1", POOR)
    assert within(9, "a", POOR) is None


def test_neighbours_share_their_beginnings_in_order() -> None:
    """The vocabulary is sorted, and has no special tokens and none without text."""
    vocabulary = sort_vocabulary(TOKENIZER)

    assert sorted(vocabulary.pieces) == vocabulary.pieces
    assert not {0, 1} & set(vocabulary.tokens)
    place = vocabulary.pieces.index(b"ab")
    assert (b"a", 1) == (vocabulary.pieces[place - 2], vocabulary.shared[place - 1])


@pytest.mark.parametrize(
    "pattern",
    [
        r".*Answer: \d+",
        "<b>[^<]*</b>",
        "(?:xyz|hello w?){2}",
        "(?:ab|12|a{4}){3}c",
        "(?:yes|no)(?:, hello)+",
    ],
)
def test_the_fewest_tokens_are_found(pattern: str) -> None:
    """As few as an exhaustive search over a plain automaton needs, and no fewer."""
    automaton = Automaton(translate(pattern).expression)
    fewest = automaton.fewest(list(Vocabulary.tokens[2:]), 100)
    assert fewest is not None

    text = within(fewest, pattern)

    assert text is not None
    assert automaton.accepts(text.encode())
    assert not fewest or within(fewest - 1, pattern) is None
