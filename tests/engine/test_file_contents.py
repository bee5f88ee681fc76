"""Contents of files: read again only where they may have changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from themis_lib.engine.file_contents import remembered_content

#: Seconds since 1970: a time of modification that is long past.
PAST = 1_600_000_000
LARGE = 16 * 2**20


@pytest.fixture(autouse=True)
def memory(own_cache: Path) -> Path:
    """An empty folder for what this machine remembers."""
    return own_cache


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder for data."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


#: Takes the digest of a file twice, and prints how often the file was opened. The clock
#: says that it changed so many seconds ago.
COUNTING = """
import sys, time
from pathlib import Path
from themis_lib.engine.file_contents import remembered_content

name, ago = sys.argv[1], int(sys.argv[2])
opened = []
sys.addaudithook(
    lambda event, said: opened.append(1) if event == "open" and str(said[0]) == name else 0
)
changed = Path(name).stat().st_ctime_ns
time.time_ns = lambda: changed + ago * 10**9
digests = {remembered_content(Path(name)) for _ in range(2)}
print(*digests, len(opened))
"""


def opened(path: Path, *, ago: int) -> tuple[str, int]:
    """The digest that a new process takes twice, and how often it opens the file."""
    command = [sys.executable, "-c", COUNTING, str(path), str(ago)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    digest, times = done.stdout.split()
    return digest, int(times)


def test_large_file_is_read_once_on_a_machine(data: Path) -> None:
    """Neither the process that read it nor a new one reads it again, until it changes."""
    path = data / "large"
    path.write_bytes(bytes(LARGE))

    first, again = (opened(path, ago=10) for _ in range(2))
    path.write_bytes(b"1" * LARGE)
    changed = opened(path, ago=10)

    assert (1, 0, 1) == (first[1], again[1], changed[1])
    assert first[0] == again[0] != changed[0]


def test_small_file_is_read_once_by_a_process(data: Path, memory: Path) -> None:
    """What is quickly read is not remembered by the machine."""
    path = data / "small"
    path.write_text("a")

    assert [1, 1] == [opened(path, ago=10)[1] for _ in range(2)]
    assert not memory.exists()


def test_file_that_was_just_written_is_read_again(data: Path, memory: Path) -> None:
    """Another write within one tick of the clock would not show in its time."""
    path = data / "large"
    path.write_bytes(bytes(LARGE))

    assert [2, 2] == [opened(path, ago=0)[1] for _ in range(2)]
    assert not memory.exists()


def test_time_of_modification_that_is_set_back_deceives_nobody(data: Path) -> None:
    """Another content of the same size and time is another digest, as after `rsync`."""
    path = data / "large"
    digests = []
    for content in (b"0", b"1"):
        path.write_bytes(content * LARGE)
        os.utime(path, (PAST, PAST))
        digests.append(opened(path, ago=10)[0])

    assert 2 == len(set(digests))


def test_missing_file_has_no_content(data: Path) -> None:
    """There is no digest of what cannot be read."""
    with pytest.raises(FileNotFoundError):
        remembered_content(data / "none")
