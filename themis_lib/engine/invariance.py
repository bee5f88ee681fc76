"""The ways of computing a sequence that give the same bits, for one model.

llama.cpp picks its kernels by the number of rows it multiplies, so that the logits of a
prompt may depend on how it was cut and on how many sequences were decoded beside it,
differently for each quantisation. `measure` compares, bit for bit, with each sequence
computed whole and alone. That is done when a model is first loaded, and remembered.
Some kernels for rearranged weights switch at a few rows where those for the weights of
the file do not: then the weights stay as they are in the file.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from themis_lib.engine.isolated import IsolatedError, run_isolated
from themis_lib.engine.probe import Decode, Probe
from themis_lib.engine.sliding_window import agrees_beyond_window
from themis_lib.engine.weights import Weights
from themis_lib.errors import ModelError

#: Raise it when what is measured, or how, changes: facts of another version are unused.
MEASURE_VERSION = 4

_PATIENCE_S = 1800.0


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
    repacked = True
    weights = Weights(path)
    probe = Probe(weights, threads=threads)
    if not probe.is_wide:
        as_they_are = Weights(path, repacked=False)
        other = Probe(as_they_are, threads=threads)
        if other.is_wide:
            repacked = False
            weights, probe, other = as_they_are, other, probe
        other.close()
    decode, narrowest, width = probe.find_decoding()
    cut_at, shortest = probe.find_cuts()
    beyond = agrees_beyond_window(
        weights,
        widths=(narrowest, width if decode == "fixed" else 2),
        cut_at=cut_at,
        shortest=shortest,
        threads=probe.threads,
    )
    if not beyond.decoding:
        decode, narrowest, width = "alone", 1, 1
    if not beyond.cutting:
        cut_at, shortest = 0, 0
    invariance = Invariance(
        decode=decode,
        width=width,
        narrowest=narrowest,
        cut_at=cut_at,
        shortest=shortest,
        threads_matter=probe.threads_matter,
        repacked=repacked,
        numerics=probe.digest_numerics(decode),
    )
    probe.close()
    return weights.trained_context, invariance


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
