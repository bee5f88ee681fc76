"""How often `themis verify` sees that another model is behind a name, by number of rows.

The bundled model writes to the prompts of the example, at temperature 1; so do the same
weights in coarser quantizations. Verifications are then simulated: prompts and texts are
drawn from what was written, and tested as `themis verify` tests them: behind a server that
draws anew at each call, and behind one that draws by the seed of the request. Drawn with
seeds: the numbers are the same every time.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import llama_cpp
import numpy as np

from benchmarks.report import Aim, Report, Row
from themis_lib import Experiment
from themis_lib.engine.tiny import TINY
from themis_lib.stats.clusters import Floats
from themis_lib.stats.two_sample import KernelGroup, mmd_test
from themis_lib.verification.model_checks import DRAWS
from themis_lib.verification.text_kernels import hamming_kernel

_TASKS = Path(__file__).parents[1] / "examples" / "tasks.jsonl"
_SAME = "the same"
_ANEW, _BY_SEED = "anew", "by seed"
_QUANTIZATIONS = ("Q6_K", "Q4_0", "Q2_K")
#: Texts of each model and prompt, with the same seeds.
_DRAWS = 32
_CASES, _QUICK_CASES = 100, 12
_REPEATS, _QUICK_REPEATS = 200, 10
#: Stored texts of each prompt.
_SAMPLES = (1, 3, 5)
_RESAMPLES = 499
_ALPHA = 0.05


def measure(*, quick: bool) -> Report:
    cases = _QUICK_CASES if quick else _CASES
    repeats = _QUICK_REPEATS if quick else _REPEATS
    written = _written(cases)
    rows: list[Row] = []
    for by_seed in (False, True):
        for samples in _SAMPLES:
            for calls in (30, 100, 200):
                count = min(calls // (DRAWS * samples), cases)
                row: Row = {"draws": _BY_SEED if by_seed else _ANEW}
                row |= {"stored": samples, "cases": count}
                for name, kernels in written.items():
                    drawn = [
                        _is_found(kernels, samples, count, seed, by_seed=by_seed)
                        for seed in range(repeats)
                    ]
                    row[name] = float(np.mean(drawn))
                rows.append(row)
    alarms = float(np.mean([row[_SAME] for row in rows if row["draws"] == _ANEW]))
    return Report(
        how=f"{repeats} simulated verifications each, the share with p < {_ALPHA:g}; "
        f"texts of up to 40 tokens to {cases} prompts, temperature 1, by the bundled "
        "model (Q8_0) against the same model, and against coarser quantizations of it",
        rows=rows,
        aims=[Aim("false alarms, mean share", alarms, _ALPHA * 1.2)],
    )


def _written(cases: int) -> dict[str, list[Floats]]:
    """Return the kernels of each pair of models: a prompt's texts of the first, then of
    the second, in the order of their seeds.
    """
    first = _texts(TINY, cases)
    kernels = {
        _SAME: [hamming_kernel([*texts, *texts]) for texts in first],
    }
    with tempfile.TemporaryDirectory() as folder:
        for name in _QUANTIZATIONS:
            model = quantized(Path(folder) / f"{name}.gguf", name)
            second = _texts(model, cases)
            kernels[name] = [
                hamming_kernel([*one, *other])
                for one, other in zip(first, second, strict=True)
            ]
    return kernels


def quantized(path: Path, name: str) -> Path:
    """Write the bundled model in another quantization."""
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{name}")
    parameters.allow_requantize = True
    failed = llama_cpp.llama_model_quantize(
        str(TINY).encode(), str(path).encode(), parameters
    )
    if failed:
        raise RuntimeError(f"the bundled model cannot be written as {name}")
    return path


def _texts(
    model: Path,
    cases: int,
) -> list[list[str]]:
    """Return the texts of a model to each of some prompts."""
    tasks = [json.loads(line) for line in _TASKS.read_text().splitlines()]
    # Spread over the groups of tasks, which follow each other.
    chosen = tasks[:: max(len(tasks) // cases, 1)][:cases]
    experiment = Experiment.model_validate(
        {
            "generation": {
                "generator": {
                    "use": "llama",
                    "model": str(model),
                    "temperature": 1.0,
                    "max_tokens": 40,
                },
                "prompt_spec": {"instructions": "Solve the task."},
                "candidate_policy": {"num_samples": _DRAWS},
            },
            "datasets": [
                {
                    "dataset_id": "tasks",
                    "cases": [
                        {"case_id": str(at), "input": task["input"]}
                        for at, task in enumerate(chosen)
                    ],
                }
            ],
            "storage": {"store": "memory"},
        }
    )
    outputs = experiment.run(until_stage="generate").table("outputs")
    texts = [text or "" for text in outputs["output"].to_pylist()]
    return [texts[at : at + _DRAWS] for at in range(0, len(texts), _DRAWS)]


def _is_found(
    kernels: list[Floats],
    samples: int,
    cases: int,
    seed: int,
    *,
    by_seed: bool,
) -> bool:
    """Return whether a simulated verification says that the model has changed.

    `by_seed`, the second model wrote each text with the seed of a stored one, the same
    for all prompts. Else no two texts have one seed.
    """
    random = np.random.default_rng(seed)
    groups = []
    seeds = random.choice(_DRAWS, size=3 * samples, replace=False)
    for at in random.choice(len(kernels), size=cases, replace=False):
        if not by_seed:
            seeds = random.choice(_DRAWS, size=3 * samples, replace=False)
        stored = seeds[:samples]
        drawn = np.tile(stored, DRAWS) if by_seed else seeds[samples:]
        chosen = np.array([*stored, *(_DRAWS + drawn)])
        blocks = np.tile(np.arange(samples), 1 + DRAWS).tolist()
        kernel = kernels[at][np.ix_(chosen, chosen)]
        groups.append(KernelGroup(kernel, samples, blocks))
    return mmd_test(groups, resamples=_RESAMPLES, seed=seed).p_value < _ALPHA
