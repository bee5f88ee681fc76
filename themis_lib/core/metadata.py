"""Values of metadata as text that people read and nothing is lost in."""

from __future__ import annotations

from typing import Any

from themis_lib.identity.digests import canonical_json, load_json


def metadata_text(value: Any) -> str:
    """A value as text: a text as it is, unless it could be taken for JSON; anything
    else as JSON.

    >>> [metadata_text(value) for value in ("hard", 3, "3", None)]
    ['hard', '3', '"3"', 'null']
    """
    return (
        value
        if isinstance(value, str) and not _is_json(value)
        else canonical_json(value)
    )


def metadata_value(text: str) -> Any:
    """The value that `metadata_text` wrote.

    >>> [metadata_value(text) for text in ("hard", "3", '"3"', "null")]
    ['hard', 3, '3', None]
    """
    return load_json(text) if _is_json(text) else text


def _is_json(text: str) -> bool:
    try:
        load_json(text)
    except ValueError:
        return False
    return True
