"""The folder for everything that is kept between processes, and small facts remembered
in it.

`$THEMIS_CACHE_DIR` if set, else `$XDG_CACHE_HOME/themis`, else `~/.cache/themis`. It
holds

    generations/            the generation cache (`cache.py`)
    facts/<kind>/<name>     what was found out once: digests of model files, builds that were seen to work

Everything in it can be deleted at any time, and nothing is created before it is written
to.
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
    """The folder, as the environment names it now; absolute, and not created.

    Raises `ConfigError` where nothing names one and the user has no home.
    """
    if chosen := os.environ.get("THEMIS_CACHE_DIR"):
        return Path(os.path.abspath(os.path.expanduser(chosen)))  # noqa: PTH100, PTH111 - keeps symbolic links
    shared = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(shared):  # noqa: PTH117 - the XDG specification ignores relative ones, and the empty text is one
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
    """The fact remembered under a key; None if there is none, or if it is damaged or
    cannot be read.
    """
    try:
        record = json.loads(_fact_file(kind, key).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("fact"), dict):
        return None
    fact: dict[str, Any] = record["fact"]
    return fact if record == _fact_record(kind, key, fact) else None


def remember(
    kind: str,
    key: str,
    fact: Mapping[str, Any],
) -> None:
    """Keep a fact, a JSON object, under a key, in place of an earlier one; where
    nothing can be written, forget it.
    """
    content = canonical_json(_fact_record(kind, key, dict(fact))).encode()
    with contextlib.suppress(OSError):
        _write_whole(_fact_file(kind, key), content)


def _fact_record(
    kind: str,
    key: str,
    fact: dict[str, Any],
) -> dict[str, Any]:
    return {"key": key, "fact": fact, "digest": digest(f"fact/{kind}", [key, fact])}


def _fact_file(
    kind: str,
    key: str,
) -> Path:
    return cache_folder() / "facts" / kind / digest(f"fact/{kind}", key)


def _write_whole(
    file: Path,
    content: bytes,
) -> None:
    """Write a whole file at once, so that another process reads the old content or the
    new.
    """
    file.parent.mkdir(
        parents=True,
        exist_ok=True,
    )
    with tempfile.NamedTemporaryFile(
        dir=file.parent,
        delete=False,
    ) as temporary:
        try:
            temporary.write(content)
            temporary.close()
            os.replace(temporary.name, file)  # noqa: PTH105
        except BaseException:
            Path(temporary.name).unlink(missing_ok=True)
            raise
