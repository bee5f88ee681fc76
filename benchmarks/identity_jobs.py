"""Jobs that time the identity of users' components, each called in a fresh process by
`benchmarks.processes.fresh`.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

PACKAGE = "benchmarked_parts"
_PART = '''
"""Part {number} of the package."""

import re
from dataclasses import dataclass

{imports}

WORDS = {{"first": {number}, "second": ["a", "b", {number}]}}
PATTERN = re.compile(r"[a-z]+{number}")


@dataclass(frozen=True)
class Rule:
    """What a value is compared with."""

    weight: float = {number}.5
    name: str = "rule {number}"

    def weigh(self, value):
        return self.weight * len(value) + len(WORDS)


def clean(value):
    """Return a value without what does not count."""
    # Parts of it may be spaces.
    return PATTERN.sub("", str(value)).strip()


def normalise(value):
    return clean(value).casefold() or WORDS["second"]


def rate(value, depth=0):
    rules = [Rule(), Rule(weight=WORDS["first"])]
    rated = sum(rule.weigh(normalise(value)) for rule in rules)
    if depth > 1:
        return rated
    return rated + {calls}
'''
#: A metric; what it has beside, and how it compares, is filled in.
_METRIC = """
from functools import cache
from pathlib import Path

from themis_lib import Score
{imports}

WORDS = Path(__file__).with_name("words.txt")


@cache
def words():
    return set(WORDS.read_text().split())


class Metric:
    component_id = "benchmarks/identity"
    version = "1"
    reads = ("value", "expected_output")
    {more}

    def __init__(self, setting=None):
        self.setting = setting

    def fingerprint(self):
        return ""

    def score(self, parsed, case, ctx):
        return Score(value=float({compared}))
"""
_REACHING = {
    "imports": f"from {PACKAGE} import part_0",
    "more": "",
    "compared": "part_0.rate(parsed.value) >= part_0.rate(case.expected_output)",
}
_DECLARING = {
    "imports": "",
    "more": "depends_on = (WORDS.with_name('data.bin'),)",
    "compared": "1",
}
#: A cheap metric, and one that opens a file at its first row.
METRICS = {
    "comparing": "parsed.value == case.expected_output",
    "with_a_file": "parsed.value in words()",
}


def write_package(*, path: str, modules: int) -> None:
    """Write a package in which each module's definitions reach those of all others."""
    folder = Path(path) / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for number in range(modules):
        # Down a tree and back to its root: a chain would be too deep to import.
        reached = [0] if number else []
        reached += [n for n in (2 * number + 1, 2 * number + 2) if n < modules]
        imports = [f"from {PACKAGE} import part_{n}" for n in reached]
        calls = [f"part_{n}.rate(value, depth + 1)" for n in reached]
        text = _PART.format(
            number=number, imports="\n".join(imports), calls=" + ".join(calls)
        )
        (folder / f"part_{number}.py").write_text(text)
    _write_metric(path, "reaching", **_REACHING)


def compile_times(*, path: str, modules: int, turns: int) -> dict[str, float]:
    """Return the seconds to compile an experiment whose metric is in the package.

    In a new process, with the import of the package and without it, and again.
    """
    from themis_lib.runs.compile import compile_experiment

    sys.path.insert(0, path)
    # Without users' code first: what the library itself loads late is not of interest.
    compile_experiment(_experiment(metric="builtin/exact_match", rows=1))
    began = time.perf_counter()
    __import__("reaching")
    imported = time.perf_counter()
    experiment = _experiment(metric="reaching:Metric", rows=1)
    pipeline = compile_experiment(experiment)
    first = pipeline.fingerprint
    cold = time.perf_counter()
    # All of the package must be reached, or the time would be that of other work.
    code = pipeline.scores[0].components[0].code
    assert code is not None
    assert len(code.definitions) > 4 * modules
    warm = []
    for _ in range(turns):
        again = time.perf_counter()
        assert first == compile_experiment(experiment).fingerprint
        warm.append(time.perf_counter() - again)
    return {
        "definitions": len(code.definitions),
        "import": imported - began,
        "cold": cold - imported,
        "warm": median(warm),
    }


