"""Train the bundled model from nothing: `python -m themis_lib.engine.tiny.train --out
tiny.gguf`.

Same steps, same seed, same machine and library versions: same file.
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
    learned_tokenizer,
    rendered,
)

SEED = 20
STEPS = 10_500
#: Texts that the tokenizer learns from: open answers and task phrasings, but no made-up
#: words.
TOKENIZER_TEXTS = 8_000
_RATE = 2e-3
_WARMUP = 100


def trained(
    steps: int,
    seed: int,
    out: Path,
) -> tuple[TinyLlama, Tokenizer]:
    """A model trained for `steps` steps, and its tokenizer.

    Prints a line every 200 steps, and every 1000 writes the model as it stands to
    `out`.
    """
    torch.manual_seed(seed)
    tokenizer = trained_tokenizer(seed)
    model = TinyLlama(Shape(VOCABULARY))
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=_RATE,
        betas=(0.9, 0.98),
        weight_decay=0.01,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _learning_rate_share(step, steps)
    )
    began, total = time.monotonic(), 0.0
    for step, step_batches in enumerate(
        islice(batches(tokenizer, seed), steps), start=1
    ):
        total += _take_step(model, step_batches, optimizer)
        schedule.step()
        if step % 200 == 0:
            elapsed_s = time.monotonic() - began
            left_s = elapsed_s / step * (steps - step)
            print(
                f"step {step}/{steps}  loss {total / 200:.4f}  {elapsed_s:.0f} s, "
                f"{left_s:.0f} s left",
                flush=True,
            )
            total = 0.0
        if step % 1000 == 0 and step < steps:
            export(model, tokenizer, out)
    return model, tokenizer


def trained_tokenizer(seed: int) -> Tokenizer:
    """The tokenizer of the corpus that `seed` fixes."""
    drawn = islice(examples(seed), TOKENIZER_TEXTS)
    return learned_tokenizer(
        rendered([Turn(example.prompt, example.answer)], example.instructions)
        for example in drawn
        if example.group not in ("copy", "reverse")
    )


def print_scores(scores: dict[str, float]) -> None:
    """Print a line a group."""
    for group, score in scores.items():
        print(f"  {group:<18}{score:7.1%}", flush=True)


def main(
    out: Annotated[Path, typer.Option(help="Where to write the model.")] = Path(
        "tiny.gguf"
    ),
    steps: Annotated[int, typer.Option(help="Training steps.")] = STEPS,
    seed: Annotated[
        int, typer.Option(help="Seed of the data and the first weights.")
    ] = SEED,
    examined: Annotated[
        int, typer.Option(help="Held-out problems for each group.")
    ] = 100,
) -> None:
    """Train, write the GGUF file and print the held-out scores."""
    model, tokenizer = trained(steps, seed, out)
    export(model, tokenizer, out)
    print(
        f"{out}: {out.stat().st_size:,} bytes, "
        f"{sum(p.numel() for p in model.parameters()):,} parameters"
    )
    print_scores(
        accuracies(
            model,
            tokenizer,
            list(GROUPS),
            examined,
        )
    )
    print_scores(
        {
            "add_long, worked": accuracies(
                model,
                tokenizer,
                ["add_long"],
                examined,
                SHOW_WORK,
            )["add_long"]
        }
    )


def _learning_rate_share(
    step: int,
    steps: int,
) -> float:
    """The share of the full learning rate: a rise, a plateau, and a straight fall over
    the second half.
    """
    return min(1.0, (step + 1) / _WARMUP, 2 * (1 - step / steps) + 0.01)


def _take_step(
    model: TinyLlama,
    step_batches: list[Batch],
    optimizer: torch.optim.Optimizer,
) -> float:
    weight = sum(float(batch.weights.sum()) for batch in step_batches)
    total = 0.0
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
    targets, weights = batch.ids[:, 1:].flatten(), batch.weights[:, 1:].flatten()
    learned = _round_up_places(weights.nonzero().flatten(), len(weights))
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model(batch.ids, batch.mask())[:, :-1].flatten(0, 1)[learned]
        scores = model.logits(hidden).float()
    losses = functional.cross_entropy(scores, targets[learned], reduction="none")
    return (losses * weights[learned])[: int((weights > 0).sum())].sum()


def _round_up_places(
    places: Tensor,
    most: int,
) -> Tensor:
    """`places` and as many more as make a multiple of 256: ever new sizes would fill
    the memory with fragments.
    """
    size = min(most, -(-len(places) // 256) * 256)
    return functional.pad(places, (0, size - len(places)))


if __name__ == "__main__":
    typer.run(main)
