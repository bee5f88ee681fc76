"""The generation cache: what comes back, what is evicted, and what a broken disk
costs.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from themis_lib import ConfigError
from themis_lib.steadytext.cache import TextCache, text_cache

pytest.importorskip("diskcache")

DAY_S = 86_400
ENTRY = {
    "tokens": [1, 2, 3],
    "text": "naïve 🙂",
    "logprobs": [-0.1, -1e-300, float("-inf")],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=8,
)


def noise(size: int, seed: int = 0) -> dict[str, Any]:
    """An entry of about this many bytes that does not compress."""
    return {
        "text": random.Random(seed).randbytes(size // 2).hex()[: size // 2],
        "seed": seed,
        "pad": _pad(size, seed),
    }


def _pad(size: int, seed: int) -> list[float]:
    draws = random.Random(seed + 1)
    return [draws.random() for _ in range(size // 40)]


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[TextCache]:
    opened = TextCache(tmp_path / "generations")
    yield opened
    opened.close()


@contextlib.contextmanager
def database(cache: TextCache) -> Iterator[sqlite3.Connection]:
    """The cache's database as another program sees it."""
    with contextlib.closing(
        sqlite3.connect(cache.folder / "cache.db", isolation_level=None)
    ) as connection:
        yield connection


def python(
    program: str, *, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    head = (
        "import os, sys\nfrom pathlib import Path\nfrom themis_lib.steadytext.cache "
        "import TextCache, text_cache\n"
    )
    return subprocess.run(
        [sys.executable, "-c", head + program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=check,
        timeout=60,
    )


def size_on_disk(folder: Path) -> int:
    files = [
        file
        for file in folder.rglob("*")
        if file.is_file() and not file.name.endswith(("-wal", "-shm"))
    ]
    return sum(file.stat().st_size for file in files)


# What comes back


def test_unknown_key_is_a_miss(cache: TextCache) -> None:
    assert None is cache.get("unknown")


@given(
    st.dictionaries(st.text(), JSON, max_size=4),
    st.text(st.characters(exclude_categories=())),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_entry_comes_back_as_it_was(
    cache: TextCache, entry: dict[str, Any], key: str
) -> None:
    """Any JSON object comes back equal, under any key, with every float's bits."""
    cache.put(key, entry)

    assert entry == cache.get(key)


def test_infinite_log_probabilities_come_back(cache: TextCache) -> None:
    """JSON has no infinities, and generations do."""
    cache.put("key", ENTRY)

    assert ENTRY == cache.get("key")


def test_later_entry_replaces_the_earlier(cache: TextCache) -> None:
    cache.put("key", {"text": "old"})
    cache.put("key", {"text": "new"})

    assert {"text": "new"} == cache.get("key")


def test_what_json_cannot_hold_is_refused(cache: TextCache) -> None:
    """Bytes and sets are the caller's mistake, not the disk's."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        cache.put("key", {"text": b"bytes"})


# What leaves first


def test_unused_entries_are_evicted_before_used_ones(tmp_path: Path) -> None:
    """Past the limit the oldest entries that nobody asked for go; those that were used
    stay, though they are older.
    """
    cache = TextCache(tmp_path, size_limit=1 << 20)
    for number in range(60):
        cache.put(f"first-{number}", noise(5_000, number))
    for number in range(20):
        assert cache.get(f"first-{number}")
    for number in range(260):
        cache.put(f"second-{number}", noise(5_000, 1000 + number))

    kept = [number for number in range(60) if cache.get(f"first-{number}")]
    assert list(range(20)) == kept
    assert cache.get("second-259")
    assert not cache.get("second-0")


def test_size_stays_within_the_limit(tmp_path: Path) -> None:
    """Entries in the database and in files, small and large by turns, never take more
    than the limit.
    """
    cache = TextCache(tmp_path, size_limit=2 << 20)
    for number in range(120):
        cache.put(f"{number}", noise(400_000 if number % 10 == 0 else 4_000, number))
        assert size_on_disk(tmp_path) <= 2 << 20

    assert cache.get("119")


def test_popular_entries_leave_when_nobody_wants_them(tmp_path: Path) -> None:
    """An entry used a hundred times, two months ago, goes before one that was stored
    today and never used.
    """
    cache = TextCache(tmp_path, size_limit=1 << 20)
    cache.put("popular", noise(5_000))
    for _ in range(100):
        cache.get("popular")
    with database(cache) as connection:
        connection.execute(
            "UPDATE Cache SET access_time = access_time - ?", (60 * DAY_S,)
        )
    cache.put("today", noise(5_000, 1))
    # One more than fits, found by looking.
    for number in range(400):
        cache.put(f"{number}", noise(5_000, 2 + number))
        with database(cache) as connection:
            kept = {
                key
                for (key,) in connection.execute(
                    "SELECT key FROM Cache WHERE key IN ('popular', 'today')"
                )
            }
        if kept != {"popular", "today"}:
            break

    # Evicted by tens at most: the popular one is among the first.
    assert "popular" not in kept


def test_an_entry_too_large_drives_nothing_out(tmp_path: Path) -> None:
    """What would take more than a quarter of the cache is not kept."""
    cache = TextCache(tmp_path, size_limit=1 << 20)
    cache.put("small", ENTRY)
    cache.put("huge", noise(2_000_000))

    assert ENTRY == cache.get("small")
    assert None is cache.get("huge")


# Damage


@pytest.mark.parametrize(
    "value",
    [
        "substr(value, 1, length(value) - 3)",
        "x''",
        "NULL",
        "'text'",
        "42",
        "CAST('{}' AS BLOB)",
        "value || x'20'",
    ],
)
def test_a_damaged_entry_is_a_miss_and_is_replaced(
    cache: TextCache, value: str
) -> None:
    """Cut, emptied, of another type or with a byte too many: a miss, until it is stored
    again.
    """
    cache.put("key", ENTRY)
    with database(cache) as connection:
        connection.execute(f"UPDATE Cache SET value = {value}")

    assert None is cache.get("key")
    cache.put("key", ENTRY)
    assert ENTRY == cache.get("key")


@pytest.mark.parametrize("length", [None, 0, 1000])
def test_a_value_file_cut_or_gone_is_a_miss(
    cache: TextCache, length: int | None
) -> None:
    """Large values live in files of their own, which may be lost or cut."""
    cache.put("key", noise(200_000))
    (file,) = cache.folder.rglob("*.val")
    if length is None:
        file.unlink()
    else:
        os.truncate(file, length)

    assert None is cache.get("key")
    cache.put("key", noise(200_000))
    assert noise(200_000) == cache.get("key")


def damage_all(file: Path) -> None:
    file.write_bytes(b"not a database " * 1000)


def damage_tables(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("DROP TABLE Cache")


def damage_settings(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE Settings SET key = 'x' || key, value = x'ff'")
        connection.execute("ALTER TABLE Cache DROP COLUMN mode")


def damage_pages(file: Path) -> None:
    with file.open("r+b") as content:
        content.seek(4096)
        content.write(os.urandom(file.stat().st_size - 4096))


@pytest.mark.parametrize(
    ("damage", "while_open"),
    [
        (damage_all, False),
        (damage_all, True),
        (damage_tables, True),  # opening makes a missing table anew
        (damage_settings, False),
        (damage_settings, True),
        (damage_pages, False),
        (damage_pages, True),
    ],
)
def test_a_damaged_database_is_set_aside(
    tmp_path: Path, damage: Any, while_open: bool
) -> None:
    """Damage costs one warning and what was kept; the cache starts anew, and the old
    one stays beside it.
    """
    folder = tmp_path / "generations"
    cache = TextCache(folder)
    for number in range(40):
        cache.put(f"{number}", noise(4_000, number))
    if not while_open:
        cache.close()
    else:
        with database(cache) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(folder / "cache.db")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(40):
            cache.get(f"{number}")
        cache.put("new", ENTRY)
        cache.put("new", ENTRY)  # the first may have been the one that found the damage

    assert 1 == len(caught)
    assert "was damaged" in str(caught[0].message)
    assert (tmp_path / "generations.damaged" / "cache.db").exists()
    assert ENTRY == cache.get("new")
    assert ENTRY == TextCache(folder).get("new")


def test_a_folder_that_cannot_be_made_costs_one_warning(tmp_path: Path) -> None:
    """Where nothing can be written there is no cache, and nothing is raised."""
    (tmp_path / "file").write_text("in the way")
    cache = TextCache(tmp_path / "file" / "generations")

    with pytest.warns(RuntimeWarning, match="not used for now"):
        cache.put("key", ENTRY)
    assert None is cache.get("key")


def test_a_lock_that_stays_costs_two_seconds_once(cache: TextCache) -> None:
    """A process that holds the database makes one call wait; those after it go without
    at once.
    """
    cache.put("key", ENTRY)
    with database(cache) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        with pytest.warns(RuntimeWarning, match="another process"):
            assert None is cache.get("key")
        waited = time.monotonic()
        assert None is cache.get("key")
        cache.put("key", ENTRY)
        finished = time.monotonic()

    assert waited - started < 4
    assert finished - waited < 0.2


def test_a_full_disk_raises_nothing(tmp_path: Path) -> None:
    """Writes that fail, here by a limit on file sizes, cost a warning and the entries,
    not the process.
    """
    program = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
cache = TextCache(Path({str(tmp_path)!r}))
for number in range(300):
    cache.put(str(number), {{"text": os.urandom(3000).hex()}})
cache.put("large", {{"text": os.urandom(300_000).hex()}})
print(cache.get("large"))
"""
    done = python(program)

    assert "None\n" == done.stdout
    assert 1 == done.stderr.count("RuntimeWarning")


def test_a_folder_deleted_while_open_is_made_again(cache: TextCache) -> None:
    """`rm -rf` of the cache while it is in use loses what was kept, and nothing
    else.
    """
    cache.put("key", ENTRY)
    for file in sorted(cache.folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    cache.folder.rmdir()

    assert None is cache.get("key")
    cache.put("key", ENTRY)
    assert ENTRY == TextCache(cache.folder).get("key")


def test_without_diskcache_there_is_no_cache(tmp_path: Path) -> None:
    """Without the extra `local` generations go on uncached, with one warning that names
    it.
    """
    (tmp_path / "diskcache.py").write_text("raise ImportError('not installed')")
    program = (
        f"cache = TextCache(Path({str(tmp_path / 'c')!r}))\ncache.put('k', "
        f"{{}})\nprint(cache.get('k'))"
    )
    done = python(
        program,
        PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
    )

    assert "None\n" == done.stdout
    assert 1 == done.stderr.count("themis-flows[local]")


def test_an_interrupted_call_holds_no_lock(tmp_path: Path) -> None:
    """Ctrl-C at whatever moment of a call leaves a cache that this process and others
    can write.
    """
    program = f"""
import signal, sqlite3
signal.signal(signal.SIGALRM, signal.default_int_handler)
cache = TextCache(Path({str(tmp_path)!r}))
cache.put("key", {{}})
interrupted = 0
for attempt in range(80):
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-5 + attempt * 8e-6)
        for number in range(1000): cache.put("key", {{"text": "x" * number}})
    except KeyboardInterrupt:
        interrupted += 1
    other = sqlite3.connect(cache.folder / "cache.db", timeout=0, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.close()
cache.put("after", {{"text": "whole"}})
print(interrupted, cache.get("after"))
"""
    done = python(program)

    assert ("80 {'text': 'whole'}\n", "") == (done.stdout, done.stderr)


# Threads, processes, forks


def test_threads_lose_nothing(cache: TextCache) -> None:
    """Eight threads on one cache read each other's entries whole."""

    def work(thread: int) -> None:
        for number in range(40):
            cache.put(f"{thread}/{number}", noise(2_000, number))
            assert noise(2_000, number) == cache.get(f"{thread}/{number}")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))

    assert all(
        cache.get(f"{thread}/{number}") for thread in range(8) for number in range(40)
    )


def test_processes_lose_nothing(tmp_path: Path) -> None:
    """Three processes that open one empty cache at once keep all their entries, files
    included, without a warning.
    """
    program = f"""
cache = TextCache(Path({str(tmp_path / "generations")!r}))
print("ready", flush=True)
sys.stdin.readline()
for number in range(50):
    cache.put(f"{{sys.argv[1]}}/{{number}}", {{"text": "x" * number}})
cache.put(sys.argv[1], {{"pad": [number / 7 for number in range(20_000)]}})
"""
    head = (
        "import sys\nfrom pathlib import Path\nfrom themis_lib.steadytext.cache import "
        "TextCache\n"
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", head + program, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert "ready\n" == worker.stdout.readline()
    errors = [worker.communicate("go\n", timeout=60)[1] for worker in workers]

    cache = TextCache(tmp_path / "generations")
    assert ["", "", ""] == errors
    for worker in range(3):
        assert [{"text": "x" * number} for number in range(50)] == [
            cache.get(f"{worker}/{n}") for n in range(50)
        ]
        assert {"pad": [number / 7 for number in range(20_000)]} == cache.get(
            f"{worker}"
        )


def test_a_killed_process_leaves_the_cache_usable(tmp_path: Path) -> None:
    """A process killed while it writes leaves neither a lock nor a torn entry."""
    program = f"""
cache = TextCache(Path({str(tmp_path)!r}))
cache.put("0", {{"text": "a" * 5000}})
print("writing", flush=True)
for number in range(1, 1_000_000):
    cache.put(str(number), {{"text": os.urandom(20_000).hex()}})
"""
    head = (
        "import os\nfrom pathlib import Path\nfrom themis_lib.steadytext.cache import "
        "TextCache\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", head + program], stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(0.3)
        worker.send_signal(signal.SIGKILL)

    cache = TextCache(tmp_path)
    assert {"text": "a" * 5000} == cache.get("0")
    cache.put("after", ENTRY)
    assert ENTRY == cache.get("after")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_forks_of_a_busy_process_use_the_cache(tmp_path: Path) -> None:
    """Children forked while threads read and write open the database for themselves,
    and none hangs.
    """
    program = f"""
import threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is what is tested
cache = TextCache(Path({str(tmp_path)!r}))
cache.put("parent", {{"text": "parent"}})
done = threading.Event()
def work(thread):
    while not done.is_set():
        cache.put(f"busy-{{thread}}", {{"text": "x" * 2000}})
        cache.get("parent")
threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
for thread in threads: thread.start()
for child in range(20):
    pid = os.fork()
    if pid == 0:
        cache.put(f"child-{{child}}", {{"text": "child"}})
        os._exit(0 if cache.get("parent") == {{"text": "parent"}} else 1)
    assert os.waitpid(pid, 0)[1] == 0
done.set()
for thread in threads: thread.join()
print(sum(cache.get(f"child-{{child}}") is not None for child in range(20)))
"""
    done = python(program)

    assert ("20\n", "") == (done.stdout, done.stderr)


# Settings


def test_nothing_is_created_before_the_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither importing the library nor asking for the cache touches the disk."""
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(tmp_path / "kept"))

    assert text_cache() is text_cache()
    assert not (tmp_path / "kept").exists()
    text_cache().put("key", ENTRY)
    assert (tmp_path / "kept" / "generations" / "cache.db").exists()
    text_cache().close()


@pytest.mark.parametrize(
    ("name", "value"), [("THEMIS_CACHE", "OFF"), ("THEMIS_CACHE_SIZE_MB", "0")]
)
def test_cache_can_be_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Switched off, it keeps nothing and touches no disk."""
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.setenv(name, value)
    text_cache().put("key", ENTRY)

    assert None is text_cache().get("key")
    assert not (tmp_path / "kept").exists()


def test_limit_is_a_gibibyte_unless_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`THEMIS_CACHE_SIZE_MB` is the limit in MiB."""
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(tmp_path))
    default = text_cache().size_limit
    monkeypatch.setenv("THEMIS_CACHE_SIZE_MB", "1.5")

    assert (2**30, 3 * 2**19) == (default, text_cache().size_limit)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("THEMIS_CACHE", "perhaps"),
        ("THEMIS_CACHE_SIZE_MB", "1 GB"),
        ("THEMIS_CACHE_SIZE_MB", "-1"),
    ],
)
def test_unknown_settings_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """A setting that is neither is an error that names it."""
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError, match=name):
        text_cache()
