"""Training of the bundled model from nothing.

`python -m themis_lib.engine.tiny.train --out tiny.gguf` writes it. The same steps, seed,
machine and library versions give the same file.
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import Annotated

import torch
import typer
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from themis_lib.engine.tiny.batches import Batch, batches
from themis_lib.engine.tiny.corpus import SHOW_WORK, examples
from themis_lib.engine.tiny.export import export
from themis_lib.engine.tiny.model import Shape, TinyLlama
from themis_lib.engine.tiny.problems import GROUPS
from themis_lib.engine.tiny.scores import accuracies
from themis_lib.engine.tiny.tokenizer import (
    VOCABULARY,
    Turn,
    learn_tokenizer,
    render,
)

#: Seed of the bundled model.
SEED = 20
#: Training steps of the bundled model, about 1,500 tokens each.
STEPS = 10_500
#: Texts that the tokenizer learns from: open answers and task phrasings, but no made-up
#: words.
TOKENIZER_TEXTS = 8_000
# Groups whose texts hold made-up words: their merges would serve nothing else.
_UNUSUAL_GROUPS = ("copy", "reverse")
# The full learning rate, and the steps until it is reached.
_RATE = 2e-3
_WARMUP = 100
# Steps between two lines of progress, and between two files.
_PROGRESS_STEPS = 200
_EXPORT_STEPS = 1000
# The places of a step's loss come in multiples of this, see `_round_up_places`.
_PLACES = 256


def train_model(
    steps: int,
    seed: int,
    out: Path,
) -> tuple[TinyLlama, Tokenizer]:
    """Return a model trained for `steps` steps, and its tokenizer.

    Prints a line every 200 steps, and writes the model so far to `out` every 1000.
    """
    # Before anything is drawn: the first weights come from this generator.
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(seed)
    model = TinyLlama(Shape(VOCABULARY))
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=_RATE,
        betas=(0.9, 0.98),
        weight_decay=0.01,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: learning_rate_share(step, steps),
    )
    began = time.monotonic()
    total = 0.0
    stream = islice(batches(tokenizer, seed), steps)
    for step, step_batches in enumerate(stream, start=1):
        total += _take_step(model, step_batches, optimizer)
        schedule.step()
        if step % _PROGRESS_STEPS == 0:
            elapsed_s = time.monotonic() - began
            left_s = elapsed_s / step * (steps - step)
            print(
                f"step {step}/{steps}  loss {total / _PROGRESS_STEPS:.4f}  "
                f"{elapsed_s:.0f} s, {left_s:.0f} s left",
                flush=True,
            )
            total = 0.0
        # The last file is the caller's.
        if step % _EXPORT_STEPS == 0 and step < steps:
            export(model, tokenizer, out)
    return model, tokenizer


def train_tokenizer(seed: int) -> Tokenizer:
    """Return the tokenizer of the corpus that `seed` fixes."""
    texts: list[str] = []
    for example in islice(examples(seed), TOKENIZER_TEXTS):
        if example.group not in _UNUSUAL_GROUPS:
            turn = Turn(example.prompt, example.answer)
            texts.append(render([turn], example.instructions))
    return learn_tokenizer(texts)


def print_scores(scores: dict[str, float]) -> None:
    """Print one line for each group."""
    for group, score in scores.items():
        print(f"  {group:<18}{score:7.1%}", flush=True)


def main(
    out: Annotated[
        Path,
        typer.Option(help="Where to write the model."),
    ] = Path("tiny.gguf"),
    steps: Annotated[
        int,
        typer.Option(help="Training steps."),
    ] = STEPS,
    seed: Annotated[
        int,
        typer.Option(help="Seed of the data and the first weights."),
    ] = SEED,
    examined: Annotated[
        int,
        typer.Option(help="Held-out problems for each group."),
    ] = 100,
) -> None:
    """Train, write the GGUF file and print the held-out scores."""
    model, tokenizer = train_model(steps, seed, out)
    export(model, tokenizer, out)
    size = out.stat().st_size
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{out}: {size:,} bytes, {parameters:,} parameters")
    scores = accuracies(
        model,
        tokenizer,
        list(GROUPS),
        examined,
    )
    print_scores(scores)
    # Written work helps with sums alone, see the model card.
    worked = accuracies(
        model,
        tokenizer,
        ["add_long"],
        examined,
        SHOW_WORK,
    )
    print_scores({"add_long, worked": worked["add_long"]})


def learning_rate_share(
    step: int,
    steps: int,
) -> float:
    """Return the share of the full learning rate at a step, the first of which is 0.

    It rises, stays at 1, and falls in a straight line over the second half.

    >>> learning_rate_share(0, 1000), learning_rate_share(500, 1000)
    (0.01, 1.0)
    """
    # A hundredth more than the line, so that the last steps still learn.
    return min(1.0, (step + 1) / _WARMUP, 2 * (1 - step / steps) + 0.01)


def _take_step(
    model: TinyLlama,
    step_batches: list[Batch],
    optimizer: torch.optim.Optimizer,
) -> float:
    """Update the model once, and return the weighted mean loss of the batches."""
    weight = sum(float(batch.weights.sum()) for batch in step_batches)
    total = 0.0
    # Gradients add up over the batches, so that only one is in memory at a time.
    for batch in step_batches:
        loss = _weighted_loss(model, batch) / weight
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return total


def _weighted_loss(
    model: TinyLlama,
    batch: Batch,
) -> Tensor:
    """Return the sum of the losses of a batch, each times its weight."""
    # The token at a place is predicted from the hidden state before it.
    targets = batch.ids[:, 1:].flatten()
    weights = batch.weights[:, 1:].flatten()
    learned = _round_up_places(weights.nonzero().flatten(), len(weights))
    with torch.autocast("cpu", torch.bfloat16):
        # Logits only where a loss counts: they are the largest tensor of a step.
        hidden = model(batch.ids, batch.mask())[:, :-1].flatten(0, 1)[learned]
        scores = model.logits(hidden).float()
    losses = functional.cross_entropy(
        scores,
        targets[learned],
        reduction="none",
    )
    # Without the places that rounding up has added.
    count = int((weights > 0).sum())
    return (losses * weights[learned])[:count].sum()


def _round_up_places(
    places: Tensor,
    most: int,
) -> Tensor:
    """Return the places and as many zeros as make a multiple of 256, at most `most`."""
    # Tensors of ever new sizes would fill the memory with fragments.
    size = min(most, -(-len(places) // _PLACES) * _PLACES)
    return functional.pad(places, (0, size - len(places)))


if __name__ == "__main__":
    typer.run(main)
