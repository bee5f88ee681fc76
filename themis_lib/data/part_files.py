"""The files that cases name: read once, and from then on known by their content.

A case whose input has `{"type": "image", "path": "images/1.png"}` becomes one whose
input has the digest of the file in place of its path: keys cover what the file holds,
and neither its name nor its place. The bytes go into the store beside the cases, where
every worker finds them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from themis_lib.core.experiment_spec import AnyDataset
from themis_lib.core.media_types import plain_media_type
from themis_lib.core.parts import (
    MARKS,
    MEDIA,
    decoded,
    is_own_form,
    is_parts,
    read_part,
)
from themis_lib.core.prompts import is_conversation
from themis_lib.core.templates import WHOLE_INPUT
from themis_lib.data.part_folders import Content, Folder, content_facts, folder_of
from themis_lib.errors import DatasetError
from themis_lib.identity.digests import canonical_json, load_json
from themis_lib.storage.contents import content_path, digests_in, stored_digests
from themis_lib.storage.store import RunStore

#: Canonical JSON of an input that may have a part in the form of this project.
_MAY_HAVE_PART = re.compile('"type":"(?:{})"'.format("|".join(MEDIA)))


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
            if name in value:
                resolved[name] = self._resolved_field(value[name], name)
        return resolved

    def _resolved_field(
        self,
        value: Any,
        place: str,
    ) -> Any:
        """Return what a template may print any part of."""
        if is_own_form(value):
            return self._resolved_part(value, place)
        if is_parts(value):
            return self._resolved_parts(value)
        if isinstance(value, list):
            return [self._resolved_field(item, place) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            name: self._resolved_field(item, f"{place}.{name}")
            for name, item in value.items()
        }

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
            _check_url(part.url, place)
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
            **{name: written.get(name) for name in MARKS},
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


def _check_url(
    url: str | None,
    place: str,
) -> None:
    if url is None:
        return
    if "://" not in url:
        raise ValueError(f"{place}: {url!r} is no URL; write `path`")
    if url.startswith("file:"):
        raise ValueError(f"{place}: write `path` for a file, not a URL")
