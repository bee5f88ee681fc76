"""Jobs that evaluate, each called in a fresh process by `benchmarks.processes.fresh`.

They take and return JSON. Imports are inside them, so that each process holds what its
own job needs and no more.
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
    """Write sums such as {"question": "12+30"} → "42", no two alike, as JSON Lines or
    Parquet.
    """
    lines = Path(path).with_suffix(".jsonl")
    with lines.open("w") as file:
        for number in range(cases):
            case = {
                "case_id": f"q-{number}",
                "input": {"question": f"{number}+30"},
                "expected_output": str(number + 30),
            }
            line = json.dumps(case)
            file.write(f"{line}\n")
    # The file of lines stays beside it: only the Parquet file is evaluated.
    if path.endswith(".parquet"):
        import pyarrow.json
        import pyarrow.parquet

        table = pyarrow.json.read_json(lines)
        pyarrow.parquet.write_table(table, path)


def import_library() -> float:
    """Return the seconds that importing the library takes."""
    began = time.perf_counter()
    import themis_lib  # noqa: F401 - the import is what is timed

    seconds = time.perf_counter() - began
    # Importing Prefect takes longer than all the rest of the library.
    assert "prefect" not in sys.modules
    return seconds


def in_process(
    *,
    data: str,
    store: str,
    cases: int,
    settings: Sequence[str] = (),
) -> dict[str, Any]:
    """Evaluate the first cases of a file with `Experiment.run`."""
    from themis_lib import Experiment

    # Before the run: what the import alone has taken.
    imported_bytes = _peak_bytes()
    overrides = [*_data_and_store(data, store), *settings]
    began, processor_began = time.perf_counter(), time.process_time()
    experiment = Experiment.from_config(EXPERIMENT, overrides=overrides, limit=cases)
    result = experiment.run()
    processor_s = time.process_time() - processor_began
    seconds = time.perf_counter() - began
    return {
        **_outcome(result, seconds),
        "processor_s": processor_s,
        "imported_bytes": imported_bytes,
    }


def through_flow(
    *,
    data: str,
    store: str,
    cases: int,
    api_url: str,
    settings: Sequence[str] = (),
) -> dict[str, Any]:
    """Evaluate the first cases of a file with the flow, until the server has recorded
    everything.
    """
    overrides = [*_data_and_store(data, store), *settings]
    result, seconds = _run_flow(api_url, overrides=overrides, limit=cases)
    return _outcome(result, seconds)


def busy_metric(
    *,
    data: str,
    store: str,
    cases: int,
    work_ms: float,
    runner: str,
    api_url: str,
) -> dict[str, Any]:
    """Evaluate the first cases of a file with a metric that keeps a core busy, on a
    runner of the flow.
    """
    from themis_lib.cpus import available_cpus

    busy = f"{{use: 'benchmarks.metrics:Busy', id: busy, work_ms: {work_ms}}}"
    overrides = [
        *_data_and_store(data, store),
        f"evaluation.metrics=[{busy}]",
        # Several shards a worker, so that none waits long for the last one.
        "runtime.shard_size=50",
        f"runtime.workers={available_cpus()}",
    ]
    result, seconds = _run_flow(
        api_url, overrides=overrides, limit=cases, runner=runner
    )
    return {"seconds": seconds, "scored": result.progress["score[busy]"].computed}


def on_runner(
    *,
    data: str,
    store: str,
    cases: int,
    runner: str,
    workers: int,
    api_url: str,
) -> dict[str, Any]:
    """Evaluate the first cases of a file on a runner of the flow; the outcome has the
    digests of the tables, and how many shards there were.
    """
    from themis_lib.storage.tables import VOLATILE_COLUMNS, column_digests

    overrides = [*_data_and_store(data, store), f"runtime.workers={workers}"]
    result, seconds = _run_flow(
        api_url, overrides=overrides, limit=cases, runner=runner
    )
    outcome = _outcome(result, seconds)
    digests = {}
    for name in ("outputs", "answers", "scores", "results"):
        lasting = result.table(name)
        for column in VOLATILE_COLUMNS & set(lasting.column_names):
            lasting = lasting.drop_columns(column)
        digests[name] = column_digests(lasting)
    parts = list(Path(store, "rows/cases").glob("*.parquet"))
    return {**outcome, "digests": digests, "shards": len(parts)}


def wait_often(
    *,
    store: str,
    rows: int,
    sleep_s: float,
    max_concurrency: int,
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
    result = experiment.run(until_stage="generate")
    seconds = time.perf_counter() - began
    return _outcome(result, seconds)


def html_report(
    *,
    store: str,
    cases: int,
    page: str,
) -> dict[str, float]:
    """Evaluate made-up cases, unless the store has them, and write the run's report."""
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

    made = []
    for number in range(cases):
        case = Case(
            case_id=f"q-{number}",
            # With the space behind it, "number 424 " is found in one case, not in 4240 too.
            input=f"number {number} ",
            expected_output="7",
            metadata={"kind": str(number % 7)},
        )
        made.append(case)
    experiment = Experiment(
        generation=GenerationConfig(generator=Rambler(words=50)),
        evaluation=EvaluationConfig(
            metrics=["builtin/exact_match", "builtin/contains"],
            parsers=["builtin/text"],
            slices=["kind"],
        ),
        storage=StorageConfig(store=store),
        datasets=[Dataset(dataset_id="made", cases=made)],
    )
    result = experiment.run()
    began = time.perf_counter()
    html = report_html(result)
    seconds = time.perf_counter() - began
    Path(page).write_text(html, encoding="utf-8")
    return {"write_s": seconds}


def _run_flow(api_url: str, **parameters: Any) -> tuple[Any, float]:
    """Return the result of a flow run and the seconds until all of it is recorded."""
    from flows.local import run_to_end

    parameters["experiment"] = EXPERIMENT
    # After the imports, which are measured elsewhere.
    began = time.perf_counter()
    outcome = asyncio.run(run_to_end(api_url, parameters, follow=lambda _: None))
    seconds = time.perf_counter() - began
    return outcome.run.result, seconds


def _data_and_store(data: str, store: str) -> list[str]:
    return [f"datasets.0.path={data}", f"storage.store={store}"]


def _outcome(result: Any, seconds: float) -> dict[str, Any]:
    # A run that failed midway would look fast.
    assert result.status.value == "completed", result
    computed = sum(stage.computed for stage in result.progress.values())
    return {"seconds": seconds, "computed": computed, "peak_bytes": _peak_bytes()}


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, Linux kibibytes.
    if sys.platform == "darwin":
        return peak
    return 1024 * peak
