"""Folders in which paths of cases begin, and what identifies a file there."""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import fsspec
from fsspec.implementations.local import LocalFileSystem

from themis_lib.core.config import DatasetFile
from themis_lib.core.experiment_spec import AnyDataset
from themis_lib.core.media_types import media_type_of
from themis_lib.core.models import Dataset
from themis_lib.core.secrets import hide_values, resolve_references
from themis_lib.errors import TransientError, describe, is_transient
from themis_lib.identity.file_state import FileState

#: Bytes of one file. Base64 makes a third more of it, and providers take requests of 20
#: to 50 MB.
MOST_BYTES = 32 * 2**20


class Folder(Protocol):
    """Where the paths of a dataset's cases begin."""

    def read(self, path: str) -> bytes:
        """Return the content of a file. Raise `ValueError` if it cannot be had."""

    def facts(self, path: str) -> Content:
        """Return what a file holds, without its bytes."""


@dataclass(frozen=True)
class Content:
    """What identifies a file's content; `media_type` is `None` where nothing tells it."""

    sha256: str
    bytes: int
    media_type: str | None


def folder_of(dataset: AnyDataset) -> Folder:
    """Return where the paths of a dataset's cases begin.

    Of a file its own folder, of cases in memory the working directory. Raise
    `ValueError` for a dataset that is in no folder.
    """
    if isinstance(dataset, DatasetFile):
        return DataFolder(dataset)
    if isinstance(dataset, Dataset):
        return LocalFolder(Path.cwd())
    raise ValueError(
        "this dataset is in no folder that a path could begin at; write a `url`, or make "
        "a file of the dataset"
    )


def content_facts(
    content: bytes,
    path: str,
) -> Content:
    """Return what identifies the content of a file."""
    return Content(
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        media_type=media_type_of(content, path),
    )


class LocalFolder:
    """A folder of this machine, for paths that the user's own code or experiment has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, path: str) -> bytes:
        """Return the content of a file. Raise `ValueError` if it cannot be read."""
        file = self._file(path)
        try:
            return file.read_bytes()
        except OSError as error:
            raise ValueError(_no_file(path, error)) from None

    def facts(self, path: str) -> Content:
        """Return what a file holds. Raise `ValueError` for one that cannot be sent."""
        file = self._file(path)
        try:
            state = FileState.of(file)
            _check_size(path, state.size)
            # A file that was just written may change and keep its times.
            read = _local_facts if state.is_settled() else _local_facts.__wrapped__
            return read(file, state)
        except OSError as error:
            raise ValueError(_no_file(path, error)) from None

    def _file(self, path: str) -> Path:
        return self._folder / Path(path).expanduser()


class DataFolder:
    """The folder of a data file, on any filesystem, and what is below it."""

    def __init__(self, dataset: DatasetFile) -> None:
        path = resolve_references(dataset.path, where="path")
        options = resolve_references(dataset.storage_options, where="storage_options")
        self._hidden = [dataset.path, dataset.storage_options]
        self._fs, location = fsspec.core.url_to_fs(path, **options)
        self._parent = self._fs._parent(location)
        self._local = None
        if isinstance(self._fs, LocalFileSystem):
            self._local = LocalFolder(Path(self._parent))

    def read(self, path: str) -> bytes:
        """Return the content of a file. Raise `ValueError` if it cannot be read."""
        below = _below(path)
        if self._local is not None:
            return self._local.read(below)
        try:
            return bytes(self._fs.cat_file(f"{self._parent}/{below}"))
        except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
            # A filesystem's message may quote the resolved path or a key.
            message = hide_values(_no_file(path, error), spec=self._hidden)
            if is_transient(error):
                raise TransientError(message) from None
            raise ValueError(message) from None

    def facts(self, path: str) -> Content:
        """Return what a file holds. Raise `ValueError` for one that cannot be sent."""
        if self._local is not None:
            return self._local.facts(_below(path))
        content = self.read(path)
        _check_size(path, len(content))
        return content_facts(content, path)


@lru_cache(maxsize=2**16)
def _local_facts(
    file: Path,
    state: FileState,  # noqa: ARG001 - what the cache knows a content by
) -> Content:
    return content_facts(file.read_bytes(), file.name)


def _below(path: str) -> str:
    """Return a path below a data file's folder. Raise `ValueError` for any other.

    A data set that somebody downloads cannot have other files of theirs sent.
    """
    plain = posixpath.normpath(path)
    is_drive = Path(path).is_absolute() or path.startswith("~")
    if is_drive or plain.startswith(("/", "..")) or "://" in path:
        raise ValueError(
            f"path {path!r} is not below the folder of the data file, as files of its "
            "cases have to be; move them there, or make a link"
        )
    return plain


def _check_size(
    path: str,
    size: int,
) -> None:
    if size > MOST_BYTES:
        raise ValueError(
            f"path {path!r} has {size:,} bytes, and a request can take {MOST_BYTES:,} of "
            "a file; make it smaller, or give its `url`"
        )


def _no_file(
    path: str,
    error: Exception,
) -> str:
    if isinstance(error, FileNotFoundError):
        return f"path {path!r}: there is no such file"
    return f"path {path!r} cannot be read: {describe(error)}"
