"""The ways of computing a sequence that give the same bits, for one model.

llama.cpp picks its kernels by the number of rows it multiplies, so that the logits of a
prompt may depend on how it was cut and on how many sequences were decoded beside it,
differently for each quantisation. `measure` compares, bit for bit, with each sequence
computed whole and alone. That is done when a model is first loaded, and remembered.
Some kernels for rearranged weights switch at a few rows where those for the weights of
the file do not: then the weights stay as they are in the file.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from themis_lib.engine.context import Context, Logits
from themis_lib.engine.isolated import IsolatedError, run_isolated
from themis_lib.engine.sliding_window import agrees_beyond_window
from themis_lib.engine.weights import Weights
from themis_lib.errors import ModelError

#: Raise it when what is measured, or how, changes: facts of another version are unused.
MEASURE_VERSION = 3

#: The most sequences decoded together.
WIDEST = 8
#: If fewer sequences may be decoded together, a batch is quicker with a fixed width.
_WIDE_ENOUGH = 4
#: Where a prompt may be cut: anywhere that leaves two tokens (one alone takes another
#: attention kernel), or at multiples of 32 that leave 32.
_CUTS = ((1, 2), (32, 32))
#: Tokens of the prompts, on both sides of 32 and 64, where cuts may lie.
_LENGTHS = (5, 33, 70, 12, 64, 9, 41, 38)
#: Of these, the ones that are cut.
_CUT_PROMPTS = (2, 4, 6)
#: Tokens of a slot: the longest prompt, the tokens after it, and room for a copy.
_CONTEXT = 128
#: Tokens of another text behind a beginning that is shared.
_FOLLOWING = 8
_PATIENCE_S = 1800.0
#: Tokens decoded after each prompt.
_STEPS = 3

Decode: TypeAlias = Literal["equal", "fixed", "alone"]


@dataclass(
    frozen=True,
    slots=True,
)
class Invariance:
    """The ways of computing a sequence that do not change its bits.

    `decode` is "equal" (any number of sequences to `width`), "fixed" (at least
    `narrowest`, idle slots included, and at most `width`) or "alone" (one at a time).
    A prompt may be cut at multiples of `cut_at` if at least `shortest` tokens follow;
    both are 0 if it must be computed whole. If `threads_matter`, one thread computes.
    `repacked` says whether llama.cpp may rearrange the weights. `numerics` is the
    digest of the logits seen: a build or a processor that computes otherwise has
    another.
    """

    decode: Decode
    width: int
    narrowest: int
    cut_at: int
    shortest: int
    threads_matter: bool
    repacked: bool
    numerics: str

    def losses(self) -> list[str]:
        """Return what this costs in speed, one sentence each; usually none."""
        found: list[str] = []
        if self.decode == "alone":
            found.append(
                "this build gives other bits to texts decoded together, "
                "so they are decoded one by one"
            )
        if self.cut_at == 0:
            found.append(
                "this build gives other bits to prompts computed in parts, "
                "so none shares its beginning"
            )
        return found


def measure(
    path: Path,
    *,
    threads: int,
) -> tuple[int, Invariance]:
    """Return the trained context of a model, and how it may be computed.

    Eight short sequences are computed in several ways. Where the model has a sliding
    window, what was found is tried beyond it, too.
    """
    weights = Weights(path)
    probe = _Probe(weights, threads, repacked=True)
    if not probe.is_wide:
        unpacked_weights = Weights(path, repacked=False)
        unpacked = _Probe(unpacked_weights, threads, repacked=False)
        if unpacked.is_wide:
            probe, unpacked = unpacked, probe
        unpacked.close()
    try:
        return weights.trained_context, probe.measure()
    finally:
        probe.close()


def measure_isolated(
    path: Path,
    *,
    threads: int,
) -> tuple[int, Invariance]:
    """Return the trained context of a model and `measure` of it, from a subprocess.

    llama.cpp aborts on some damaged files instead of refusing them. Raises `ModelError`
    for a model that cannot be loaded, or that ends the process.
    """
    # Python embedded in another program: there is no interpreter to start.
    if not sys.executable:
        return measure(path, threads=threads)
    program = (
        "from themis_lib.engine import invariance\n"
        f"invariance.print_measured({str(path)!r}, {threads})"
    )
    try:
        printed = run_isolated(program, timeout_s=_PATIENCE_S)
    except IsolatedError as error:
        if error.crash:
            raise ModelError(
                f"{path}: llama.cpp ends the process ({error.crash}) where it should "
                "load it; the file may be damaged: download or copy it again"
            ) from None
        raise ModelError(f"{path}: it could not be tried out: {error}") from None
    # The last line: libraries may have printed something before.
    answer = json.loads(printed.splitlines()[-1])
    if "error" in answer:
        raise ModelError(answer["error"])
    return int(answer["trained_context"]), Invariance(**answer["invariance"])


def print_measured(
    path: str,
    threads: int,
) -> None:
    """Print what `measure_isolated` reads, as one line of JSON."""
    try:
        trained_context, invariance = measure(Path(path), threads=threads)
    # An error of the model is an answer: a traceback would lose its message.
    except ModelError as error:
        print(json.dumps({"error": str(error)}))
        return
    found = {
        "trained_context": trained_context,
        "invariance": asdict(invariance),
    }
    print(json.dumps(found))


class _Probe:
    """Sequences computed whole and alone, to compare other ways of computing with.

    All prompts stay in their slots: prompt `i` in slot `i`, except while a method says
    otherwise.
    """

    def __init__(
        self,
        weights: Weights,
        threads: int,
        *,
        repacked: bool,
    ) -> None:
        self._weights = weights
        self._repacked = repacked
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
        self._whole: list[Logits] = []
        self._alone: list[Logits] = []
        self._together: list[Logits] = []
        try:
            # First, since every comparison is made with the threads that texts get.
            self._threads_matter = threads > 1 and self._find_threads_matter(threads)
            self._threads = 1 if self._threads_matter else threads
            self._context.use_threads(self._threads)
            self._compute_references()
            self._equal_width = self._find_equal_width()
        except BaseException:
            self.close()
            raise

    @property
    def is_wide(self) -> bool:
        """Whether enough sequences have the same bits together as alone."""
        return self._equal_width >= _WIDE_ENOUGH

    def measure(self) -> Invariance:
        """Return how sequences may be decoded together, and prompts be cut."""
        decode, narrowest, width = self._find_decoding()
        cut_at, shortest = 0, 0
        for candidate in _CUTS:
            if self._cuts_are_safe(*candidate):
                cut_at, shortest = candidate
                break
        beyond = agrees_beyond_window(
            self._weights,
            widths=(narrowest, width if decode == "fixed" else 2),
            cut_at=cut_at,
            shortest=shortest,
            threads=self._threads,
        )
        if not beyond.decoding:
            decode, narrowest, width = "alone", 1, 1
        if not beyond.cutting:
            cut_at, shortest = 0, 0
        return Invariance(
            decode=decode,
            width=width,
            narrowest=narrowest,
            cut_at=cut_at,
            shortest=shortest,
            threads_matter=self._threads_matter,
            repacked=self._repacked,
            numerics=self._digest_numerics(decode),
        )

    def close(self) -> None:
        """Free the memory of the sequences."""
        self._context.close()

    def _find_threads_matter(self, threads: int) -> bool:
        """Return whether so many threads give other bits than one."""
        slot = _CUT_PROMPTS[0]
        seen: list[list[bytes]] = []
        for count in (1, threads):
            self._context.use_threads(count)
            prompt = self._prefill_cut(
                slot,
                self._prompts[slot],
                (),
            )
            step = self._decode_together([slot])[0]
            seen.append([prompt.tobytes(), step.tobytes()])
        return seen[0] != seen[1]

    def _compute_references(self) -> None:
        """Compute each prompt whole, and its steps alone and beside all others."""
        for slot, prompt in enumerate(self._prompts):
            self._whole.append(self._prefill_cut(slot, prompt, ()))
        for slot in range(WIDEST):
            self._alone.append(self._decode_together([slot])[0])
        self._together = self._decode_together(range(WIDEST))

    def _find_equal_width(self) -> int:
        """Return how many sequences may be decoded together as each alone."""
        width = 1
        # Upwards: how many texts are in flight varies, so every smaller width counts.
        while width < WIDEST and self._has_bits(width + 1, self._alone):
            width += 1
        return width

    def _find_decoding(self) -> tuple[Decode, int, int]:
        """Return how sequences are decoded, the least number and the most."""
        if self.is_wide:
            return "equal", 1, self._equal_width
        narrowest = WIDEST
        # Downwards: every width up to the widest must have its bits.
        while narrowest > 2 and self._has_bits(narrowest - 1, self._together):
            narrowest -= 1
        # A fixed width must give the same in whichever slot a text is, and with other
        # neighbours: move every prompt three slots on.
        shift = 3
        for slot in range(WIDEST):
            self._prefill_cut(
                slot,
                self._prompts[slot - shift],
                (),
            )
        moved = self._decode_together(range(WIDEST), shift=shift)
        for slot, row in enumerate(self._together):
            if not _same_bits(row, moved[(slot + shift) % WIDEST]):
                return "alone", 1, 1
        return "fixed", narrowest, WIDEST

    def _cuts_are_safe(
        self,
        cut_at: int,
        shortest: int,
    ) -> bool:
        """Return whether prompts cut by this rule give the bits of whole ones."""
        for index in _CUT_PROMPTS:
            prompt = self._prompts[index]
            whole = self._whole[index]
            places: list[int] = []
            for place in range(cut_at, len(prompt) - shortest + 1, cut_at):
                # The first part must be long enough too.
                if place >= shortest:
                    places.append(place)
            if not places:
                continue
            cuts: list[int] = []
            for place in places:
                if not cuts or place - cuts[-1] >= shortest:
                    cuts.append(place)
            if not _same_bits(
                self._prefill_cut(1, prompt, cuts),
                whole,
            ):
                return False
            # A prefix that another slot holds, as short and as long as it may be.
            for place in {places[0], places[-1]}:
                if not _same_bits(self._prefill_shared(prompt, place), whole):
                    return False
        return True

    def _digest_numerics(self, decode: str) -> str:
        """Return the digest of the logits that texts will be computed from."""
        steps = self._together if decode == "fixed" else self._alone
        numerics = hashlib.sha256()
        for row in (*self._whole, *steps):
            numerics.update(row.tobytes())
        return numerics.hexdigest()

    def _has_bits(
        self,
        width: int,
        expected: Sequence[Logits],
    ) -> bool:
        """Return whether so many sequences have the expected bits of each slot."""
        # Neighbouring slots at either end, so that it is not the slot that decides.
        for slots in (range(width), range(WIDEST - width, WIDEST)):
            rows = self._decode_together(slots)
            for slot, row in zip(slots, rows, strict=True):
                if not _same_bits(row, expected[slot]):
                    return False
        return True

    def _decode_together(
        self,
        slots: Sequence[int],
        *,
        shift: int = 0,
    ) -> list[Logits]:
        """Return the logits of each slot when they are decoded at once.

        Prompts must lie `shift` slots on. Each array has a row for each step.
        """
        lengths = [len(self._prompts[slot - shift]) for slot in slots]
        steps: list[Logits] = []
        for step, token in enumerate(self._following):
            logits = self._context.decode(
                slots,
                [token] * len(slots),
                [length + step for length in lengths],
            )
            # A copy, because the next call overwrites the row.
            steps.append(logits.copy())
        for slot, length in zip(slots, lengths, strict=True):
            self._context.trim(slot, length)
        return list(np.stack(steps, axis=1))

    def _prefill_cut(
        self,
        slot: int,
        prompt: Sequence[int],
        cuts: Iterable[int],
    ) -> Logits:
        """Return the logits after a prompt that is cut at these places."""
        self._context.trim(slot, 0)
        places = [0, *cuts, len(prompt)]
        for start, stop in pairwise(places):
            logits = self._context.prefill(
                slot,
                prompt[start:stop],
                start,
                # A row costs a product with the whole vocabulary.
                wanted=stop == len(prompt),
            )
        return logits.copy()

    def _prefill_shared(
        self,
        prompt: Sequence[int],
        place: int,
    ) -> Logits:
        """Return the logits after a prompt that another slot holds up to a place."""
        source, target = 5, 2
        # The other slot holds more, as slots do: what follows must leave no trace.
        held = [*prompt[:place], *prompt[: -_FOLLOWING - 1 : -1]]
        self._prefill_cut(
            source,
            held,
            (),
        )
        self._context.copy(source, target)
        self._context.trim(target, place)
        logits = self._context.prefill(
            target,
            prompt[place:],
            place,
        )
        return logits.copy()


def _same_bits(
    one: Logits,
    other: Logits,
) -> bool:
    # Bytes, because NaN differs from itself and 0.0 equals -0.0.
    return one.tobytes() == other.tobytes()
