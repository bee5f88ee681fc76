"""Where rows and runs are kept: tables at paths below one fsspec URL.

Parts are immutable: `create` writes a file once, whole or not at all, and the first
writer wins. `replace` is for the few small files that change (a manifest). A part that
cannot be read is reported, set aside and recomputed.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, TypeVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from themis_lib.errors import StoreError
from themis_lib.identity.part import Part
from themis_lib.storage.local_files import create_file, has_locks, replace_file
from themis_lib.storage.tables import column_digests

T = TypeVar("T")
_LOG = logging.getLogger("themis_lib.store")
#: Where the metadata of a part's schema holds the digest of each column.
COLUMNS = b"themis.columns"
_CACHE_BYTES = 256 * 2**20
#: s3fs asks for the size of a file before it reads one in several pieces; in one piece
#: is half the requests.
_DEFAULT_OPTIONS = {"s3": {"max_concurrency": 1}}
#: fsspec's memory, shared by the whole process, looks and writes in two steps and
#: cannot list while others remove.
_MEMORY_LOCK = threading.RLock()


@dataclass(frozen=True)
class File:
    """A file of a store: its path, its size, and when it was written, in seconds since
    1970.
    """

    path: str
    bytes: int
    written: float


class RunStore:
    """Tables on any fsspec filesystem: a folder, `memory://…`, `s3://…`.

    Raises `StoreError` when the URL names no known filesystem. Safe to share between
    threads; any number of processes may work on one store at once.
    """

    def __init__(
        self,
        url: str,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.url = url
        options = {
            **_DEFAULT_OPTIONS.get(url.partition("://")[0], {}),
            **(storage_options or {}),
        }
        try:
            self.fs, self.root = fsspec.core.url_to_fs(
                url,
                use_listings_cache=False,
                **options,
            )
        except (ValueError, ImportError, TypeError) as error:
            raise StoreError(f"store {url!r}: {error}") from None
        self.local = isinstance(self.fs, LocalFileSystem)
        self.in_memory = isinstance(self.fs, MemoryFileSystem)
        self._files = _MEMORY_LOCK if self.in_memory else contextlib.nullcontext()
        self._tables: OrderedDict[str, pa.Table] = OrderedDict()
        self._cached_bytes = 0
        self._attached: dict[str, Any] = {}
        self._held: dict[str, bytes | None] = {}
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def attached(
        self,
        name: str,
        make: Callable[[], T],
    ) -> T:
        """Return what `make` made the first time this name was asked for: one object
        for the life of the store.
        """
        with self._lock:
            if name not in self._attached:
                self._attached[name] = make()
            return self._attached[name]  # type: ignore[no-any-return]

    def check_writable(self) -> None:
        """Write and remove a small file. Raises `StoreError` where the store refuses
        either.
        """
        probe = f"runs/.probe-{uuid.uuid4().hex}"
        with self.refusals():
            self.replace(probe, b"")
            self.fs.rm_file(self.locate(probe))

    @contextlib.contextmanager
    def refusals(self) -> Iterator[None]:
        """Raise `StoreError`, one clear line, for whatever the filesystem says against
        what the block writes.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
            raise StoreError(
                f"store {self.url!r} cannot be written: {_one_line(error)}"
            ) from None

    @cached_property
    def has_locks(self) -> bool:
        """Whether files of this store can be locked: on disks they can, in some network
        folders they cannot.
        """
        return self.local and has_locks(Path(self.root))

    def make_folder(self, path: str) -> None:
        """Make the folder of a path; elsewhere than on disks there are none, and a
        misspelt bucket would be made.
        """
        if self.local:
            self.fs.makedirs(self.fs._parent(self.locate(path)), exist_ok=True)

    def locate(self, path: str) -> str:
        """The path on the filesystem for a path inside the store."""
        return f"{self.root.rstrip('/')}/{path}"

    def uri(self, path: str) -> str:
        """The address of a path inside the store, for people and other tools."""
        return (
            self.locate(path)
            if self.local
            else str(self.fs.unstrip_protocol(self.locate(path)))
        )

    def exists(self, path: str) -> bool:
        """Whether there is a file at this path; one that is held needs no request."""
        if path in self._held:
            return self._held[path] is not None
        return bool(self.fs.exists(self.locate(path)))

    def list(self, directory: str) -> dict[str, dict[str, Any]]:
        """The files of a directory, oldest first, each with what the filesystem says of
        it; empty if there is none.
        """
        try:
            with self._files:
                entries = self.fs.ls(self.locate(directory), detail=True)
        except FileNotFoundError:
            return {}
        named = [
            (entry["name"].rstrip("/").rpartition("/")[2], entry) for entry in entries
        ]
        return dict(sorted(named, key=lambda item: (_time_written(item[1]), item[0])))

    def files(self, directory: str = "") -> Sequence[File]:
        """Every file below a directory, in the order of their paths; few requests,
        however many folders there are.
        """
        below = self.locate(directory).rstrip("/")
        root = self.root.rstrip("/") + "/"
        with self._files:
            found = self.fs.find(below, detail=True)
        files = [
            File(name.removeprefix(root), int(entry["size"]), _time_written(entry))
            for name, entry in found.items()
        ]
        return sorted(files, key=lambda file: file.path)

    def read_bytes(self, path: str) -> bytes:
        """The content of a file. Raises `FileNotFoundError`."""
        return bytes(self.fs.cat_file(self.locate(path)))

    def open(self, path: str) -> IO[bytes]:
        """A file to read; one that is held is read without a request. Raises
        `FileNotFoundError`.
        """
        if path not in self._held:
            return self.fs.open(self.locate(path), "rb")  # type: ignore[no-any-return]
        content = self._held[path]
        if content is None:
            raise FileNotFoundError(path)
        return io.BytesIO(content)

    def hold(self, contents: Mapping[str, bytes | None]) -> None:
        """Keep files at hand that were just written, null for one that there is not, in
        place of those held before.
        """
        self._held = dict(contents)

    def create(
        self,
        path: str,
        content: bytes,
    ) -> bool:
        """Write a file unless there is one; returns whether this call wrote it."""
        target = self.locate(path)
        if self.local:
            return create_file(Path(target), content)
        try:
            with self._files:
                self.fs.pipe_file(target, content, mode="create")
        except FileExistsError:
            return False
        except OSError as error:
            if "PreconditionFailed" in str(
                error
            ) or "At least one of the pre-conditions" in str(error):
                return False
            raise
        return True

    def replace(
        self,
        path: str,
        content: bytes,
    ) -> None:
        """Write a file, whole or not at all, over whatever is there."""
        target = self.locate(path)
        if not self.local:
            with self._files:
                self.fs.pipe_file(target, content)
            return
        replace_file(Path(target), content)

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens where there is none."""
        with contextlib.suppress(FileNotFoundError), self._files:
            self.fs.rm_file(self.locate(path))
        self._held.pop(path, None)
        self._forget_table(path)

    def create_part(
        self,
        path: str,
        table: pa.Table,
    ) -> Part:
        """Write an immutable table and return its reference; where there is one
        already, that one's reference.
        """
        table, part = _describe_table(path, table)
        while not self.create(path, parquet_bytes(table)):
            written = self.read_part(path)
            if written is not None:
                return (
                    written  # else the file in the way was damaged and is now set aside
                )
        self._remember_table(path, table)
        return part

    def keep_part(
        self,
        path: str,
        table: pa.Table,
    ) -> Part:
        """Write a table whose path is named by its content, unless it is there."""
        table, part = _describe_table(path, table)
        if not self.local or not self.exists(
            path
        ):  # elsewhere to ask costs more than to try
            self.create(path, parquet_bytes(table))
        self._remember_table(path, table)
        return part

    def replace_part(
        self,
        path: str,
        table: pa.Table,
    ) -> Part:
        """Write a table over whatever is there and return its reference."""
        table, part = _describe_table(path, table)
        self.replace(path, parquet_bytes(table))
        self._remember_table(path, table)
        return part

    def read_part(self, path: str) -> Part | None:
        """The reference to a part that was written before; null where it is gone or
        damaged.
        """
        table = self.read_table(path)
        if table is None:
            return None
        columns = json.loads((table.schema.metadata or {}).get(COLUMNS, b"{}"))
        return _part_of(path, table, columns)

    def read_table(self, path: str) -> pa.Table | None:
        """The table at a path; null where it is gone, or damaged and now set aside."""
        with self._lock:
            if path in self._tables:
                self._tables.move_to_end(path)
                return self._tables[path]
        try:
            content = self.read_bytes(path)
        except FileNotFoundError:
            return None
        table = self._parse_table(path, pa.BufferReader(content))
        if table is not None:
            self._remember_table(path, table)
        return table

    def read_keys(self, path: str) -> pa.Array | None:
        """The `key` column of a part; null where the part is gone or damaged."""
        if not self.local or path in self._tables:
            table = self.read_table(path)
        else:
            try:
                with pa.OSFile(self.locate(path), "rb") as file:
                    table = self._parse_table(path, file, columns=["key"])
            except FileNotFoundError:
                return None
        return None if table is None else table["key"].combine_chunks()

    def count_rows(self, path: str) -> int:
        """The rows of a part, from the end of its file; 0 where it is gone or damaged."""
        try:
            with self.fs.open(self.locate(path), "rb") as file:
                return int(pq.read_metadata(file).num_rows)
        except (FileNotFoundError, pa.ArrowException):
            return 0

    def set_aside(
        self,
        path: str,
        reason: Exception,
    ) -> None:
        """Keep a file that cannot be read out of the way, under the same name with
        `.damaged` after it.
        """
        _LOG.warning(
            "set aside a file that cannot be read: %s (%s)",
            self.uri(path),
            _one_line(reason),
        )
        with contextlib.suppress(FileNotFoundError):
            self.fs.mv(self.locate(path), self.locate(f"{path}.damaged"))
        self._forget_table(path)

    def _parse_table(
        self,
        path: str,
        source: Any,
        *,
        columns: Sequence[str] | None = None,
    ) -> pa.Table | None:
        """The table in an open file; null where its content is damaged. A failure to
        open it is not damage.
        """
        try:
            return pq.read_table(
                source,
                columns=columns,
                page_checksum_verification=True,
            )
        except (pa.ArrowException, OSError) as error:
            self.set_aside(path, error)
            return None

    def _remember_table(
        self,
        path: str,
        table: pa.Table,
    ) -> None:
        with self._lock:
            self._forget_table(path)
            self._tables[path] = table
            self._cached_bytes += table.nbytes
            while self._cached_bytes > _CACHE_BYTES and len(self._tables) > 1:
                _, oldest = self._tables.popitem(last=False)
                self._cached_bytes -= oldest.nbytes

    def _forget_table(self, path: str) -> None:
        with self._lock:
            table = self._tables.pop(path, None)
            self._cached_bytes -= table.nbytes if table is not None else 0


class InMemoryRunStore(RunStore):
    """A store of its own in this process's memory; gone when the process ends."""

    def __init__(self) -> None:
        super().__init__(f"memory://themis-{uuid.uuid4().hex}")


