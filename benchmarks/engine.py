"""Tokens per second of the local engine beside a plain loop over
`llama_cpp.Llama.create_completion`.

The same model, prompts and lengths, both in one process and by turns. The loop shares a
beginning with the prompt before, as `Llama` does by default (`loop`), or computes each
prompt anew, which is what gives it the same bits every time (`reset`).
"""

from __future__ import annotations

from typing import Any

from benchmarks.processes import fresh
from benchmarks.report import Aim, Report

#: Tokens of the shared beginning, of the rest of a prompt, and of its text; and how
#: many prompts.
_WORKLOADS = {
    "few-shot": {"shared": 600, "own": 50, "out": 16, "prompts": 64},
    "no shared prefix": {"shared": 0, "own": 128, "out": 128, "prompts": 32},
    "one prompt alone": {"shared": 0, "own": 128, "out": 128, "prompts": 1},
}
_AIMS = {"few-shot": 5.0, "no shared prefix": 1.5, "one prompt alone": 1.0}


def measure(*, quick: bool) -> Report:
    rows, aims = [], []
    for name, sizes in _WORKLOADS.items():
        found = fresh("engine_beside_loop", repeats=1 if quick else 5, **sizes)
        rows.append({"workload": name, **_rates(sizes, found)})
        aims.append(
            Aim(
                f"{name}: times the loop",
                rows[-1]["times_loop"],
                _AIMS[name],
                at_least=True,
            )
        )
        if name == "no shared prefix":
            bound = found["bound"]
            share = bound["seconds"] / found["engine"]
    constrained = fresh("constrained_beside_free", repeats=1 if quick else 5)
    aims.append(
        Aim(
            "constrained over free, per cent more time a token",
            constrained["overhead_percent"],
            10,
        )
    )
    return Report(
        how="tokens of text per second, the bundled model; the loop is llama_cpp.Llama "
        "with its own settings, which "
        "shares a beginning with the prompt before; `reset` forgets it first. Best of "
        "the repeats, by turns. Without a "
        f"shared prefix the engine reaches {100 * share:.0f} % of the bound: "
        f"{bound['flops'] / 1e9:.1f} GFLOP (2 for "
        f"each weight and token) at {bound['flops_per_s'] / 1e9:.0f} GFLOP/s (NumPy's "
        f"float32 matrix product, "
        f"{bound['threads']} threads), or the weights read once a step at "
        f"{bound['bytes_per_s'] / 1e9:.0f} GB/s, "
        "whichever takes longer",
        rows=rows,
        aims=aims,
    )


def _rates(sizes: dict[str, int], found: dict[str, Any]) -> dict[str, float]:
    tokens = sizes["prompts"] * sizes["out"]
    return {
        "engine_tokens_per_s": tokens / found["engine"],
        "loop_tokens_per_s": tokens / found["loop"],
        "reset_tokens_per_s": tokens / found["reset"],
        "times_loop": found["loop"] / found["engine"],
        "times_reset": found["reset"] / found["engine"],
    }
