"""The store of rows and runs: tables at paths below one fsspec URL.

Parts are immutable: `create` writes a file once, whole or not at all, and the first
writer wins. `replace` is for the few small files that change (a manifest). A part that
cannot be read is logged, set aside and recomputed.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from themis_lib.errors import StoreError, describe
from themis_lib.identity.part import Part
from themis_lib.storage.local_files import (
    create_file,
    has_locks,
    overwrite_file,
    replace_file,
)
from themis_lib.storage.part_files import (
    COLUMNS,
    described,
    parquet_bytes,
    part_of,
    reader_of,
)
from themis_lib.storage.pieces import (
    PIECES_SUFFIX,
    Piece,
    Pieces,
    content_name,
    rows_bytes,
    rows_from,
)
from themis_lib.storage.table_cache import TableCache
from themis_lib.storage.tables import whole_column

T = TypeVar("T")
_LOG = logging.getLogger("themis_lib.store")
#: The code and the text of S3's answer to a write that must not replace a file.
_PATH_IS_TAKEN = ("PreconditionFailed", "At least one of the pre-conditions")
#: The most that a store keeps in memory of the tables it read or wrote.
_CACHE_BYTES = 256 * 2**20
#: From here on columns are decoded in threads, which for small files take longer to
#: start than to decode them.
_THREADED_BYTES = 8 * 2**20
#: s3fs asks for the size of a file before it reads one in several pieces; reading it in
#: one piece takes half the requests.
_DEFAULT_OPTIONS = {"s3": {"max_concurrency": 1}}
#: fsspec's memory filesystem, one for the whole process, checks and writes in two steps
#: and cannot list while others remove.
_MEMORY_LOCK = threading.RLock()


@dataclass(frozen=True)
class File:
    """A file of a store; `written` is a time in seconds since 1970."""

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
        protocol = url.partition("://")[0]
        defaults = _DEFAULT_OPTIONS.get(protocol, {})
        options = {**defaults, **(storage_options or {})}
        try:
            # A listing from the cache would hide what other processes wrote since.
            self.fs, self.root = fsspec.core.url_to_fs(
                url,
                use_listings_cache=False,
                **options,
            )
        except (ValueError, ImportError, TypeError) as error:
            raise StoreError(f"store {self.public_url!r}: {error}") from None
        self.local = isinstance(self.fs, LocalFileSystem)
        self.in_memory = isinstance(self.fs, MemoryFileSystem)
        self._files = _MEMORY_LOCK if self.in_memory else contextlib.nullcontext()
        self._tables = TableCache(_CACHE_BYTES)
        self._attached: dict[str, Any] = {}
        self._held: dict[str, bytes | None] = {}
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.public_url!r})"

    @property
    def public_url(self) -> str:
        """The URL for messages: without user, password and query.

        >>> RunStore("memory://me:pw@host/a?sig=x").public_url
        'memory://host/a'
        """
        scheme, separator, rest = self.url.partition("://")
        if not separator:
            return self.url
        host, slash, path = rest.partition("?")[0].partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"

    def attached(self, name: str, make: Callable[[], T]) -> T:
        """Return the store's object of this name, made by `make` when first asked for."""
        with self._lock:
            if name not in self._attached:
                self._attached[name] = make()
            return self._attached[name]  # type: ignore[no-any-return]

    def check_writable(self) -> None:
        """Raise `StoreError` if a small file cannot be written and removed."""
        probe = f"runs/.probe-{uuid.uuid4().hex}"
        with self.refusals():
            self.replace(probe, b"")
            self.fs.rm_file(self.locate(probe))

    @contextlib.contextmanager
    def refusals(self) -> Iterator[None]:
        """Turn what the filesystem raises in the block into a `StoreError` of one line."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
            reason = describe(error)
            raise StoreError(
                f"store {self.public_url!r} cannot be written: {reason}"
            ) from None

    @cached_property
    def has_locks(self) -> bool:
        """Whether files can be locked: on disks they can, in some network folders not."""
        return self.local and has_locks(Path(self.root))

    def make_folder(self, path: str) -> None:
        """Make the folder of a path, on disks."""
        # Object stores have no folders, and would make a bucket of a misspelt name.
        if self.local:
            folder = self.fs._parent(self.locate(path))
            self.fs.makedirs(folder, exist_ok=True)

    def locate(self, path: str) -> str:
        """Return the path on the filesystem for a path inside the store."""
        return f"{self.root.rstrip('/')}/{path}"

    def uri(self, path: str) -> str:
        """Return the address of a path inside the store, for people and other tools."""
        location = self.locate(path)
        if self.local:
            return location
        return str(self.fs.unstrip_protocol(location))

    def exists(self, path: str) -> bool:
        """Return whether there is a file; one that is held takes no request."""
        if path in self._held:
            return self._held[path] is not None
        return bool(self.fs.exists(self.locate(path)))

    def list(self, directory: str) -> dict[str, dict[str, Any]]:
        """Return the files of a directory, oldest first.

        By name, each with its entry on the filesystem. Empty if there is no directory.
        """
        try:
            with self._files:
                entries = self.fs.ls(self.locate(directory), detail=True)
        except FileNotFoundError:
            return {}
        aged = []
        for entry in entries:
            name = entry["name"].rstrip("/").rpartition("/")[2]
            aged.append((_time_written(entry), name, entry))
        # Among files of one age by name, so that every reader has the same order.
        aged.sort(key=lambda item: item[:2])
        return {name: entry for _, name, entry in aged}

    def files(self, directory: str = "") -> Sequence[File]:
        """Return every file below a directory, in the order of their paths.

        Takes few requests, however many folders there are.
        """
        below = self.locate(directory).rstrip("/")
        root = self.root.rstrip("/") + "/"
        with self._files:
            found = self.fs.find(below, detail=True)
        files = []
        for name, entry in found.items():
            path = name.removeprefix(root)
            size = int(entry["size"])
            files.append(File(path, size, _time_written(entry)))
        return sorted(files, key=lambda file: file.path)

    def read_bytes(self, path: str) -> bytes:
        """Return the content of a file. Raises `FileNotFoundError`."""
        return bytes(self.fs.cat_file(self.locate(path)))

    def open(self, path: str) -> IO[bytes]:
        """Open a file to read. Raises `FileNotFoundError`.

        One that is held is read without a request.
        """
        if path not in self._held:
            return self.fs.open(self.locate(path), "rb")  # type: ignore[no-any-return]
        content = self._held[path]
        if content is None:
            raise FileNotFoundError(path)
        return io.BytesIO(content)

    def open_for_arrow(self, path: str) -> pa.NativeFile:
        """Open a file that Arrow reads without Python. Raises `FileNotFoundError`.

        One request brings the whole file.
        """
        if self.local:
            return pa.OSFile(self.locate(path), "rb")
        with self.open(path) as file:
            return reader_of(file.read())

    def hold(self, contents: Mapping[str, bytes | None]) -> None:
        """Keep the contents of files that were just written, to read without a request.

        `None` is for a file that is known not to exist. Replaces those held before.
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
            # What S3 answers where the path is taken: s3fs has no class for it.
            message = str(error)
            if any(text in message for text in _PATH_IS_TAKEN):
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

    def overwrite(
        self,
        path: str,
        content: bytes,
    ) -> None:
        """Do as `replace` on a full disk: write a file into the place of a longer one."""
        overwrite_file(Path(self.locate(path)), content)

    def remove(self, path: str) -> None:
        """Remove a file, if there is one."""
        with contextlib.suppress(FileNotFoundError), self._files:
            self.fs.rm_file(self.locate(path))
        self._held.pop(path, None)
        self._tables.forget(path)

    def create_part(
        self,
        path: str,
        table: pa.Table,
    ) -> Part:
        """Write an immutable table and return its reference.

        If there is one already, return that one's reference.
        """
        table = described(table)
        while not self.create(path, parquet_bytes(table)):
            written = self.read_part(path)
            if written is not None:
                return written
            # The file in the way was damaged; it is set aside, so try again.
        return self._remember(path, table)

    def keep_part(
        self,
        path: str,
        table: pa.Table,
    ) -> Part:
        """Write a table whose path is named by its content, unless it is there."""
        table = described(table)
        # Where asking is a request, writing costs no more than asking first.
        if not self.local or not self.exists(path):
            self.create(path, parquet_bytes(table))
        return self._remember(path, table)

    def create_pieces(
        self,
        path: str,
        table: pa.Table,
        files: Sequence[Part],
        pieces: Sequence[Piece],
    ) -> Part:
        """Write an immutable table as pieces of files beside it, as `create_part` does."""
        table = described(table)
        names = {}
        for file in files:
            names[PurePosixPath(file.path).name] = content_name(file.columns)
        columns = part_of(path, table).columns
        last = self._last_rows(files)
        content = Pieces(columns, names, tuple(pieces), last).to_bytes()
        while not self.create(path, content):
            written = self.read_part(path)
            if written is not None:
                return written
            # What it refers to is gone; it is set aside, so try again.
        return self._remember(path, table)

    def _last_rows(self, files: Sequence[Part]) -> bytes | None:
        """Return what the last of several files holds, if that is little."""
        table = self.read_table(files[-1].path) if len(files) > 1 else None
        if table is None:
            return None
        return rows_bytes(table.replace_schema_metadata(None))

    def replace_part(
        self,
        path: str,
        table: pa.Table,
    ) -> Part:
        """Write a table over whatever is there and return its reference."""
        table = described(table)
        self.replace(path, parquet_bytes(table))
        return self._remember(path, table)

    def read_part(self, path: str) -> Part | None:
        """Return the reference to a part; `None` if it is missing or damaged."""
        table = self.read_table(path)
        return None if table is None else part_of(path, table)

    def read_table(self, path: str) -> pa.Table | None:
        """Return the table at a path; `None` if it is missing or damaged.

        A damaged file is set aside.
        """
        cached = self._tables.get(path)
        if cached is not None:
            return cached
        table = self._load_table(path)
        if table is not None:
            self._tables.put(path, table)
        return table

    def _load_table(self, path: str) -> pa.Table | None:
        try:
            content = self.read_bytes(path)
        except FileNotFoundError:
            return None
        if path.endswith(PIECES_SUFFIX):
            return self._join_pieces(path, content, None)
        return self._parse_table(path, reader_of(content))

    def free(self, path: str) -> None:
        """Keep the table at a path in memory no longer, where reading it is cheap.

        It is read again where it is asked for all the same.
        """
        # Elsewhere reading it again would take a request.
        if self.local:
            self._tables.forget(path)

    def read_columns(
        self,
        path: str,
        columns: Sequence[str],
    ) -> pa.Table | None:
        """Return those of some columns that a table has; `None` as `read_table` does."""
        # One request brings the whole file; on disk, reading some columns is cheaper.
        if not self.local or path in self._tables:
            table = self.read_table(path)
            if table is None:
                return None
            return table.select(
                [name for name in columns if name in table.column_names]
            )
        try:
            if path.endswith(PIECES_SUFFIX):
                return self._join_pieces(path, self.read_bytes(path), columns)
            with pa.OSFile(self.locate(path), "rb") as file:
                return self._parse_table(path, file, columns=list(columns))
        except FileNotFoundError:
            return None

    def read_as_stored(
        self,
        path: str,
        columns: Sequence[str] | None = None,
    ) -> pa.Table | None:
        """Return a table, or some of its columns, whatever its file holds by now.

        A table of pieces has what their files hold, though it may be other rows than
        when it was written. `None` as `read_table` does.
        """
        if not path.endswith(PIECES_SUFFIX):
            if columns is None:
                return self.read_table(path)
            return self.read_columns(path, columns)
        try:
            content = self.read_bytes(path)
        except FileNotFoundError:
            return None
        return self._join_pieces(path, content, columns, as_stored=True)

    def read_keys(self, path: str) -> pa.Array | None:
        """Return the `key` column of a part; `None` if it is missing or damaged."""
        table = self.read_columns(path, ["key"])
        return None if table is None else whole_column(table["key"])

    def count_rows(self, path: str) -> int:
        """Return the number of rows of a part; 0 if it is missing or damaged."""
        try:
            # The number is in the footer: the rows stay unread.
            with self.fs.open(self.locate(path), "rb") as file:
                return int(pq.read_metadata(file).num_rows)
        except (FileNotFoundError, pa.ArrowException):
            return 0

    def set_aside(self, path: str, reason: Exception) -> None:
        """Rename a file that cannot be read, with `.damaged` after its name."""
        _LOG.warning(
            "set aside a file that cannot be read: %s (%s)",
            self.uri(path),
            describe(reason),
        )
        location = self.locate(path)
        # Another process may have set it aside first.
        with contextlib.suppress(FileNotFoundError):
            self.fs.mv(location, f"{location}.damaged")
        self._tables.forget(path)

    def _join_pieces(
        self,
        path: str,
        content: bytes,
        columns: Sequence[str] | None,
        *,
        as_stored: bool = False,
    ) -> pa.Table | None:
        """Return a table of pieces; `None` if a file is gone or holds something else.

        If `as_stored`, of whatever the files hold.
        """
        try:
            joined = Pieces.from_bytes(content)
            folder = path.rpartition("/")[0]
            last = None if as_stored else joined.last
            names = list(joined.files)
            tables = []
            for name in names if last is None else names[:-1]:
                expected = None if as_stored else joined.files[name]
                file = self._read_file_of(f"{folder}/{name}", expected, columns)
                tables.append(file)
            if last is not None:
                tables.append(
                    self._read_last_rows(f"{folder}/{names[-1]}", last, columns)
                )
        except (ValueError, FileNotFoundError) as error:
            self.set_aside(path, error)
            return None
        slices = [
            tables[piece.file].slice(piece.start, piece.rows) for piece in joined.pieces
        ]
        # A file of an earlier version may lack a column.
        table = pa.concat_tables(slices, promote_options="default").combine_chunks()
        names = [
            name for name in ("key", *joined.columns) if name in table.column_names
        ]
        digests = json.dumps(joined.columns).encode()
        return table.select(names).replace_schema_metadata({COLUMNS: digests})

    def _read_file_of(
        self,
        path: str,
        held: str | None,
        columns: Sequence[str] | None,
    ) -> pa.Table:
        """Return a file that a table of pieces refers to.

        Raise `FileNotFoundError` if it is gone, `ValueError` if it holds something else
        than `held` says.
        """
        if columns is None:
            # Not cached: the table of pieces is.
            table = self._tables.get(path) or self._load_table(path)
        else:
            table = self.read_columns(path, columns)
        if table is None:
            raise FileNotFoundError(f"{path} is gone")
        if held is not None and content_name(part_of(path, table).columns) != held:
            raise ValueError(f"{path} holds other rows")
        return table.replace_schema_metadata(None)

    def _read_last_rows(
        self,
        path: str,
        rows: bytes,
        columns: Sequence[str] | None,
    ) -> pa.Table:
        """Return the rows of a file that a table of pieces has, too.

        Raise `FileNotFoundError` if it is gone: then their keys are unknown.
        """
        if not self.exists(path):
            raise FileNotFoundError(f"{path} is gone")
        table = rows_from(rows)
        if columns is None:
            return table
        return table.select([name for name in columns if name in table.column_names])

    def _parse_table(
        self,
        path: str,
        source: pa.NativeFile,
        *,
        columns: Sequence[str] | None = None,
    ) -> pa.Table | None:
        """Return the table in an open file; `None` if its content is damaged."""
        try:
            file = pq.ParquetFile(source, page_checksum_verification=True)
            is_large = source.size() >= _THREADED_BYTES
            # A column that a file lacks is left out.
            return file.read(columns, use_threads=is_large)
        # The source is open: an `OSError` here is about what it contains.
        except (pa.ArrowException, OSError) as error:
            self.set_aside(path, error)
            return None

    def _remember(
        self,
        path: str,
        table: pa.Table,
    ) -> Part:
        """Cache a table that is stored, and return its reference."""
        self._tables.put(path, table)
        return part_of(path, table)


class InMemoryRunStore(RunStore):
    """A store in the memory of this process, shared with no other store."""

    def __init__(self) -> None:
        # fsspec's memory is one for the process: the name keeps stores apart.
        super().__init__(f"memory://themis-{uuid.uuid4().hex}")


def open_store(
    url: str,
    storage_options: Mapping[str, Any] | None = None,
) -> RunStore:
    """Open the store that a configuration names: `memory`, a folder or an fsspec URL."""
    if url == "memory":
        return InMemoryRunStore()
    if "://" not in url:
        url = str(Path(url).expanduser())
    return RunStore(url, storage_options)


def _time_written(entry: Mapping[str, Any]) -> float:
    """Return when a file was written, in seconds since 1970; 0 if it is not known."""
    # On disks, on S3 and in memory, in this order: on disks, `created` is another time.
    for key in ("mtime", "LastModified", "created"):
        written = entry.get(key)
        if written:
            is_datetime = hasattr(written, "timestamp")
            return float(written.timestamp() if is_datetime else written)
    return 0.0
