"""How often the model is right on held-out problems, answering greedily."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from torch import Tensor

from themis_lib.engine.tiny.corpus import SHOW_WORK, Example, examination
from themis_lib.engine.tiny.model import TinyLlama
from themis_lib.engine.tiny.tokenizer import END, opened

#: Draws the problems examined; the evaluation set is drawn with another.
_SEED = 1


def accuracies(
    model: TinyLlama,
    tokenizer: Tokenizer,
    groups: list[str],
    count: int,
    instructions: str | None = None,
) -> dict[str, float]:
    """The share of `count` held-out problems of each group that the model answers
    right.

    Under `SHOW_WORK` an answer counts by its last line, `A: …`.
    """
    return {
        group: _share_right(
            model,
            tokenizer,
            examination(group, count, _SEED),
            instructions,
        )
        for group in groups
    }


def answers(
    model: TinyLlama,
    tokenizer: Tokenizer,
    prompts: list[str],
    instructions: str | None,
    most: int,
) -> list[str]:
    """The greedy answer to each prompt, at most `most` tokens long."""
    asked = [tokenizer.encode(opened(prompt, instructions)).ids for prompt in prompts]
    longest, end = max(map(len, asked)), tokenizer.token_to_id(END)
    ids = torch.tensor(
        [tokens + [end] * (longest + most - len(tokens)) for tokens in asked]
    )
    with torch.no_grad():
        lengths = _write_continuations(
            model,
            ids,
            torch.tensor([len(tokens) for tokens in asked]),
            most,
            end,
        )
    return [
        tokenizer.decode(ids[row, len(tokens) : lengths[row]].tolist())
        for row, tokens in enumerate(asked)
    ]


def _write_continuations(
    model: TinyLlama,
    ids: Tensor,
    lengths: Tensor,
    most: int,
    end: int,
) -> Tensor:
    """Write the likeliest continuations into `ids`, each until `end`; the length of
    every row then.
    """
    rows, running = torch.arange(len(ids)), torch.ones(len(ids), dtype=torch.bool)
    for _ in range(most):
        width = int(lengths.max())
        causal = torch.ones(width, width, dtype=torch.bool).tril()[None, None]
        hidden = model(ids[:, :width], causal)
        chosen = model.logits(hidden[rows, lengths - 1]).argmax(-1)
        running = running & (chosen != end)
        if not running.any():
            break
        ids[rows[running], lengths[running]] = chosen[running]
        lengths = lengths + running.long()
    return lengths


def _share_right(
    model: TinyLlama,
    tokenizer: Tokenizer,
    asked: list[Example],
    instructions: str | None,
) -> float:
    most = 200 if instructions == SHOW_WORK else 40
    given = answers(
        model,
        tokenizer,
        [example.prompt for example in asked],
        instructions,
        most,
    )
    right = [
        answer.splitlines()[-1:] == [f"A: {example.answer}"]
        if instructions
        else answer == example.answer
        for answer, example in zip(given, asked, strict=True)
    ]
    return float(sum(right) / len(right))
