"""What runs in the fresh processes: `python -m benchmarks.jobs NAME '{"argument": …}'` prints the result as JSON."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

EXPERIMENT = str(Path(__file__).with_name("demo.yaml"))
_CHUNK_ROWS = 10_000


def write_cases(*, path: str, cases: int) -> dict[str, Any]:
    """Sums such as {"question": "12+30"} → "42", no two alike, as JSON Lines or Parquet."""
    chunks = (range(start, min(start + _CHUNK_ROWS, cases)) for start in range(0, cases, _CHUNK_ROWS))
    tables = ([_case(number) for number in chunk] for chunk in chunks)
    if path.endswith(".parquet"):
        _write_parquet(path, tables)
    else:
        with Path(path).open("w") as file:
            file.writelines(json.dumps(case) + "\n" for table in tables for case in table)
    return {"bytes": Path(path).stat().st_size}


def in_process(*, data: str, store: str, cases: int) -> dict[str, Any]:
    """Evaluate the first cases of a file with `Experiment.run`."""
    from themis_lib import Experiment

    imported_bytes = _peak_bytes()
    began = time.perf_counter()
    result = Experiment.from_config(EXPERIMENT, overrides=_settings(data, store), limit=cases).run()
    return {"seconds": time.perf_counter() - began, "imported_bytes": imported_bytes, **_outcome(result)}


def through_flow(*, data: str, store: str, cases: int, api_url: str) -> dict[str, Any]:
    """Evaluate the first cases of a file with the flow, until the server has recorded everything."""
    from flows.local import run_to_end

    parameters = {"experiment": EXPERIMENT, "overrides": _settings(data, store), "limit": cases}
    began = time.perf_counter()
    outcome = asyncio.run(run_to_end(api_url, parameters, follow=lambda run: None))
    return {"seconds": time.perf_counter() - began, **_outcome(outcome.run.result)}


def import_library() -> dict[str, Any]:
    """Import the library, which brings no Prefect with it."""
    began = time.perf_counter()
    import themis_lib  # noqa: F401 - the import is what is timed

    seconds = time.perf_counter() - began
    assert "prefect" not in sys.modules
    return {"seconds": seconds, "modules": len(sys.modules)}


def sleepers(*, store: str, rows: int, sleep_s: float, max_concurrency: int) -> dict[str, Any]:
    """Generate rows whose generator only waits."""
    from benchmarks.generators import Sleeper
    from themis_lib import Case, Dataset, Experiment, GenerationConfig, RuntimeConfig, StorageConfig

    cases = [Case(case_id=str(number), input=number) for number in range(rows)]
    experiment = Experiment(
        generation=GenerationConfig(generator=Sleeper(sleep_s)),
        datasets=[Dataset(dataset_id="naps", cases=cases)],
        storage=StorageConfig(store=store),
        runtime=RuntimeConfig(max_concurrency=max_concurrency),
    )
    began = time.perf_counter()
    result = experiment.run(until_stage="generate")
    return {"seconds": time.perf_counter() - began, **_outcome(result)}


def _case(number: int) -> dict[str, Any]:
    return {"case_id": f"q-{number}", "input": {"question": f"{number}+30"}, "expected_output": str(number + 30)}


def _write_parquet(path: str, tables: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.Table.from_pylist([_case(0)]).schema
    with pq.ParquetWriter(path, schema) as writer:
        for table in tables:
            writer.write_table(pa.Table.from_pylist(table, schema=schema))


def _settings(data: str, store: str) -> list[str]:
    return [f"datasets.0.path={data}", f"storage.store={store}"]


def _outcome(result: Any) -> dict[str, Any]:
    assert result.status.value == "completed", result
    computed = sum(stage.computed for stage in result.progress.values())
    return {"computed": computed, "peak_bytes": _peak_bytes()}


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](**json.loads(sys.argv[2]))))
