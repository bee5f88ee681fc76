"""Jobs that time single calls, without an evaluation around them, each called in a
fresh process by `benchmarks.processes.fresh`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any


def score_texts(*, metric: dict[str, Any], rows: int) -> float:
    """Return the seconds to score so many rows with a metric that has scored one
    before.
    """
    from benchmarks.text_metrics import pair
    from themis_lib import Case, GenerationResult, ParsedOutput
    from themis_lib.components.build import build
    from themis_lib.core.contexts import ScoreContext

    built = build("metric", metric, where="benchmark").component
    context = ScoreContext(GenerationResult())
    made = []
    for number in range(rows):
        value, expected = pair(metric["use"], number)
        answer = ParsedOutput(value=value)
        case = Case(case_id="case", input=None, expected_output=expected)
        made.append((answer, case, context))

    def score(count: int) -> None:
        if not hasattr(built, "score_batch"):
            for row in made[:count]:
                built.score(*row)
            return
        columns = zip(*made[:count], strict=True)
        scores = built.score_batch(*columns)
        if asyncio.iscoroutine(scores):
            asyncio.run(scores)

    # The first row imports the metric's library and starts its processes.
    score(1)
    began = time.perf_counter()
    score(rows)
    return time.perf_counter() - began


def bootstrap_interval(
    *,
    kind: str,
    rows: int,
    resamples: int,
) -> dict[str, float]:
    """Return the bootstrap interval of random scores, and the seconds it takes."""
    import numpy as np

    from themis_lib.stats.intervals import mean_interval

    random = np.random.default_rng(0)
    if kind == "0 or 1":
        scores = np.round(random.random(rows))
    else:
        scores = random.gamma(2.0, size=rows)
    clusters = None
    if "clusters" in kind:
        clusters = random.integers(0, 5_000, size=rows)
    # A small one first: the function imports SciPy when it is called.
    mean_interval(scores[:100], method="bootstrap", resamples=100)
    began = time.perf_counter()
    interval = mean_interval(
        scores, method="bootstrap", clusters=clusters, resamples=resamples
    )
    seconds = time.perf_counter() - began
    assert interval.low is not None
    assert interval.high is not None
    return {"seconds": seconds, "low": interval.low, "high": interval.high}


def plain_sdk_loop(
    *,
    url: str,
    requests: int,
    width: int,
) -> float:
    """Return the seconds of so many requests by `openai.AsyncOpenAI` itself, `width` at
    a time, after one that is not timed.
    """
    from openai import AsyncOpenAI

    places = asyncio.Semaphore(width)

    async def ask(client: AsyncOpenAI, number: int) -> None:
        message: Any = {"role": "user", "content": f"{number}+30"}
        async with places:
            await client.chat.completions.create(
                model="waiting", messages=[message], seed=number
            )

    async def run() -> float:
        async with AsyncOpenAI(api_key="none", base_url=url) as client:
            # The SDK loads parts of itself at its first request.
            await ask(client, 0)
            began = time.perf_counter()
            asked = [ask(client, number) for number in range(requests)]
            await asyncio.gather(*asked)
            return time.perf_counter() - began

    return asyncio.run(run())


def profile_requests(*, data: str, url: str, requests: int) -> dict[str, float]:
    """Return the processor seconds by owner of the code, of requests through the adapter
    `openai` with all stages, after a few that are not counted.

    Built-in functions count for the code that calls them. The profiler makes short
    functions slow: the shares are better than the seconds.
    """
    import cProfile
    import pstats
    from tempfile import TemporaryDirectory

    from benchmarks.jobs import EXPERIMENT
    from themis_lib import Experiment

    def run(cases: int) -> None:
        client = "use: openai, model: waiting, api_mode: chat_completions"
        with TemporaryDirectory(prefix="themis-bench-") as store:
            overrides = [
                f"datasets.0.path={data}",
                f"storage.store={store}",
                f"generation.generator={{{client}, base_url: '{url}'}}",
                "runtime.max_concurrency=100",
            ]
            Experiment.from_config(EXPERIMENT, overrides=overrides, limit=cases).run()

    run(5)
    profile = cProfile.Profile(time.process_time)
    profile.enable()
    run(requests)
    profile.disable()
    seconds: Counter[str] = Counter()
    stats: Any = pstats.Stats(profile)
    for (path, _, _), (_, _, own_s, _, callers) in stats.stats.items():
        # Of a built-in function, the profile has no path.
        if path != "~" or not callers:
            seconds[_owner_of(path)] += own_s
            continue
        for (caller, _, _), (_, _, called_s, _) in callers.items():
            seconds[_owner_of(caller)] += called_s
    return dict(seconds)


#: Whose code a file is, by a part of its path; the first that fits.
_OWNERS = {
    "/themis_lib/": "themis_lib",
    "/benchmarks/": "themis_lib",
    "/openai/": "openai",
    "/httpx": "HTTP client of the SDK",
    "/aiohttp/": "aiohttp",
    "/yarl/": "aiohttp",
    "/multidict/": "aiohttp",
    "/asyncio/": "event loop",
    "/anyio/": "event loop",
    "/selectors.py": "event loop",
    "/pydantic/": "pydantic and copies",
    "/copy.py": "pydantic and copies",
}


def _owner_of(path: str) -> str:
    for part, owner in _OWNERS.items():
        if part in path:
            return owner
    return "other"
