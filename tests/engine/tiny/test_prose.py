"""Prose is made of whole sentences, and hardly ever the same twice."""

import re
from random import Random

import pytest

from themis_lib.engine.tiny.prose import open_request, passage, plain_text, sentence


def test_open_answers_hardly_ever_repeat():
    rng = Random(5)
    answers = [open_request(rng)[1] for _ in range(2000)]
    assert 2000 == len(set(answers))
    assert all(4 <= len(re.findall(r"[.!?](?:\"| |$)", answer)) for answer in answers)


def test_articles_agree_with_the_next_word():
    rng = Random(5)
    text = " ".join(plain_text(rng) for _ in range(500))
    assert [] == re.findall(r"\b[Aa] [aeiou]\w*", text)


def test_every_slot_of_a_sentence_is_filled():
    """The first letter is a capital, and names keep theirs."""
    text = sentence(Random(1), "$time, $name saw $topic.", "the Alps")

    assert re.fullmatch(r"[A-Z][a-z ]+, [A-Z][a-z]+ saw the Alps\.", text)


@pytest.mark.parametrize("kind", ["story", "joke", "hello", "any", "topic", "echo"])
def test_a_passage_opens_as_its_kind_and_names_its_topic(kind):
    """No slot is left in a text."""
    rng = Random(2)

    for _ in range(50):
        text = passage(rng, kind, "tea")
        assert "$" not in text
        assert "tea" in text
