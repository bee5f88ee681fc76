"""An answer is right if it is the expected one, or ends with it under instructions."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")

import torch

from themis_lib.engine.tiny.corpus import SHOW_WORK, Example
from themis_lib.engine.tiny.model import Shape, TinyLlama
from themis_lib.engine.tiny.scores import accuracies, answers, is_right
from themis_lib.engine.tiny.tokenizer import END, VOCABULARY, render_request
from themis_lib.engine.tiny.train import train_tokenizer

EXAMPLE = Example(group="add", prompt="2 + 2 =", answer="4")


@pytest.fixture(scope="module")
def tokenizer():
    """The tokenizer of one seed."""
    return train_tokenizer(1)


@pytest.fixture(scope="module")
def model():
    """A small model with random weights."""
    torch.manual_seed(0)
    return TinyLlama(Shape(VOCABULARY, width=64, layers=1, heads=2, hidden=96)).eval()


@pytest.mark.parametrize(
    ("answer", "instructions", "expected"),
    [
        ("4", None, True),
        ("4 ", None, False),
        ("A: 4", None, False),
        ("2 + 2: 4\nA: 4", SHOW_WORK, True),
        ("A: 4\nA: 5", SHOW_WORK, False),
        ("", SHOW_WORK, False),
    ],
)
def test_an_answer_is_compared_as_it_was_asked_for(answer, instructions, expected):
    """Under instructions the last line counts alone."""
    assert expected == is_right(answer, EXAMPLE, instructions)


def test_an_answer_is_the_same_alone_and_beside_others(model, tokenizer):
    """Padding on the right changes nothing, and no answer is longer than asked for."""
    prompts = ["2 + 2 =", "Copy this: a much longer text than the other one"]

    together = answers(model, tokenizer, prompts, None, 6)
    alone = [answers(model, tokenizer, [prompt], None, 6)[0] for prompt in prompts]

    assert alone == together


def test_an_answer_is_the_likeliest_token_each_time(model, tokenizer):
    """One token is what the logits after the request say."""
    ids = torch.tensor([tokenizer.encode(render_request("2 + 2 =")).ids])
    mask = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()[None, None]
    with torch.no_grad():
        likeliest = int(model.logits(model(ids, mask)[:, -1]).argmax())

    [answer] = answers(model, tokenizer, ["2 + 2 ="], None, 1)

    expected = "" if likeliest == tokenizer.token_to_id(END) else likeliest
    assert answer == (expected and tokenizer.decode([expected]))


def test_an_untrained_model_is_never_right(model, tokenizer):
    """The shares are by group."""
    assert {"add": 0.0, "copy": 0.0} == accuracies(model, tokenizer, ["add", "copy"], 3)
