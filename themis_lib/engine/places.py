"""The folder for what is kept between processes, and small facts remembered in it.

It is `$THEMIS_CACHE_DIR` if set, else `$XDG_CACHE_HOME/themis`, else
`~/.cache/themis`, and holds

    generations/            the generation cache (`cache.py`)
    facts/<kind>/<name>     facts found out once: digests of large files, working builds

Everything in it can be deleted at any time. Nothing is created before it is written to.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from themis_lib.errors import ConfigError
from themis_lib.identity.digests import canonical_json, digest


def cache_folder() -> Path:
    """Return the folder that the environment names now: absolute, and not created.

    Raises `ConfigError` if nothing names one and the user has no home.
    """
    chosen = os.environ.get("THEMIS_CACHE_DIR")
    if chosen:
        expanded = os.path.expanduser(chosen)  # noqa: PTH111 - keeps symbolic links
        return Path(os.path.abspath(expanded))  # noqa: PTH100 - keeps symbolic links
    shared = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification ignores relative paths, and the empty text is one.
    if os.path.isabs(shared):  # noqa: PTH117 - text, as the variable holds it
        return Path(shared) / "themis"
    try:
        return Path.home() / ".cache" / "themis"
    except RuntimeError:
        raise ConfigError(
            "no home directory to keep a cache in: set THEMIS_CACHE_DIR to a folder"
        ) from None


def recall(
    kind: str,
    key: str,
) -> dict[str, Any] | None:
    """Return the fact remembered under a key.

    `None` if there is none, or if it is damaged or cannot be read.
    """
    try:
        record = json.loads(_fact_file(kind, key).read_bytes())
    # Damaged JSON may also be nested beyond what the parser takes.
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    fact = record.get("fact")
    if not isinstance(fact, dict):
        return None
    # The record holds its own digest: a damaged one would be believed by every process.
    if record != _signed_record(kind, key, fact):
        return None
    return fact


def remember(
    kind: str,
    key: str,
    fact: Mapping[str, Any],
) -> None:
    """Keep a fact, a JSON object, under a key, in place of an earlier one.

    Nothing happens if it cannot be written.
    """
    record = _signed_record(kind, key, dict(fact))
    content = canonical_json(record).encode()
    file = _fact_file(kind, key)
    # A fact that cannot be kept is found out again: that takes time, and no more.
    with contextlib.suppress(OSError):
        file.parent.mkdir(
            parents=True,
            exist_ok=True,
        )
        # In the same folder, and so on the same filesystem: only there is a move atomic,
        # and another process reads the old content or the new one, never half of it.
        with tempfile.NamedTemporaryFile(
            dir=file.parent,
            delete=False,
        ) as temporary:
            try:
                temporary.write(content)
                # Windows moves no file that is open.
                temporary.close()
                os.replace(temporary.name, file)  # noqa: PTH105
            except BaseException:
                Path(temporary.name).unlink(missing_ok=True)
                raise


def _signed_record(
    kind: str,
    key: str,
    fact: dict[str, Any],
) -> dict[str, Any]:
    return {
        "key": key,
        "fact": fact,
        "digest": digest(f"fact/{kind}", [key, fact]),
    }


def _fact_file(
    kind: str,
    key: str,
) -> Path:
    # A digest as the name: keys hold paths, which are too long and have separators.
    name = digest(f"fact/{kind}", key)
    return cache_folder() / "facts" / kind / name
