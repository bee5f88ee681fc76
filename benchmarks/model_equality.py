"""How often `themis verify` sees that another model is behind a name, by number of rows.

The bundled model writes to the prompts of the example, at temperature 1; so do the same
weights in coarser quantizations. Verifications are then simulated: prompts and texts are
drawn from what was written, and tested as `themis verify` tests them. Drawn with seeds:
the numbers are the same every time.
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
from themis_lib.verification.text_kernels import hamming_kernel

_TASKS = Path(__file__).parents[1] / "examples" / "tasks.jsonl"
_SAME = "the same"
_QUANTIZATIONS = ("Q6_K", "Q4_0", "Q2_K")
#: Texts of each model and prompt; of the first model twice as many, for both samples.
_DRAWS = 16
_CASES, _QUICK_CASES = 100, 12
_REPEATS, _QUICK_REPEATS = 200, 10
#: Stored texts and new ones of each prompt.
_SHAPES = ((1, 2), (3, 3), (10, 10))
_RESAMPLES = 499
_ALPHA = 0.05


def measure(*, quick: bool) -> Report:
    cases = _QUICK_CASES if quick else _CASES
    repeats = _QUICK_REPEATS if quick else _REPEATS
    written = _written(cases)
    rows: list[Row] = []
    for shape in _SHAPES:
        for calls in (30, 100, 200):
            count = max(calls // shape[1], 1)
            if count > cases:
                continue
            row: Row = {"stored": shape[0], "new": shape[1], "cases": count}
            for name, kernels in written.items():
                row[name] = _power(
                    kernels, shape, count, repeats, is_same=name == _SAME
                )
            rows.append(row)
    alarms = float(np.mean([row[_SAME] for row in rows]))
    return Report(
        how=f"{repeats} simulated verifications each, the share with p < {_ALPHA:g}; "
        f"texts of up to 40 tokens to {cases} prompts, temperature 1, by the bundled "
        "model (Q8_0) against the same model, and against coarser quantizations of it",
        rows=rows,
        aims=[Aim("false alarms, mean share", alarms, _ALPHA * 1.2)],
    )


def _written(cases: int) -> dict[str, list[Floats]]:
    """Return the kernels of each pair of models: a prompt's texts of the first, then of
    the second.
    """
    first = _texts(TINY, cases, 2 * _DRAWS, seed=0)
    kernels = {
        _SAME: [hamming_kernel(texts) for texts in first],
    }
    with tempfile.TemporaryDirectory() as folder:
        for name in _QUANTIZATIONS:
            model = quantized(Path(folder) / f"{name}.gguf", name)
            # With other seeds: with equal ones, texts would be too alike for chance.
            second = _texts(model, cases, _DRAWS, seed=1)
            kernels[name] = [
                hamming_kernel([*one[:_DRAWS], *other])
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
    draws: int,
    *,
    seed: int,
) -> list[list[str]]:
    """Return so many texts of a model to each of some prompts."""
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
                "candidate_policy": {"num_samples": draws, "base_seed": seed},
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
    return [texts[at : at + draws] for at in range(0, len(texts), draws)]


def _power(
    kernels: list[Floats],
    shape: tuple[int, int],
    cases: int,
    repeats: int,
    *,
    is_same: bool,
) -> float:
    """Return the share of simulated verifications that say that the model has changed.

    If both samples are of the same model, which of its texts is stored is chance.
    """
    random = np.random.default_rng(0)
    alarms = 0
    for seed in range(repeats):
        groups = []
        for at in random.choice(len(kernels), size=cases, replace=False):
            own = random.choice(_DRAWS, size=shape[0], replace=False)
            other = _DRAWS + random.choice(_DRAWS, size=shape[1], replace=False)
            chosen = np.array([*own, *other])
            if is_same:
                chosen = random.choice(2 * _DRAWS, size=sum(shape), replace=False)
            groups.append(KernelGroup(kernels[at][np.ix_(chosen, chosen)], shape[0]))
        alarms += mmd_test(groups, resamples=_RESAMPLES, seed=seed).p_value < _ALPHA
    return alarms / repeats