def declared_file(*, path: str, rows: int) -> dict[str, float]:
    """Return the seconds of a run whose metric declares the file `data.bin`, and how
    many rows it scored.
    """
    _write_metric(path, "declaring", **_DECLARING)
    sys.path.insert(0, path)
    __import__("declaring")
    # What is loaded late is not of interest.
    _experiment(metric="builtin/exact_match", rows=rows).run()
    use = {"use": "declaring:Metric", "id": "declaring"}
    experiment = _experiment(metric=use, rows=rows, store=f"{path}/store")
    began = time.perf_counter()
    result = experiment.run()
    seconds = time.perf_counter() - began
    scored = result.progress["score[declaring]"].computed
    return {"seconds": seconds, "scored": scored}


def tracing_times(
    *,
    path: str,
    metric: str,
    rows: int,
    shard_size: int,
    turns: int,
) -> dict[str, list[float]]:
    """Return the CPU seconds of each shard that is scored with files traced ("on"), and
    of each without ("off").

    Shards take turns within a run, and each shard of the data from run to run.
    """
    _write_metric(path, "scoring", imports="", more="", compared=METRICS[metric])
    (Path(path) / "words.txt").write_text("42 7")
    sys.path.insert(0, path)
    scoring = __import__("scoring")
    seconds: dict[str, list[float]] = {"on": [], "off": []}
    # The first run generates, parses, and loads what is loaded late.
    for turn in range(turns + 1):
        # Another setting, so that no row is found in the store.
        use = {"use": "scoring:Metric", "id": "traced", "setting": turn}
        experiment = _experiment(
            metric=use, rows=rows, shard_size=shard_size, store=f"{path}/store"
        )
        states = itertools.cycle(("on", "off") if turn % 2 else ("off", "on"))
        for state, taken in _score_shards(experiment, states, scoring.words):
            if turn:
                seconds[state].append(taken)
    return seconds


def _score_shards(
    experiment: Any,
    states: Iterator[str],
    words: Any,
) -> list[tuple[str, float]]:
    """Run an experiment; return the state and the CPU seconds of each shard's scores."""
    from themis_lib.experiment import experiment as driver

    run_stage = driver.run_stage
    scored: list[tuple[str, float]] = []

    async def timed(stage: Any, *arguments: Any, **settings: Any) -> Any:
        if stage.name != "score":
            return await run_stage(stage, *arguments, **settings)
        state = next(states)
        # The metric opens its file in every shard.
        words.cache_clear()
        with nullcontext() if state == "on" else _not_tracing():
            began = time.process_time()
            part = await run_stage(stage, *arguments, **settings)
            scored.append((state, time.process_time() - began))
        # A row that was found in the store would have taken no time.
        assert part.computed == part.rows
        return part

    driver.run_stage = timed
    try:
        experiment.run(until_stage="score")
    finally:
        driver.run_stage = run_stage
    return scored


def _write_metric(path: str, name: str, **parts: str) -> None:
    text = _METRIC.format(**parts)
    (Path(path) / f"{name}.py").write_text(text)


@contextmanager
def _not_tracing() -> Iterator[None]:
    """Have `Dependencies` neither watch nor record anything for a block."""
    from themis_lib.stages.dependencies import Dependencies

    methods: dict[str, Any] = {"watched": nullcontext, "record_new": int}
    before = {name: getattr(Dependencies, name) for name in methods}
    for name, method in methods.items():
        setattr(Dependencies, name, staticmethod(method))
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(Dependencies, name, method)


def _experiment(
    *,
    metric: Any,
    rows: int,
    store: str = "memory://identity",
    shard_size: int | None = None,
) -> Any:
    """Return an experiment that scores its own inputs."""
    from themis_lib import Experiment
    from themis_lib.experiment.spec import experiment_from_spec

    spec: dict[str, Any] = {
        "name": "identity",
        "generation": {"generator": "builtin/demo_generator"},
        "evaluation": {
            "metrics": [metric],
            "parsers": ["builtin/json_identity"],
        },
        "storage": {"store": store},
        "runtime": {"shard_size": shard_size},
        "datasets": [
            {
                "dataset_id": "numbers",
                "cases": [
                    {"case_id": str(n), "input": str(n), "expected_output": str(n)}
                    for n in range(rows)
                ],
            }
        ],
    }
    return experiment_from_spec(Experiment, spec, where="benchmark")
