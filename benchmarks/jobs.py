"""What runs in the fresh processes: `python -m benchmarks.jobs NAME '{"argument": …}'`
prints the result as JSON.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EXPERIMENT = str(Path(__file__).with_name("demo.yaml"))


def write_cases(*, path: str, cases: int) -> None:
    """Sums such as {"question": "12+30"} → "42", no two alike, as JSON Lines or
    Parquet.
    """
    lines = Path(path).with_suffix(".jsonl")
    with lines.open("w") as file:
        for number in range(cases):
            case = {"case_id": f"q-{number}", "input": {"question": f"{number}+30"}}
            file.write(json.dumps({**case, "expected_output": str(number + 30)}) + "\n")
    if path.endswith(".parquet"):
        import pyarrow.json
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.json.read_json(lines), path)


def in_process(
    *, data: str, store: str, cases: int, settings: Sequence[str] = ()
) -> dict[str, Any]:
    """Evaluate the first cases of a file with `Experiment.run`."""
    from themis_lib import Experiment

    imported_bytes = _peak_bytes()
    began = time.perf_counter()
    result = Experiment.from_config(
        EXPERIMENT, overrides=[*_settings(data, store), *settings], limit=cases
    ).run()
    return {**_outcome(result, began), "imported_bytes": imported_bytes}


def through_flow(
    *, data: str, store: str, cases: int, api_url: str, settings: Sequence[str] = ()
) -> dict[str, Any]:
    """Evaluate the first cases of a file with the flow, until the server has recorded
    everything.
    """
    from flows.local import run_to_end

    parameters = {
        "experiment": EXPERIMENT,
        "overrides": [*_settings(data, store), *settings],
        "limit": cases,
    }
    began = time.perf_counter()
    outcome = asyncio.run(run_to_end(api_url, parameters, follow=lambda _: None))
    return _outcome(outcome.run.result, began)


def busy_metric(
    *, data: str, store: str, cases: int, work_ms: float, runner: str, api_url: str
) -> dict[str, Any]:
    """Evaluate the first cases of a file with a metric that keeps a core busy, on a
    runner of the flow.
    """
    from flows.local import run_to_end
    from themis_lib.cpus import available_cpus

    busy = f"{{use: 'benchmarks.metrics:Busy', id: busy, work_ms: {work_ms}}}"
    metric = f"evaluation.metrics=[{busy}]"
    spread = ["runtime.shard_size=50", f"runtime.workers={available_cpus()}"]
    parameters = {
        "experiment": EXPERIMENT,
        "overrides": [*_settings(data, store), metric, *spread],
        "limit": cases,
        "runner": runner,
    }
    began = time.perf_counter()
    outcome = asyncio.run(run_to_end(api_url, parameters, follow=lambda _: None))
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "scored": outcome.run.result.progress["score[busy]"].computed,
    }


def score_texts(*, metric: dict[str, Any], rows: int) -> float:
    """Seconds to score so many rows with a metric that has scored one before."""
    from benchmarks.text_metrics import pair
    from themis_lib import Case, GenerationResult, ParsedOutput
    from themis_lib.components.build import build
    from themis_lib.core.contexts import ScoreContext

    built = build("metric", metric, where="benchmark").component
    pairs = [pair(metric["use"], number) for number in range(rows)]
    answers = [ParsedOutput(value=value) for value, _ in pairs]
    cases = [
        Case(case_id="case", input=None, expected_output=expected)
        for _, expected in pairs
    ]
    contexts = [ScoreContext(GenerationResult())] * rows

    def score(count: int) -> None:
        columns = answers[:count], cases[:count], contexts[:count]
        if not hasattr(built, "score_batch"):
            list(map(built.score, *columns))
        elif asyncio.iscoroutine(scores := built.score_batch(*columns)):
            asyncio.run(scores)

    score(1)
    began = time.perf_counter()
    score(rows)
    return time.perf_counter() - began


def import_library() -> float:
    """Import the library, which brings no Prefect with it."""
    began = time.perf_counter()
    import themis_lib  # noqa: F401 - the import is what is timed

    seconds = time.perf_counter() - began
    assert "prefect" not in sys.modules
    return seconds


def wait_often(
    *, store: str, rows: int, sleep_s: float, max_concurrency: int
) -> dict[str, Any]:
    """Generate rows whose generator only waits."""
    from benchmarks.generators import Sleeper
    from themis_lib import (
        Case,
        Dataset,
        Experiment,
        GenerationConfig,
        RuntimeConfig,
        StorageConfig,
    )

    cases = [Case(case_id=str(number), input=number) for number in range(rows)]
    experiment = Experiment(
        generation=GenerationConfig(generator=Sleeper(sleep_s)),
        datasets=[Dataset(dataset_id="naps", cases=cases)],
        storage=StorageConfig(store=store),
        runtime=RuntimeConfig(max_concurrency=max_concurrency),
    )
    began = time.perf_counter()
    return _outcome(experiment.run(until_stage="generate"), began)


def html_report(*, store: str, cases: int, page: str) -> dict[str, float]:
    """Evaluate made cases, unless the store has them, and write the run's report."""
    from benchmarks.generators import Rambler
    from themis_lib import (
        Case,
        Dataset,
        EvaluationConfig,
        Experiment,
        GenerationConfig,
        StorageConfig,
    )
    from themis_lib.report.html import report_html

    made = [
        Case(
            case_id=f"q-{number}",
            input=f"number {number} ",
            expected_output="7",
            metadata={"kind": str(number % 7)},
        )
        for number in range(cases)
    ]
    result = Experiment(
        generation=GenerationConfig(generator=Rambler(words=50)),
        evaluation=EvaluationConfig(
            metrics=["builtin/exact_match", "builtin/contains"],
            parsers=["builtin/text"],
            slices=["kind"],
        ),
        storage=StorageConfig(store=store),
        datasets=[Dataset(dataset_id="made", cases=made)],
    ).run()
    began = time.perf_counter()
    html = report_html(result)
    seconds = time.perf_counter() - began
    Path(page).write_text(html, encoding="utf-8")
    return {"write_s": seconds}


