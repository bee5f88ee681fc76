"""Batches keep documents apart and weigh answers only."""

from __future__ import annotations

from itertools import islice

import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")

import torch

from themis_lib.engine.tiny.batches import LONG, SHORT, Batch, batches, documents
from themis_lib.engine.tiny.tokenizer import ASSISTANT, BEGIN, END
from themis_lib.engine.tiny.train import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    """The tokenizer of one seed."""
    return train_tokenizer(1)


def test_a_token_sees_itself_and_the_earlier_ones_of_its_document():
    """The mask has the shape (rows, 1, length, length)."""
    batch = Batch(
        ids=torch.zeros(1, 4, dtype=torch.long),
        documents=torch.tensor([[0, 0, 1, 1]]),
        weights=torch.zeros(1, 4),
    )

    expected = [
        [True, False, False, False],
        [True, True, False, False],
        [False, False, True, False],
        [False, False, True, True],
    ]
    assert [[expected]] == batch.mask().tolist()


def test_a_document_weighs_answers_and_their_ends(tokenizer):
    """The weight changes after an assistant's token and after an end."""
    assistant = tokenizer.token_to_id(ASSISTANT)
    end = tokenizer.token_to_id(END)

    for document in islice(documents(tokenizer, 1), 200):
        assert len(document.ids) == len(document.weights)
        assert len(document.ids) <= LONG
        if assistant not in document.ids:
            continue
        inside = False
        for token, weight in zip(document.ids, document.weights, strict=True):
            assert inside == (weight > 0)
            if token == assistant:
                inside = True
            elif token == end:
                inside = False


def test_the_first_steps_repeat_random_tokens(tokenizer):
    """What is weighed came up in the same document before."""
    [[batch]] = islice(batches(tokenizer, 2), 1)
    begin = tokenizer.token_to_id(BEGIN)
    end = tokenizer.token_to_id(END)

    ids = batch.ids[0][batch.documents[0] == 0].tolist()
    half = (len(ids) - 3) // 2

    assert SHORT == batch.ids.shape[1]
    assert [begin, end] == [ids[0], ids[-1]]
    assert ids[1 : 1 + half] == ids[2 + half : -1]


def test_a_seed_fixes_the_batches(tokenizer):
    """The same seed gives the same rows, another seed gives others."""
    first, again, other = (next(batches(tokenizer, seed))[0].ids for seed in (3, 3, 4))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
