"""Which ways of computing a sequence give the same bits: found out when a model is
first loaded, and remembered.

llama.cpp picks its kernels by the number of rows it multiplies, so that the logits of a
prompt may depend on how it was cut and on how many sequences were decoded beside it,
differently for each quantisation. `measure` compares, bit for bit, with each sequence
computed whole and alone.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from themis_lib.engine.context import Context, Logits
from themis_lib.engine.isolated import IsolatedError, run_isolated
from themis_lib.engine.weights import Weights
from themis_lib.errors import ModelError

#: Goes up when what is measured, or how, changes.
MEASURE_VERSION = 1

#: The most sequences decoded together.
WIDEST = 8
#: Below this many, decoding eight slots always, idle ones too, is quicker for a batch
#: than the widest equal one.
_WIDE_ENOUGH = 4
#: Where cuts of a prompt may lie: anywhere that leaves two tokens, or at multiples of
#: 32 that leave 32.
_CUTS = ((1, 2), (32, 32))
_LENGTHS = (5, 33, 70, 12, 64, 9, 41, 38)
#: Of these, the ones that are cut.
_CUT_PROMPTS = (2, 4, 6)
_CONTEXT = 128
_PATIENCE_S = 1800.0
_STEPS = 3


@dataclass(
    frozen=True,
    slots=True,
)
class Invariance:
    """What leaves the bits of a sequence alone.

    `decode` is "equal" (any number of sequences to `width`), "fixed" (always `width`,
    idle slots included) or "alone" (one at a time). A prompt may be cut at multiples of
    `cut_at` where at least `shortest` tokens follow; both are 0 where it must be
    computed whole. Where `threads_matter`, one thread computes. `numerics` is the
    digest of the logits seen: a build or a processor that computes otherwise has
    another.
    """

    decode: Literal["equal", "fixed", "alone"]
    width: int
    cut_at: int
    shortest: int
    threads_matter: bool
    numerics: str


def measure(
    weights: Weights,
    *,
    threads: int,
) -> Invariance:
    """Compare ways of computing eight short sequences, in a context of its own."""
    context = Context(
        weights,
        slots=WIDEST,
        length=_CONTEXT,
        threads=threads,
    )
    try:
        return _Probe(context, weights.n_vocab, threads).invariance()
    finally:
        context.close()


def measure_isolated(
    path: Path,
    *,
    threads: int,
) -> tuple[int, Invariance]:
    """The context a model was trained on, and `measure`, found out in a process of its
    own.

    There are damaged files that llama.cpp does not refuse but aborts on. Raises
    `ModelError` for a model that cannot be loaded, or that ends the process.
    """
    if not sys.executable:  # Python within another program: there is nothing to start
        weights = Weights(path)
        return weights.trained_context, measure(weights, threads=threads)
    program = f"from themis_lib.engine import invariance\ninvariance.print_measured({str(path)!r}, {threads})"
    try:
        said = json.loads(run_isolated(program, timeout_s=_PATIENCE_S).splitlines()[-1])
    except IsolatedError as error:
        if error.crash:
            what = f"llama.cpp ends the process ({error.crash}) where it should load it; the file may be damaged"
            raise ModelError(f"{path}: {what}: download or copy it again") from None
        raise ModelError(f"{path}: it could not be tried out: {error}") from None
    if "error" in said:
        raise ModelError(said["error"])
    return int(said["trained_context"]), Invariance(**said["invariance"])


def print_measured(
    path: str,
    threads: int,
) -> None:
    """Print what `measure_isolated` reads, as one line of JSON."""
    try:
        weights = Weights(Path(path))
        found = {
            "trained_context": weights.trained_context,
            "invariance": asdict(measure(weights, threads=threads)),
        }
    except ModelError as error:
        found = {"error": str(error)}
    print(json.dumps(found))


class _Probe:
    """Sequences computed whole and alone, and the ways of computing them that are held
    against these.
    """

    def __init__(
        self,
        context: Context,
        n_vocab: int,
        threads: int,
    ) -> None:
        self._context = context
        self._threads = threads
        random = np.random.Generator(np.random.Philox(key=0))
        self._prompts = [
            random.integers(0, n_vocab, length).tolist() for length in _LENGTHS
        ]
        self._following = random.integers(0, n_vocab, _STEPS).tolist()

    def invariance(self) -> Invariance:
        threads_matter = self._threads_matter()
        self._context.use_threads(1 if threads_matter else self._threads)
        self._whole = [
            self._prefill_with_cuts(slot, prompt, ())
            for slot, prompt in enumerate(self._prompts)
        ]
        self._alone = [self._decode_together([index])[0] for index in range(WIDEST)]
        together = self._decode_together(range(WIDEST))
        decode, width = self._find_decoding(together)
        cut_at, shortest = next(
            (cut for cut in _CUTS if self._cuts_do_not_matter(*cut)), (0, 0)
        )
        seen = (*self._whole, *(together if decode == "fixed" else self._alone))
        numerics = hashlib.sha256(b"".join(row.tobytes() for row in seen)).hexdigest()
        return Invariance(
            decode,
            width,
            cut_at,
            shortest,
            threads_matter,
            numerics,
        )

    def _threads_matter(self) -> bool:
        slot = _CUT_PROMPTS[0]
        seen = []
        for threads in (1, self._threads):
            self._context.use_threads(threads)
            seen.append(
                self._prefill_with_cuts(slot, self._prompts[slot], ()).tobytes()
            )
            seen.append(self._decode_together([slot])[0].tobytes())
        return seen[:2] != seen[2:]

    def _find_decoding(
        self, together: Sequence[Logits]
    ) -> tuple[Literal["equal", "fixed", "alone"], int]:
        width = 1
        while width < WIDEST and self._equal_at(width + 1):
            width += 1
        if width >= _WIDE_ENOUGH:
            return "equal", width
        for slot in range(WIDEST):
            self._prefill_with_cuts(slot, self._prompts[slot - 3], ())
        turned = self._decode_together(range(WIDEST), shift=3)
        fixed = all(
            _same_bits(row, turned[(index + 3) % WIDEST])
            for index, row in enumerate(together)
        )
        return ("fixed", WIDEST) if fixed else ("alone", 1)

    def _equal_at(self, width: int) -> bool:
        """Whether so many neighbouring slots, the first or the last, give what each
        gives alone.
        """
        return all(
            _same_bits(row, self._alone[slot])
            for slots in (range(width), range(WIDEST - width, WIDEST))
            for slot, row in zip(slots, self._decode_together(slots), strict=True)
        )

    def _decode_together(
        self,
        slots: Sequence[int],
        *,
        shift: int = 0,
    ) -> list[Logits]:
        """What the prompts in these slots give when they are decoded at once."""
        lengths = [len(self._prompts[slot - shift]) for slot in slots]
        steps = [
            self._context.decode(
                slots, [token] * len(slots), [length + step for length in lengths]
            ).copy()
            for step, token in enumerate(self._following)
        ]
        for slot, length in zip(slots, lengths, strict=True):
            self._context.trim(slot, length)
        return list(np.stack(steps, axis=1))

    def _cuts_do_not_matter(
        self,
        cut_at: int,
        shortest: int,
    ) -> bool:
        """Whether a prompt gives the same when it is cut, or continued from a copied
        beginning.
        """
        return all(
            _same_bits(found, self._whole[index])
            for index in _CUT_PROMPTS
            for found in self._cut_prompts(self._prompts[index], cut_at, shortest)
        )

    def _cut_prompts(
        self,
        prompt: Sequence[int],
        cut_at: int,
        shortest: int,
    ) -> Iterator[Logits]:
        places = [
            place
            for place in range(cut_at, len(prompt) - shortest + 1, cut_at)
            if place >= shortest
        ]
        if places:
            yield self._prefill_with_cuts(1, prompt, _places_apart(places, shortest))
            for place in {places[0], places[-1]}:
                yield self._continue_from_copy(prompt, place)

    def _prefill_with_cuts(
        self,
        slot: int,
        prompt: Sequence[int],
        cuts: Iterable[int],
    ) -> Logits:
        """The logits after a prompt that is cut at these places."""
        self._context.trim(slot, 0)
        places = [0, *cuts, len(prompt)]
        for start, stop in pairwise(places):
            logits = self._context.prefill(slot, prompt[start:stop], start)
        return logits.copy()

    def _continue_from_copy(
        self,
        prompt: Sequence[int],
        place: int,
    ) -> Logits:
        """The logits after a prompt whose beginning is copied from another slot that
        holds more.
        """
        source, target = 5, 2
        self._prefill_with_cuts(
            source, [*prompt[:place], *reversed(prompt)][: _CONTEXT - 1], ()
        )
        self._context.copy(source, target)
        self._context.trim(target, place)
        return self._context.prefill(target, prompt[place:], place).copy()


def _places_apart(
    places: Sequence[int],
    distance: int,
) -> list[int]:
    """As many of the places as lie at least this far from each other."""
    chosen: list[int] = []
    for place in places:
        if not chosen or place - chosen[-1] >= distance:
            chosen.append(place)
    return chosen


def _same_bits(
    one: Logits,
    other: Logits,
) -> bool:
    return one.tobytes() == other.tobytes()
