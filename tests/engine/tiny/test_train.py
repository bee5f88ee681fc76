"""Training is the same each time, and lowers the loss."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("gguf")
pytest.importorskip("tokenizers")

import torch

from themis_lib.engine.tiny.train import (
    learning_rate_share,
    print_scores,
    train_model,
    train_tokenizer,
)


def test_the_learning_rate_rises_stays_and_falls():
    """It never reaches zero."""
    shares = [learning_rate_share(step, 1000) for step in range(1000)]

    assert shares[:100] == sorted(shares[:100])
    assert {1.0} == set(shares[100:500])
    assert shares[510:] == sorted(shares[510:], reverse=True)
    assert 0 < shares[-1] < 0.02


def test_the_tokenizer_is_fixed_by_its_seed():
    """Other texts give other merges."""
    first, again, other = (train_tokenizer(seed).to_str() for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_two_trainings_give_the_same_weights(tmp_path):
    """A step changes the weights, and the same seed gives the same ones."""
    out = tmp_path / "tiny.gguf"
    first, again, longer = (train_model(steps, 1, out)[0] for steps in (1, 1, 2))

    for name, weights in first.state_dict().items():
        assert torch.equal(weights, again.state_dict()[name])
    assert not torch.equal(first.embedding.weight, longer.embedding.weight)


def test_scores_are_printed_one_group_a_line(capsys):
    """Shares are percentages."""
    print_scores({"add": 1.0, "copy": 0.745})

    assert ["  add                100.0%", "  copy                74.5%"] == (
        capsys.readouterr().out.splitlines()
    )
