"""JSON as evaluation tools write it: NaN and infinity are in it, and objects expected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

from themis_lib.errors import DatasetError
from themis_lib.identity.digests import load_json


def load_log_json(
    content: bytes,
    place: str,
) -> Any:
    """Return the value of a JSON document; NaN and infinity are the texts of that name.

    Raise `DatasetError` for what is no JSON.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{place}: not UTF-8: {error}") from None
    try:
        return load_json(text)
    # Python's own parser knows NaN and names lines.
    except (orjson.JSONDecodeError, RecursionError):
        pass
    try:
        return json.loads(text, parse_constant=str)
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{place}: not JSON: {error.msg} at line {error.lineno}, "
            f"column {error.colno}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{place}: not JSON: {error}") from None


def object_of(
    value: Any,
    place: str,
) -> Mapping[str, Any]:
    """Return a JSON object. Raise `DatasetError` for anything else."""
    if not isinstance(value, dict):
        raise DatasetError(f"{place}: not a JSON object but {value!r:.60}")
    return value


def object_or_empty(value: Any) -> dict[str, Any]:
    """Return a JSON object; an empty one where a log has null or something else."""
    return value if isinstance(value, dict) else {}


def list_or_empty(value: Any) -> list[Any]:
    """Return a JSON array; an empty one where a log has null or something else."""
    return value if isinstance(value, list) else []


def text_or_none(value: Any) -> str | None:
    """Return a text that is not empty; `None` for anything else."""
    return value if isinstance(value, str) and value else None
