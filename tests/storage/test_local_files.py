"""Files in folders with locks and without: a run is the same, and what is finished
survives a crash, in either.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.support.tables import tables_of
from tests.test_edit_costs import base, case
from themis_lib import RunResult, RunStore
from themis_lib.runs.manifest import manifests
from themis_lib.storage.local_files import create_file, has_locks, lock, locked
from themis_lib.upkeep.check import check

#: What `flock` of the C library becomes for a process, as on a network folder without
#: locks.
_WITHOUT_LOCKS = (
    "#include <errno.h>\nint flock(int file, int how) {{ errno = {error}; return -1; "
    "}}\n"
)
_ASK = (
    "import sys, pathlib; from themis_lib.storage import local_files as f; "
    "print(f.has_locks(pathlib.Path(sys.argv[1])))"
)
_RUN = (
    "import sys; from themis_lib import Experiment; "
    "print(Experiment.from_config(sys.argv[1]).run().run_id)"
)


@pytest.fixture(scope="module", params=["ENOLCK", "EOPNOTSUPP"])
def without_locks(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """An environment whose processes are refused every lock."""
    if shutil.which("gcc") is None or not sys.platform.startswith("linux"):
        pytest.skip("needs gcc and the dynamic linker of Linux")
    folder = tmp_path_factory.mktemp("without_locks")
    (folder / "flock.c").write_text(_WITHOUT_LOCKS.format(error=request.param))
    library = folder / "flock.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-o", library, folder / "flock.c"], check=True
    )
    return {**os.environ, "LD_PRELOAD": str(library)}


def experiment_file(folder: Path, *, delay_s: float = 0) -> Path:
    """Twelve cases, two samples; each call is noted in `calls.log`."""
    spec = base(folder / "store")
    spec["datasets"][0]["cases"] = [case(number) for number in range(12)]
    spec["generation"]["generator"] = {
        "use": "tests.support.counting:SlowGenerator",
        "log": str(folder / "calls.log"),
        "delay_s": delay_s,
    }
    spec["runtime"] = {"max_concurrency": 1}
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def start(path: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, str(path)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def finished(path: Path, environment: dict[str, str]) -> RunResult:
    process = start(path, environment)
    output, _ = process.communicate(timeout=60)
    assert 0 == process.returncode, output
    return RunResult(RunStore(str(path.parent / "store")), output.strip())


def test_locks_are_found(tmp_path: Path, without_locks: dict[str, str]) -> None:
    """A folder on this disk has locks; to a process that is refused them it has none.
    Probing leaves nothing.
    """
    folder = tmp_path / "new" / "folder"

    refused = subprocess.check_output(
        [sys.executable, "-c", _ASK, str(folder)], env=without_locks, text=True
    )

    assert has_locks(folder)
    assert "False" == refused.strip()
    assert [] == list(folder.iterdir())


def test_lock_is_held(tmp_path: Path) -> None:
    """While a block holds a lock nobody else gets it; afterwards they do."""
    path = tmp_path / "folder" / ".lock"

    with locked(path), path.open("w") as other, pytest.raises(BlockingIOError):
        lock(other.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

    with path.open("w") as other:
        assert lock(other.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.slow
def test_run_without_locks_is_the_same(
    tmp_path: Path, without_locks: dict[str, str]
) -> None:
    """Where locks are refused a run ends with the tables it has elsewhere, and a second
    computes nothing.
    """
    (tmp_path / "with").mkdir()
    expected = finished(experiment_file(tmp_path / "with"), dict(os.environ))
    path = experiment_file(tmp_path)

    first, second = (finished(path, without_locks) for _ in range(2))

    assert tables_of(expected) == tables_of(first) == tables_of(second)
    assert 24 == len((tmp_path / "calls.log").read_text().split())
    assert [] == list(check(first.store))
    assert not list((tmp_path / "store").rglob("*.journal"))


@pytest.mark.slow
def test_two_runs_without_locks_lose_nothing(
    tmp_path: Path, without_locks: dict[str, str]
) -> None:
    """Two processes that write one experiment at once, without locks, end with the same
    tables.
    """
    path = experiment_file(tmp_path, delay_s=0.01)

    both = [start(path, without_locks) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    store = RunStore(str(tmp_path / "store"))
    tables = [
        tables_of(RunResult(store, manifest.run_id)) for manifest in manifests(store)
    ]

    assert [0, 0] == [process.returncode for process in both], outputs
    assert tables[0] == tables[1]
    assert [] == list(check(store))


@pytest.mark.slow
def test_crash_without_locks_loses_seconds(
    tmp_path: Path, without_locks: dict[str, str]
) -> None:
    """After `kill -9` the rows of all but the last seconds are there, as parts: no lock
    says whose a journal is.
    """
    path = experiment_file(tmp_path, delay_s=0.3)
    log = tmp_path / "calls.log"
    process = start(path, without_locks)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(
        (tmp_path / "store").rglob("rows/generate/*/rows-*.parquet")
    ):
        time.sleep(0.05)
    process.kill()
    process.communicate()
    killed = len(log.read_text().split())

    run = finished(path, without_locks)

    assert 24 == len(set(log.read_text().split()))
    assert len(log.read_text().split()) < killed + 24
    assert [] == list(check(run.store))


def test_file_that_could_not_be_written_gets_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that stops halfway, as on a failing disk, leaves no part of the file."""

    def write_half(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "write_bytes", write_half)

    with pytest.raises(OSError, match="Input/output error"):
        create_file(tmp_path / "rows.parquet", b"a whole file")
    assert list(tmp_path.iterdir()) == []


def test_file_is_created_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the filesystem has no hard links, the file is renamed."""

    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)

    assert create_file(tmp_path / "rows.parquet", b"a whole file")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"a whole file"]
