"""The model attends to what its mask shows, and begins by looking back."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch

from themis_lib.engine.tiny.model import Shape, TinyLlama, rotary_angles, rotate

SHAPE = Shape(vocabulary=50, width=64, layers=2, heads=2, hidden=96, context=32)


def causal(length: int):
    return torch.ones(length, length, dtype=torch.bool).tril()[None, None]


@pytest.fixture(scope="module")
def model():
    """A small model with random weights."""
    torch.manual_seed(0)
    return TinyLlama(SHAPE).eval()


def test_a_rotation_keeps_lengths_and_depends_on_the_distance():
    """The product of a query and a key is the same wherever both are."""
    turns = rotary_angles(SHAPE, 10)
    query = torch.randn(1, 1, 1, SHAPE.head_width)
    key = torch.randn(1, 1, 1, SHAPE.head_width)

    products = []
    for position in (3, 7):
        turned_query = rotate(query, turns[:, position : position + 1])
        turned_key = rotate(key, turns[:, position - 3 : position - 2])
        products.append(float((turned_query * turned_key).sum()))

    assert products[0] == pytest.approx(products[1], abs=1e-4)
    assert float(rotate(query, turns[:, 5:6]).norm()) == pytest.approx(
        float(query.norm()), abs=1e-4
    )


def test_a_later_token_changes_nothing_before_it(model):
    """The hidden states have the shape (batch, length, width)."""
    tokens = torch.tensor([[4, 8, 15, 16]])
    changed = torch.tensor([[4, 8, 15, 23]])

    hidden = model(tokens, causal(4))
    hidden_changed = model(changed, causal(4))

    assert (1, 4, 64) == hidden.shape
    assert torch.equal(hidden[:, :3], hidden_changed[:, :3])
    assert not torch.equal(hidden[:, 3], hidden_changed[:, 3])


def test_documents_of_one_row_do_not_see_each_other(model):
    """What is masked is as if it were not there."""
    mask = causal(4).clone()
    mask[..., 2:, :2] = False
    tokens = torch.tensor([[4, 8, 15, 16]])
    other = torch.tensor([[23, 42, 15, 16]])

    assert torch.equal(model(tokens, mask)[:, 2:], model(other, mask)[:, 2:])


def test_the_first_head_begins_by_looking_one_token_back(model):
    """The biases alone prefer the token before."""
    attention = model.blocks[0].attention
    query = attention.split_heads(attention.q.bias.expand(1, 8, -1))
    key = attention.split_heads(attention.k.bias.expand(1, 8, -1))
    turn = model.turns[:, :8]

    scores = rotate(query, turn) @ rotate(key, turn).transpose(-1, -2)

    assert 6 == int(scores[0, 0, 7].argmax())


def test_the_logits_are_products_with_the_embedding(model):
    """The embedding is also the output matrix."""
    hidden = torch.randn(3, 64)

    assert torch.allclose(model.logits(hidden), hidden @ model.embedding.weight.T)


def test_only_parameters_are_stored():
    """The rotary angles are no part of the file."""
    assert not [name for name in TinyLlama(SHAPE).state_dict() if "turns" in name]
