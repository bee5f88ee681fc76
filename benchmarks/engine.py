"""Tokens per second of the local engine, beside a plain loop over
`llama_cpp.Llama.create_completion`.

Both get the same model, prompts and lengths, in one process and by turns, each with new
prompts: the bundled model, or another one (`--model`) with fewer. The loop reuses the
prefix it shares with the prompt before, as `Llama` does by default (`loop`), or computes
each prompt anew (`reset`), which alone gives the same bits every time.
"""

from __future__ import annotations

from typing import Any

from benchmarks.engine_jobs import (
    constrained_beside_free,
    engine_beside_loop,
    examination,
)
from benchmarks.processes import fresh
from benchmarks.report import Aim, Report, Row

#: In tokens: the shared prefix, the rest of each prompt, and its text; and the number
#: of prompts.
_WORKLOADS = {
    "few-shot": {"shared": 600, "own": 50, "out": 16, "prompts": 64},
    "no shared prefix": {"shared": 0, "own": 128, "out": 128, "prompts": 32},
    "one prompt alone": {"shared": 0, "own": 128, "out": 128, "prompts": 1},
}
_AIMS = {"few-shot": 5.0, "no shared prefix": 1.5, "one prompt alone": 1.0}
_BUNDLED = "tiny"
#: A larger model writes one batch of texts.
_PROMPTS_OF_OTHERS = 8
_AIMS_OF_OTHERS = {"few-shot": 2.0, "no shared prefix": 1.5, "one prompt alone": 0.95}
#: The workload that is compared with the machine's own rates: with a shared prefix,
#: the work that remains depends on what the cache keeps.
_BOUND_WORKLOAD = "no shared prefix"


def measure(
    *,
    quick: bool,
    model: str = _BUNDLED,
) -> Report:
    is_bundled = model == _BUNDLED
    repeats = 1 if quick else 5
    measured = {}
    rows = []
    aims = []
    for name, sizes in _WORKLOADS.items():
        if not is_bundled:
            sizes = {**sizes, "prompts": min(sizes["prompts"], _PROMPTS_OF_OTHERS)}
        found = fresh(engine_beside_loop, model=model, repeats=repeats, **sizes)
        measured[name] = found
        tokens = sizes["prompts"] * sizes["out"]
        row = _build_row(name, tokens, found)
        rows.append(row)
        least = (_AIMS if is_bundled else _AIMS_OF_OTHERS)[name]
        what = f"{name}: times the loop"
        aims.append(Aim(what, row["times_loop"], least, at_least=True))
    if is_bundled:
        constrained = fresh(constrained_beside_free, repeats=repeats)
        overhead = constrained["overhead_percent"]
        what = "constrained over free, per cent more time a token"
        aims.append(Aim(what, overhead, 10))
    found = measured[_BOUND_WORKLOAD]
    examined_s = fresh(examination, model=model)
    return Report(
        how=f"tokens of text per second, {found['model']}; the loop is llama_cpp.Llama "
        "with its own settings, which reuses the prefix it shares with the prompt "
        "before; `reset` forgets it first. Best of the repeats, by turns, by the clock; "
        "`cpu_` by processor time. "
        f"Examined at its first load in {examined_s:.1f} s of processor time. "
        + _describe_bound(found),
        rows=rows,
        aims=aims,
    )


def _build_row(
    workload: str,
    tokens: int,
    found: dict[str, Any],
) -> Row:
    seconds = found["seconds"]
    processor = found["processor_seconds"]
    return {
        "workload": workload,
        "engine_tokens_per_s": tokens / seconds["engine"],
        "loop_tokens_per_s": tokens / seconds["loop"],
        "reset_tokens_per_s": tokens / seconds["reset"],
        "times_loop": seconds["loop"] / seconds["engine"],
        "times_reset": seconds["reset"] / seconds["engine"],
        "cpu_times_loop": processor["loop"] / processor["engine"],
        "cpu_times_reset": processor["reset"] / processor["engine"],
    }


def _describe_bound(found: dict[str, Any]) -> str:
    """Say which share of the machine's own rates the engine reaches."""
    bound = found["bound"]
    share = bound["seconds"] / found["seconds"]["engine"]
    gflop = bound["flops"] / 1e9
    gflop_per_s = bound["flops_per_s"] / 1e9
    gb_per_s = bound["bytes_per_s"] / 1e9
    return (
        f"Without a shared prefix the engine reaches {100 * share:.0f} % of the bound: "
        f"{gflop:.1f} GFLOP (2 for each weight and token) at {gflop_per_s:.0f} GFLOP/s "
        f"(NumPy's float32 matrix product, {bound['threads']} threads), or the weights "
        f"read once a step at {gb_per_s:.0f} GB/s, whichever takes longer"
    )