def plain_sdk_loop(*, url: str, requests: int, width: int) -> float:
    """Seconds of so many requests by `openai.AsyncOpenAI` itself, `width` at a time,
    after one that is not timed.
    """
    from openai import AsyncOpenAI

    async def run() -> float:
        async with AsyncOpenAI(api_key="none", base_url=url) as client:
            places = asyncio.Semaphore(width)

            async def ask(number: int) -> None:
                async with places:
                    said: Any = {"role": "user", "content": f"{number}+30"}
                    await client.chat.completions.create(
                        model="waiting", messages=[said], seed=number
                    )

            await ask(0)
            began = time.perf_counter()
            await asyncio.gather(*(ask(number) for number in range(requests)))
            return time.perf_counter() - began

    return asyncio.run(run())


def engine_beside_loop(
    *, shared: int, own: int, out: int, prompts: int, repeats: int
) -> dict[str, Any]:
    """Greedy texts of exactly `out` tokens by the engine and by a loop over `Llama`, by
    turns; seconds of the best.
    """
    from benchmarks.plain_loop import PlainLoop, machine_bound
    from themis_lib.engine.engines import engine_for
    from themis_lib.engine.generation import Request
    from themis_lib.engine.models import find_model

    file = find_model(model="tiny")
    engine = engine_for(file)
    loop = PlainLoop(file.path)
    texts = _random_prompts(engine, shared=shared, own=own, prompts=prompts)

    def by_engine() -> int:
        running = [engine.submit(Request(text, out, ignore_eos=True)) for text in texts]
        return sum(len(one.result().tokens) for one in running)

    ways = {
        "engine": by_engine,
        "loop": lambda: sum(loop.complete(text, out, reset=False) for text in texts),
        "reset": lambda: sum(loop.complete(text, out, reset=True) for text in texts),
    }
    best = dict.fromkeys(ways, float("inf"))
    for repeat in range(repeats + 1):  # the first warms up
        for name, way in ways.items():
            began = time.perf_counter()
            assert way() == prompts * out, f"{name} wrote texts of another length"
            if repeat:
                best[name] = min(best[name], time.perf_counter() - began)
    bound = machine_bound(
        engine.weights,
        prompt_tokens=prompts * own + shared,
        steps=out,
        width=8,
        texts=prompts,
    )
    return {**best, "bound": bound}


def constrained_beside_free(*, repeats: int) -> dict[str, Any]:
    """Seconds a token, greedy, under a regular expression that allows what the model
    writes freely, and without.
    """
    from themis_lib.engine.constraints.constraint import constraint
    from themis_lib.engine.engines import engine_for
    from themis_lib.engine.generation import Request
    from themis_lib.engine.models import find_model

    engine = engine_for(find_model(model="tiny"))
    texts = _random_prompts(engine, shared=0, own=16, prompts=32)
    best = {"free": float("inf"), "constrained": float("inf")}
    for repeat in range(repeats + 1):
        for name, asked in (
            ("free", None),
            ("constrained", constraint(regex=r"(?s:.*)")),
        ):
            began = time.perf_counter()
            running = [
                engine.submit(Request(text, 128, constraint=asked)) for text in texts
            ]
            tokens = sum(len(one.result().tokens) for one in running)
            if repeat:
                best[name] = min(best[name], (time.perf_counter() - began) / tokens)
    return {**best, "overhead_percent": 100 * (best["constrained"] / best["free"] - 1)}


def bootstrap(*, kind: str, rows: int, resamples: int) -> dict[str, float]:
    """The bootstrap's interval of scores that are drawn at random, and the seconds it
    takes.
    """
    import numpy as np

    from themis_lib.stats.intervals import mean_interval

    random = np.random.default_rng(0)
    scores = (
        np.round(random.random(rows))
        if kind == "0 or 1"
        else random.gamma(2.0, size=rows)
    )
    clusters = random.integers(0, 5_000, size=rows) if "clusters" in kind else None
    mean_interval(scores[:100], method="bootstrap", resamples=100)  # imports
    began = time.perf_counter()
    interval = mean_interval(
        scores, method="bootstrap", clusters=clusters, resamples=resamples
    )
    seconds = time.perf_counter() - began
    assert interval.low is not None
    assert interval.high is not None
    return {"seconds": seconds, "low": interval.low, "high": interval.high}


def _random_prompts(
    engine: Any, *, shared: int, own: int, prompts: int
) -> list[tuple[int, ...]]:
    import numpy as np

    random = np.random.default_rng(0)
    words = [
        token for token in range(engine.weights.n_vocab) if engine.weights.piece(token)
    ]
    beginning = random.choice(words, shared).tolist()
    return [(*beginning, *random.choice(words, own).tolist()) for _ in range(prompts)]


def _settings(data: str, store: str) -> list[str]:
    return [f"datasets.0.path={data}", f"storage.store={store}"]


def _outcome(result: Any, began: float) -> dict[str, Any]:
    seconds = time.perf_counter() - began
    assert result.status.value == "completed", result
    computed = sum(stage.computed for stage in result.progress.values())
    return {"seconds": seconds, "computed": computed, "peak_bytes": _peak_bytes()}


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](**json.loads(sys.argv[2]))))
