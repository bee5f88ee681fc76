"""Images of cases for a page: small ones, from the store, and never from the network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from themis_lib.core.parts import Part, is_own_form, read_part
from themis_lib.errors import TransientError
from themis_lib.identity.digests import load_json
from themis_lib.storage.contents import StoredContents, digests_in
from themis_lib.storage.store import RunStore

#: Bytes of one image, and of all on a page; larger ones are named instead.
_MOST_BYTES = 100_000
_MOST_BYTES_OF_ALL = 2_000_000
#: What every browser draws, and what holds no script.
_DRAWN = ("image/png", "image/jpeg", "image/gif", "image/webp")


def case_images(
    store: RunStore,
    cases: pa.Table,
) -> dict[str, str]:
    """Return the small images that the inputs of cases name, as data URLs by digest."""
    images: dict[str, str] = {}
    contents = StoredContents(store)
    left = _MOST_BYTES_OF_ALL
    for text in cases["input"].to_pylist():
        if not digests_in([text]):
            continue
        for part in _images_in(load_json(text)):
            size = part.bytes or 0
            if part.sha256 is None or part.sha256 in images or size > left:
                continue
            try:
                images[part.sha256] = part.data_url(contents)
            # A page shows what there is: the file was removed, or is damaged.
            except TransientError:
                continue
            left -= size
    return images


def _images_in(value: Any) -> Iterator[Part]:
    """Yield the small images in an input, in its turns or in its fields."""
    if isinstance(value, dict) and is_own_form(value):
        part = read_part(value)
        is_drawn = part is not None and part.media_type in _DRAWN
        if part is not None and is_drawn and (part.bytes or 0) <= _MOST_BYTES:
            yield part
        return
    items = value.values() if isinstance(value, dict) else value
    for item in items if isinstance(value, (dict, list)) else ():
        yield from _images_in(item)
