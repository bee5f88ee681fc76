"""The files that cases name: read once, and from then on known by their content.

A case whose input has `{"type": "image", "path": "images/1.png"}` becomes one whose
input has the digest of the file in place of its path: keys cover what the file holds,
and neither its name nor its place. The bytes go into the store beside the cases, where
every worker finds them.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import fsspec
import pyarrow as pa

from themis_lib.core.config import DatasetFile
from themis_lib.core.experiment_spec import AnyDataset
from themis_lib.core.media_types import media_type_of, plain_media_type
from themis_lib.core.models import Dataset
from themis_lib.core.parts import MEDIA, decoded, is_own_form, is_parts, read_part
from themis_lib.core.prompts import is_conversation
from themis_lib.core.secrets import hide_values, resolve_references
from themis_lib.core.templates import WHOLE_INPUT
from themis_lib.errors import DatasetError, TransientError, describe, is_transient
from themis_lib.identity.digests import canonical_json, load_json
from themis_lib.identity.file_state import FileState
from themis_lib.storage.contents import content_path, digests_in, stored_digests
from themis_lib.storage.store import RunStore

#: Bytes of one file. Base64 makes a third more of it, and providers take requests of 20
#: to 50 MB.
MOST_BYTES = 32 * 2**20
#: Canonical JSON of an input that may have a part in the form of this project.
_MAY_HAVE_PART = re.compile('"type":"(?:{})"'.format("|".join(MEDIA)))


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


@dataclass
class PartFiles:
    """The files that the cases of an experiment name, gathered as the cases are read.

    Parts are an input, a message's content, or what a prompt's template reads: `fields`
    are its names.
    """

    fields: tuple[str, ...] = ()
    #: What each path held, by dataset and path.
    named: dict[tuple[str, str], str] = field(default_factory=dict)
    _readers: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    _dataset: AnyDataset | None = None
    _folder: Folder | None = None

    def enter(self, dataset: AnyDataset) -> None:
        """Take the cases that follow for those of a dataset: paths begin at its folder."""
        self._dataset = dataset
        self._folder = None

    def read(self, sha256: str) -> bytes:
        """Return the content of a file that a case named. Raise `KeyError` if none did."""
        return self._readers[sha256]()

    def with_contents(self, text: str) -> str:
        """Return an input's JSON with contents in place of paths and data.

        Raise `ValueError`, naming the part, for one that cannot be sent to any model.
        """
        if _MAY_HAVE_PART.search(text) is None:
            return text
        value = load_json(text)
        resolved = self._resolved(value)
        return text if resolved is value else canonical_json(resolved)

    def keep(
        self,
        inputs: pa.ChunkedArray,
        store: RunStore,
    ) -> None:
        """Write the files that some inputs name into the store, unless they are there.

        Raise `DatasetError` for a digest that names no file, and for a file that changed
        since it was read.
        """
        texts = filter(_MAY_HAVE_PART.search, inputs.to_pylist())
        digests = sorted(digests_in(texts))
        if not digests:
            return
        stored = stored_digests(store)
        for sha256 in digests:
            if sha256 in stored:
                continue
            if sha256 not in self._readers:
                raise DatasetError(
                    f"a case has a part with sha256 {sha256!r}, which is no file of this "
                    "store; write the `path` of the file instead"
                )
            content = self.read(sha256)
            if hashlib.sha256(content).hexdigest() != sha256:
                raise DatasetError("a file that a case names changed; run again")
            store.create(content_path(sha256), content)
            # Data that the case itself held would fill the memory.
            del self._readers[sha256]

    def _resolved(self, value: Any) -> Any:
        if is_parts(value):
            return self._resolved_parts(value)
        if is_conversation(value):
            return [self._resolved_turn(turn) for turn in value]
        if not isinstance(value, dict) or not self.fields:
            return value
        resolved = dict(value)
        for name in value if WHOLE_INPUT in self.fields else self.fields:
            if name not in value:
                continue
            if is_own_form(value[name]):
                resolved[name] = self._resolved_part(value[name], name)
            else:
                resolved[name] = self._resolved(value[name])
        return resolved

    def _resolved_turn(self, turn: Mapping[str, Any]) -> dict[str, Any]:
        content = turn.get("content")
        if not isinstance(content, list):
            return dict(turn)
        return {**turn, "content": self._resolved_parts(content)}

    def _resolved_parts(self, parts: list[Any]) -> list[Any]:
        resolved = []
        for number, part in enumerate(parts, start=1):
            resolved.append(self._resolved_part(part, f"part {number}"))
        return resolved

    def _resolved_part(
        self,
        written: Any,
        place: str,
    ) -> Any:
        if not is_own_form(written):
            # Of a misspelt key, a provider would say no more than that it is wrong.
            if isinstance(written, dict) and written.get("type") in MEDIA:
                _refuse_unknown_form(written, place)
            return written
        part = read_part(written)
        if part is None:
            raise ValueError(f"{place}: its `url` or its settings are malformed")
        if part.path is None and part.data is None:
            if part.url is not None and "://" not in part.url:
                raise ValueError(f"{place}: {part.url!r} is no URL; write `path`")
            if part.url is not None and part.url.startswith("file:"):
                raise ValueError(f"{place}: write `path` for a file, not a URL")
            return written
        try:
            content = self._content_of(part.path, part.data)
            media_type = _checked_media_type(part.kind, part.media_type, content)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        # The name of the file is left out: whoever wants one sent, writes `name`.
        facts = {
            "type": part.kind,
            "sha256": content.sha256,
            "media_type": media_type,
            "bytes": content.bytes,
            "name": part.name,
            "detail": part.detail,
        }
        return {name: fact for name, fact in facts.items() if fact is not None}

    def _content_of(
        self,
        path: str | None,
        data: str | None,
    ) -> Content:
        if path is None:
            assert data is not None
            held = decoded(data)
            content = content_facts(held, "")
            self._readers[content.sha256] = lambda: held
            return content
        assert self._dataset is not None
        if self._folder is None:
            self._folder = folder_of(self._dataset)
        folder = self._folder
        content = folder.facts(path)
        self.named[self._dataset.dataset_id, path] = content.sha256
        self._readers.setdefault(content.sha256, lambda: folder.read(path))
        return content


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
        if isinstance(self._fs, fsspec.implementations.local.LocalFileSystem):
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


def _checked_media_type(
    kind: str,
    given: str | None,
    content: Content,
) -> str:
    """Return the media type to send. Raise `ValueError` for one of another kind."""
    found = content.media_type
    media_type = found or given
    if media_type is None:
        raise ValueError(
            "neither its content nor its suffix tells the media type; write `media_type`"
        )
    media_type = plain_media_type(media_type)
    is_said = given is not None and plain_media_type(given) != media_type
    # Content tells of a binary format what it is; of a text only its suffix does.
    if is_said and media_type.startswith(("image/", "audio/", "application/pdf")):
        raise ValueError(f"it is {media_type}, and media_type says {given!r}")
    if is_said:
        media_type = plain_media_type(given or "")
    if kind != "file" and not media_type.startswith(f"{kind}/"):
        raise ValueError(f"it is {media_type}, which is no {kind}")
    if content.bytes == 0:
        raise ValueError("it is empty")
    return media_type


def _refuse_unknown_form(
    written: Mapping[str, Any],
    place: str,
) -> None:
    if "path" in written or "sha256" in written:
        names = ", ".join(map(repr, written))
        raise ValueError(
            f"{place}: it has {names}; a part has `type`, one of `path`, `url` and "
            "`data`, and may have `media_type`, `name` and `detail`"
        )
