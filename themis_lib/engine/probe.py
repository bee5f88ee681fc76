"""Short sequences computed in several ways, and where the bits of their logits differ."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from themis_lib.engine.context import Context, Logits
from themis_lib.engine.weights import Weights

#: The most sequences decoded together.
WIDEST = 8
#: If fewer sequences may be decoded together, a batch is quicker with a fixed width.
_WIDE_ENOUGH = 4
#: Where a prompt may be cut: anywhere that leaves two tokens (one alone takes another
#: attention kernel), or at multiples of 32 that leave 32.
_CUTS = ((1, 2), (32, 32))
#: Tokens of the prompts, on both sides of 32 and 64, where cuts may lie.
_LENGTHS = (5, 33, 70, 12, 64, 9, 41, 38)
#: Of these, the ones that are cut: where rows are multiplied by fours or eights, the
#: last two of the first are among them, but alone are not.
_CUT_PROMPTS = (4, 6, 2)
#: The slots in which prompts are cut; what they held is lost.
_SOURCE, _TARGET = 7, 1
#: The prompt that is also computed with one thread: the longest, to be shared out.
_SHARED_OUT = 2
#: Tokens of a slot: the longest prompt, the tokens after it, and room for a copy.
_CONTEXT = 128
#: Tokens of another text behind a beginning that is shared.
_FOLLOWING = 8
#: Tokens decoded after each prompt.
_STEPS = 3

Decode: TypeAlias = Literal["equal", "fixed", "alone"]


class _Reference(NamedTuple):
    """The logits after a prompt computed whole, and after each step decoded alone."""

    whole: Logits
    steps: Logits


class Probe:
    """Sequences computed whole and alone, to compare other ways of computing with.

    Nothing is computed before it is asked for, and what likely differs comes first.
    Prompt `i` stays in slot `i`, until `find_cuts` uses some of the slots.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        threads: int,
    ) -> None:
        self._threads = threads
        self._context = Context(
            weights,
            slots=WIDEST,
            length=_CONTEXT,
            threads=threads,
        )
        # Random tokens of a fixed seed: `numerics` must be the same in every process.
        random = np.random.Generator(np.random.Philox(key=0))
        self._prompts: list[list[int]] = []
        n_vocab = weights.n_vocab
        for length in _LENGTHS:
            self._prompts.append(random.integers(0, n_vocab, length).tolist())
        self._following: list[int] = random.integers(0, n_vocab, _STEPS).tolist()
        # The number of the prompt that each slot holds.
        self._held = list(range(WIDEST))

    @cached_property
    def threads_matter(self) -> bool:
        """Whether the threads asked for give other bits than one."""
        if self._threads == 1:
            return False
        seen: list[list[bytes]] = []
        for threads in (self._threads, 1):
            self._context.use_threads(threads)
            reference = self._compute_reference(_SHARED_OUT)
            seen.append([rows.tobytes() for rows in reference])
        return seen[0] != seen[1]

    @property
    def threads(self) -> int:
        """The threads that texts may be computed with."""
        return 1 if self.threads_matter else self._threads

    @cached_property
    def is_wide(self) -> bool:
        """Whether enough sequences have the same bits together as alone."""
        return self._looks_wide() and self._equal_width >= _WIDE_ENOUGH

    def find_decoding(self) -> tuple[Decode, int, int]:
        """Return how sequences are decoded, the least number and the most."""
        if self.is_wide:
            return "equal", 1, self._equal_width
        differing = self._find_differing_widths(self._together)
        narrowest = WIDEST
        # Downwards: every width up to the widest must have its bits.
        while narrowest > 2 and narrowest - 1 not in differing:
            narrowest -= 1
        if self._moving_matters():
            return "alone", 1, 1
        return "fixed", narrowest, WIDEST

    def find_cuts(self) -> tuple[int, int]:
        """Return multiples of what a prompt may be cut at, and what a cut must leave.

        Both are 0 if it must be computed whole.
        """
        for cut_at, shortest in _CUTS:
            if self._cuts_are_safe(cut_at, shortest):
                return cut_at, shortest
        return 0, 0

    def digest_numerics(self, decode: Decode) -> str:
        """Return the digest of the logits that texts will be computed from."""
        references = self._references
        steps = [reference.steps for reference in references]
        if decode == "fixed":
            steps = self._together
        numerics = hashlib.sha256()
        for reference in references:
            numerics.update(reference.whole.tobytes())
        for rows in steps:
            numerics.update(rows.tobytes())
        return numerics.hexdigest()

    def close(self) -> None:
        """Free the memory of the sequences."""
        self._context.close()

    @cached_property
    def _references(self) -> list[_Reference]:
        """Each prompt computed whole, and its steps alone, which stay in their slots."""
        # First: every comparison is made with the threads that texts get.
        self._context.use_threads(self.threads)
        return [self._compute_reference(slot) for slot in range(WIDEST)]

    @cached_property
    def _together(self) -> list[Logits]:
        """The steps of each slot, decoded beside all others."""
        # Once there are references, each prompt is in its slot.
        return self._decode_steps(range(len(self._references)))

    @cached_property
    def _equal_width(self) -> int:
        """How many sequences may be decoded together as each alone."""
        alone = [reference.steps for reference in self._references]
        differing = self._find_differing_widths(alone)
        # How many texts are in flight varies, so every smaller width counts.
        return min(differing, default=WIDEST + 1) - 1

    def _looks_wide(self) -> bool:
        """Return whether slots that hold the same few tokens go on as one of them alone.

        It takes next to no time, and most that are not wide are found out here.
        """
        # One thread has the bits of the threads that texts get.
        self._context.use_threads(1)
        prompt = self._prompts[0]
        self._prefill_whole(0, prompt)
        for slot in range(1, _WIDE_ENOUGH):
            self._context.copy(0, slot)
        seen: set[bytes] = set()
        for width in (1, *range(_WIDE_ENOUGH, 1, -1)):
            slots = range(width)
            for slot in slots:
                self._context.trim(slot, len(prompt))
            rows = self._context.decode(
                slots,
                self._following[:1] * width,
                [len(prompt)] * width,
            )
            seen.update(row.tobytes() for row in rows)
            if len(seen) > 1:
                return False
        return True

    def _find_differing_widths(self, expected: Sequence[Logits]) -> set[int]:
        """Return the widths that do not have the expected bits of each slot and step.

        The slots hold the steps.
        """
        differing: set[int] = set()
        # Backwards, so that what was decoded before a step stays as it was.
        for step in reversed(range(_STEPS)):
            for slots in _neighbours(step):
                if len(slots) in differing:
                    continue
                rows = self._decode_step(slots, step)
                for slot, row in zip(slots, rows, strict=True):
                    if not _same_bits(row, expected[slot][step]):
                        differing.add(len(slots))
        return differing

    def _moving_matters(self) -> bool:
        """Return whether a prompt has other bits in other slots, beside others.

        Only the prompts that will be cut stay in their slots.
        """
        for slot in range(WIDEST):
            if slot not in _CUT_PROMPTS:
                number = _CUT_PROMPTS[slot % len(_CUT_PROMPTS)]
                self._context.copy(number, slot)
                self._held[slot] = number
        moved = self._decode_steps(range(WIDEST))
        for number, rows in zip(self._held, moved, strict=True):
            if not _same_bits(rows, self._together[number]):
                return True
        return False

    def _cuts_are_safe(
        self,
        cut_at: int,
        shortest: int,
    ) -> bool:
        """Return whether prompts cut by this rule give the bits of whole ones."""
        for number, cut in self._cut_prompts(cut_at, shortest):
            if not _same_bits(cut, self._references[number].whole):
                return False
        return True

    def _cut_prompts(
        self,
        cut_at: int,
        shortest: int,
    ) -> Iterator[tuple[int, Logits]]:
        """Yield prompts and the logits after them when they are cut by a rule."""
        first = max(cut_at, shortest)
        long_enough: list[int] = []
        for number in _CUT_PROMPTS:
            if len(self._prompts[number]) >= first + shortest:
                long_enough.append(number)
        # A beginning that another slot holds, as long as it may be.
        for number in long_enough:
            prompt = self._prompts[number]
            length = len(prompt)
            place = (length - shortest) // cut_at * cut_at
            self._context.copy(number, _TARGET)
            yield number, self._prefill(_TARGET, prompt, [place, length])
        by_length = sorted(long_enough, key=lambda number: len(self._prompts[number]))
        # Parts as short as they may be.
        number = by_length[0]
        prompt = self._prompts[number]
        length = len(prompt)
        places = [*range(0, length - shortest + 1, first), length]
        yield number, self._prefill(_TARGET, prompt, places)
        # A beginning as short as it may be, parts of each size to the most sequences,
        # and a long one.
        number = by_length[-1]
        prompt = self._prompts[number]
        # The other slot holds more, as slots do: what follows must leave no trace.
        held = [*prompt[:first], *prompt[: -_FOLLOWING - 1 : -1]]
        self._prefill_whole(_SOURCE, held)
        self._context.copy(_SOURCE, _TARGET)
        sizes = range(first, max(first, WIDEST) + 1)
        places = [*accumulate(sizes), len(prompt)]
        yield number, self._prefill(_TARGET, prompt, places)

    def _compute_reference(self, slot: int) -> _Reference:
        """Compute a prompt whole in its slot, and decode its steps alone."""
        whole = self._prefill_whole(slot, self._prompts[slot])
        (steps,) = self._decode_steps([slot])
        return _Reference(whole, steps)

    def _decode_steps(self, slots: Sequence[int]) -> list[Logits]:
        """Return the logits of each slot, a row for each step; the slots hold the steps."""
        steps: list[Logits] = []
        for step in range(_STEPS):
            # A copy, because the next call overwrites the rows.
            steps.append(self._decode_step(slots, step).copy())
        return list(np.stack(steps, axis=1))

    def _decode_step(
        self,
        slots: Sequence[int],
        step: int,
    ) -> Logits:
        """Return the logits of slots that are decoded at once, in llama.cpp's memory.

        The slots hold the steps before.
        """
        positions: list[int] = []
        for slot in slots:
            position = len(self._prompts[self._held[slot]]) + step
            self._context.trim(slot, position)
            positions.append(position)
        return self._context.decode(
            slots,
            [self._following[step]] * len(slots),
            positions,
        )

    def _prefill(
        self,
        slot: int,
        prompt: Sequence[int],
        places: Sequence[int],
    ) -> Logits:
        """Return the logits after a prompt that is cut at these places.

        Up to the first of them the slot holds it.
        """
        self._context.trim(slot, places[0])
        for begin, end in pairwise(places):
            logits = self._context.prefill(
                slot,
                prompt[begin:end],
                begin,
                # A row costs a product with the whole vocabulary.
                wanted=end == len(prompt),
            )
        return logits.copy()

    def _prefill_whole(
        self,
        slot: int,
        prompt: Sequence[int],
    ) -> Logits:
        return self._prefill(slot, prompt, [0, len(prompt)])


def _neighbours(step: int) -> Iterator[range]:
    """Yield the slots that are decoded together at a step: pairs, more of them, all.

    They begin with the first slot or end with the last, by turns, so that it is not
    the slot that decides.
    """
    for first in range(0, WIDEST, 2):
        yield range(first, first + 2)
    for width in range(3, WIDEST):
        first = 0 if step % 2 == 0 else WIDEST - width
        yield range(first, first + width)
    yield range(WIDEST)


def _same_bits(
    one: Logits,
    other: Logits,
) -> bool:
    # Bytes, because NaN differs from itself and 0.0 equals -0.0.
    return one.tobytes() == other.tobytes()
