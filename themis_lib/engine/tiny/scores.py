"""Scores of the model: how often it is right on held-out problems, greedily."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from torch import Tensor

from themis_lib.engine.tiny.corpus import SHOW_WORK, Example, examination
from themis_lib.engine.tiny.model import TinyLlama
from themis_lib.engine.tiny.tokenizer import END, render_request

# Draws the problems examined; the evaluation set is drawn with another.
_SEED = 1
# The most tokens of an answer, with written work and without.
_MOST_WORK_TOKENS = 200
_MOST_ANSWER_TOKENS = 40


def accuracies(
    model: TinyLlama,
    tokenizer: Tokenizer,
    groups: list[str],
    count: int,
    instructions: str | None = None,
) -> dict[str, float]:
    """Return the share of held-out problems that the model answers right, by group.

    Each group has `count` problems. With instructions, an answer counts by its last
    line, `A: …`.
    """
    most = _MOST_ANSWER_TOKENS
    if instructions == SHOW_WORK:
        most = _MOST_WORK_TOKENS
    shares: dict[str, float] = {}
    for group in groups:
        examined = examination(group, count, _SEED)
        given = answers(
            model,
            tokenizer,
            [example.prompt for example in examined],
            instructions,
            most,
        )
        right = 0
        for answer, example in zip(given, examined, strict=True):
            right += is_right(answer, example, instructions)
        shares[group] = right / count
    return shares


def is_right(
    answer: str,
    example: Example,
    instructions: str | None,
) -> bool:
    """Return whether an answer is the expected one, or ends with it if instructed."""
    if instructions:
        # A slice, as an empty answer has no last line.
        return answer.splitlines()[-1:] == [f"A: {example.answer}"]
    return answer == example.answer


def answers(
    model: TinyLlama,
    tokenizer: Tokenizer,
    prompts: list[str],
    instructions: str | None,
    most: int,
) -> list[str]:
    """Return the greedy answer to each prompt, at most `most` tokens long."""
    end = tokenizer.token_to_id(END)
    asked: list[list[int]] = []
    for prompt in prompts:
        asked.append(tokenizer.encode(render_request(prompt, instructions)).ids)
    sizes = [len(tokens) for tokens in asked]
    # Ends of sequence fill each row up; a causal mask hides them from what is before.
    width = max(sizes) + most
    rows: list[list[int]] = []
    for tokens in asked:
        padding = [end] * (width - len(tokens))
        rows.append(tokens + padding)
    ids = torch.tensor(rows)
    # Without gradients: they would keep every step's activations in memory.
    with torch.no_grad():
        lengths = _write_continuations(
            model,
            ids,
            torch.tensor(sizes),
            most,
            end,
        )
    texts: list[str] = []
    for row, size in enumerate(sizes):
        answer = ids[row, size : lengths[row]]
        texts.append(tokenizer.decode(answer.tolist()))
    return texts


def _write_continuations(
    model: TinyLlama,
    ids: Tensor,
    lengths: Tensor,
    most: int,
    end: int,
) -> Tensor:
    """Write the likeliest continuations into `ids`, each until `end`.

    Returns the length of every row after that; `lengths` are those before.
    """
    rows = torch.arange(len(ids))
    running = torch.ones(len(ids), dtype=torch.bool)
    for _ in range(most):
        # Everything is computed again each time: the model keeps no cache.
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
