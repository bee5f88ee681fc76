"""A job that evaluates data again and again while it is edited; see `benchmarks.jobs`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

#: How many cases next to each other an edit changes.
_EDITED = 3
#: Runs of a tenth of a second vary by a quarter on a busy machine.
_CACHED_RUNS = 5


def edited(
    *,
    folder: str,
    cases: int,
    edits: int,
) -> dict[str, list[dict[str, float]]]:
    """Evaluate cases, then once more, then after each edit, and once more at the end.

    Edits are of three cases next to each other (`edits`), and of one case, which is
    appended, put in front, removed and moved (`one_case`). Each run has its seconds of
    processor, the rows that it computed, and the bytes and files by which the store grew.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from benchmarks.jobs import EXPERIMENT
    from themis_lib import Experiment

    data, store = Path(folder, "cases.parquet"), Path(folder, "store")
    numbers = list(range(cases))
    expected = [str(number + 30) for number in numbers]
    overrides = [f"datasets.0.path={data}", f"storage.store={store}"]

    def write() -> None:
        columns: dict[str, Any] = {
            "case_id": [f"q-{number}" for number in numbers],
            "input": [{"question": f"{number}+30"} for number in numbers],
            "expected_output": [expected[number] for number in numbers],
        }
        pq.write_table(pa.table(columns), data)

    def evaluate() -> dict[str, float]:
        bytes_before, files_before = _size(store)
        began = time.process_time()
        result = Experiment.from_config(EXPERIMENT, overrides=overrides).run()
        seconds = time.process_time() - began
        bytes_after, files_after = _size(store)
        return {
            "seconds": seconds,
            "computed": sum(record.computed for record in result.manifest.stages),
            "bytes": bytes_after - bytes_before,
            "files": files_after - files_before,
        }

    def evaluate_cached() -> dict[str, float]:
        """Return the quickest of some runs that compute nothing."""
        runs = [evaluate() for _ in range(_CACHED_RUNS)]
        return min(runs, key=lambda run: run["seconds"])

    write()
    unchanged = [evaluate(), evaluate_cached()]
    edited_runs = []
    for edit in range(edits):
        # Spread over the data, so that every shard is edited in turn.
        first = edit * (cases - _EDITED) // max(edits - 1, 1)
        for at in range(first, first + _EDITED):
            expected[at] += "0"
        write()
        edited_runs.append(evaluate())
    unchanged.append(evaluate_cached())
    one_case = []
    for number, place in ((cases, cases), (cases + 1, 0)):
        expected.append(str(number + 30))
        numbers.insert(place, number)
        write()
        one_case.append(evaluate())
    removed = numbers.pop(cases // 3)
    write()
    one_case.append(evaluate())
    numbers.remove(removed - 1)
    numbers.insert(2 * cases // 3, removed - 1)
    write()
    one_case.append(evaluate())
    return {"unchanged": unchanged, "edits": edited_runs, "one_case": one_case}


def _size(folder: Path) -> tuple[int, int]:
    """Return the bytes and the number of the files below a folder."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum(sizes), len(sizes)
