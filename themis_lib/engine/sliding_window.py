"""Whether what holds for short prompts also holds beyond a model's sliding window.

Behind the window a layer attends to its last tokens alone, by other masks and other
lengths than before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from themis_lib.engine.context import MAX_BATCH, Context, Logits
from themis_lib.engine.weights import Weights

#: Tokens of the prompt behind the window.
_BEYOND = 70
#: The last part of a prompt must be long enough for every rule of cutting.
_LONGEST_PART = 32
#: A longer window is not left by default, and takes minutes to fill.
_LONGEST_WINDOW = 4095


class Agreement(NamedTuple):
    """Whether decoding together, and cutting prompts, leave the bits alone."""

    decoding: bool
    cutting: bool


def agrees_beyond_window(
    weights: Weights,
    *,
    widths: tuple[int, int],
    cut_at: int,
    shortest: int,
    threads: int,
) -> Agreement:
    """Compare two ways of computing one prompt that is longer than the window.

    As many slots are decoded together as the two `widths` say; each must give the same.
    Prompts are cut at multiples of `cut_at`
    (0: nowhere) that leave `shortest` tokens. Both agree for a model without a window.
    """
    window = weights.sliding_window
    if not 0 < window <= min(_LONGEST_WINDOW, weights.trained_context - 2 * _BEYOND):
        return Agreement(decoding=True, cutting=True)
    size = window + _BEYOND
    if size % MAX_BATCH < _LONGEST_PART:
        size += _LONGEST_PART
    random = np.random.Generator(np.random.Philox(key=1))
    prompt: list[int] = random.integers(0, weights.n_vocab, size).tolist()
    context = Context(
        weights,
        slots=max(2, *widths),
        length=size + 1,
        threads=threads,
    )
    try:
        whole = _prefill(context, 0, prompt, _places(size))
        decoding = _decodes_alike(context, size, widths)
        cutting = True
        if cut_at:
            # Inside of the window, and behind it where as little is left as may be.
            inside = max(window - _LONGEST_PART, 0) // cut_at * cut_at
            behind = (size - shortest) // cut_at * cut_at
            context.copy(0, 1)
            logits = _prefill(context, 1, prompt, [inside, behind, size])
            cutting = logits.tobytes() == whole.tobytes()
        return Agreement(decoding, cutting)
    finally:
        context.close()


def _decodes_alike(
    context: Context,
    size: int,
    widths: tuple[int, int],
) -> bool:
    """Return whether slots that hold one prompt continue it alike, so many at a time."""
    slots = range(context.slots)
    for slot in slots[1:]:
        context.copy(0, slot)
    rows: list[bytes] = []
    for width in widths:
        group = slots[:width]
        logits = context.decode(
            group,
            [0] * len(group),
            [size] * len(group),
        )
        rows.extend(row.tobytes() for row in logits)
        for slot in group:
            context.trim(slot, size)
    return len(set(rows)) == 1


def _places(size: int) -> list[int]:
    """Return the places at which every prompt of this size is cut."""
    places = [*range(0, size, MAX_BATCH), size]
    # What is left for the last call must be long enough, as for every prompt.
    if len(places) > 2 and places[-1] - places[-2] < _LONGEST_PART:
        places[-2] -= _LONGEST_PART
    return places


def _prefill(
    context: Context,
    slot: int,
    prompt: Sequence[int],
    places: Sequence[int],
) -> Logits:
    """Return the logits after a prompt that is cut at these places.

    Up to the first of them the slot holds it.
    """
    context.trim(slot, places[0])
    for begin, end in pairwise(places):
        logits = context.prefill(slot, prompt[begin:end], begin)
    return logits.copy()
