"""Jobs that time single calls, without an evaluation around them, each called in a
fresh process by `benchmarks.processes.fresh`.
"""

from __future__ import annotations

import asyncio
import time
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
