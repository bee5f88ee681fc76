"""A disk that is full in the middle of a run costs the rows in flight, and nothing that
was finished.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

#: Runs with files of so many bytes at most, as on a full disk, then again in the same
#: process with room, and says what happened.
PROGRAM = """
import json, pathlib, resource, sys
from themis_lib import Experiment, StoreError
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.runs.manifest import manifests

store, large, room = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
calls = pathlib.Path(sys.argv[4])
calls.touch()
spec = {
    "generation": {"generator": {"use": "tests.test_disk_full:Writer", "log": str(calls),
        "size": 2000 if large == "journal" else 1}},
    "evaluation": {"parsers": ["builtin/text"], "metrics": ["builtin/exact_match"]},
    "datasets": [{"dataset_id": "d", "cases": [
        {"case_id": str(number), "input": str(number), "expected_output": "x",
         "metadata": {"note": f"{number}" * (1 if large == "journal" else 400)}}
        for number in range(200)]}],
    "storage": {"store": str(store)},
    "runtime": {"max_concurrency": 4},
}
experiment = experiment_from_spec(Experiment, spec, where="spec")
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
error = ""
try:
    experiment.run()
except StoreError as raised:
    error = str(raised)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
manifest = manifests(experiment.open_store())[-1]
left = [path.name for path in store.rglob("*") if path.name.endswith((".tmp", ".new"))]
first = len(calls.read_text().split())
result = experiment.run()
print(json.dumps({
    "error": error, "status": manifest.status, "said": manifest.error, "left": left,
    "first": first, "calls": len(calls.read_text().split()),
    "computed": result.progress["generate"].computed,
    "cached": result.progress["generate"].cached, "end": result.status,
}))
"""


class Writer:
    """Writes a text of some size, and every call to a file."""

    component_id = "tests/writer"
    version = "1"
    reads = ("input",)
    runtime = ("log",)

    def __init__(self, log: str, size: int) -> None:
        self.log, self.size = log, size

    def fingerprint(self) -> str:
        return str(self.size)

    async def generate(self, case, ctx):  # type: ignore[no-untyped-def]
        from themis_lib import GenerationResult

        with open(self.log, "a") as log:  # noqa: PTH123
            log.write(f"{case.input}\n")
        return GenerationResult(final_output=f"{case.input} " * self.size)


@pytest.mark.parametrize(
    ("large", "room"),
    [
        ("journal", 300_000),
        pytest.param("journal", 20_000, marks=pytest.mark.slow),
        pytest.param("tables", 12_000, marks=pytest.mark.slow),
    ],
)
def test_full_disk_is_told_and_gone_on_from(
    tmp_path: Path, large: str, room: int
) -> None:
    """One error with the file and its bytes; no half file is left; the record says that
    the run was interrupted; and going on in the same process pays for no row that was
    finished.
    """
    arguments = (tmp_path / "store", large, room, tmp_path / "calls")

    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == ran.returncode, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])

    assert str(tmp_path / "store") in told["error"]
    assert "no room on the disk for" in told["error"]
    assert "failed" == told["status"]
    assert f"interrupted: {told['error']}" == told["said"]
    assert [] == told["left"]
    assert told["computed"] + told["cached"] == 200
    # Of each of four rows in flight: one that could not be written, and one after it.
    assert told["calls"] <= 200 + 2 * 4
    assert told["cached"] >= told["first"] - 2 * 4