def open_store(
    url: str,
    storage_options: Mapping[str, Any] | None = None,
) -> RunStore:
    """The store a configuration names: `memory`, a folder or an fsspec URL."""
    if url == "memory":
        return InMemoryRunStore()
    return RunStore(
        str(Path(url).expanduser()) if "://" not in url else url, storage_options
    )


def _describe_table(
    path: str,
    table: pa.Table,
) -> tuple[pa.Table, Part]:
    columns = column_digests(table)
    described = table.replace_schema_metadata({COLUMNS: json.dumps(columns).encode()})
    return described, _part_of(path, table, columns)


def _part_of(
    path: str,
    table: pa.Table,
    columns: Mapping[str, str],
) -> Part:
    skipped = table["key"].null_count if "key" in table.column_names else 0
    return Part(
        path=path,
        rows=table.num_rows,
        columns=columns,
        skipped=skipped,
    )


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as Parquet: zstd, with page checksums, keys written as they are."""
    sink = pa.BufferOutputStream()
    plain = [name for name in table.column_names if name not in ("key", "latency_s")]
    pq.write_table(
        table,
        sink,
        compression="zstd",
        use_dictionary=plain,
        write_page_checksum=True,
    )
    return bytes(sink.getvalue().to_pybytes())


def _time_written(entry: Mapping[str, Any]) -> float:
    written = (
        entry.get("mtime") or entry.get("LastModified") or entry.get("created") or 0.0
    )
    return float(written.timestamp() if hasattr(written, "timestamp") else written)


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
