"""The contents of files that cases name: in the store, each once, under its digest."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable

from themis_lib.errors import TransientError
from themis_lib.identity.watch import not_watching
from themis_lib.storage.store import RunStore

_DIGEST = re.compile('"sha256":"([0-9a-f]{64})"')
#: The directory of the contents.
CONTENTS_DIRECTORY = "rows/contents"


def content_path(sha256: str) -> str:
    """Return the path of a content inside a store."""
    return f"{CONTENTS_DIRECTORY}/{sha256}"


def digests_in(inputs: Iterable[str]) -> set[str]:
    """Return the SHA-256 of every content that inputs name, each as canonical JSON."""
    found: set[str] = set()
    for text in inputs:
        found.update(_DIGEST.findall(text))
    return found


def stored_digests(store: RunStore) -> set[str]:
    """Return the SHA-256 of every content in a store."""
    return set(store.list(CONTENTS_DIRECTORY))


class StoredContents:
    """The contents in a store, and those that `elsewhere` knows beside it."""

    def __init__(
        self,
        store: RunStore,
        elsewhere: Callable[[str], bytes] | None = None,
    ) -> None:
        self._store = store
        self._elsewhere = elsewhere

    def read(self, sha256: str) -> bytes:
        """Return the content with this SHA-256. Raise `TransientError` if it is gone."""
        # Files of the store are no dependency of the row: its key covers their digests.
        with not_watching():
            content = self._stored(sha256)
            if content is None and self._elsewhere is not None:
                with contextlib.suppress(KeyError, ValueError):
                    content = self._elsewhere(sha256)
        if content is not None and hashlib.sha256(content).hexdigest() == sha256:
            return content
        raise TransientError(
            f"store {self._store.public_url!r} has no file with the SHA-256 {sha256}, "
            "which a case names; run again to have it read once more"
        )

    def _stored(self, sha256: str) -> bytes | None:
        path = content_path(sha256)
        try:
            content = self._store.read_bytes(path)
        except FileNotFoundError:
            return None
        if hashlib.sha256(content).hexdigest() != sha256:
            self._store.set_aside(path, ValueError("it holds something else"))
            return None
        return content
