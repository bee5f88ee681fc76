"""Contents of files and folders, each file read once until its size or time changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from themis_lib.identity.digests import digest
from themis_lib.identity.file_state import FileState

#: What stands for the content of a file that is not there.
NONE = "none"


# Process-wide: digests of files by path, with the state that they had.
_CONTENTS: dict[str, tuple[FileState, str]] = {}


def file_content(path: Path) -> str:
    """Return the SHA-256 of a file's content; raise `OSError` if it cannot be read.

    A file is read again if its state has changed, or did so less than a clock tick
    before it was read: then another change might not show.
    """
    state = FileState.of(path)
    known = _CONTENTS.get(str(path))
    if known is not None and known[0] == state:
        return known[1]
    # Before the file is read: what is written meanwhile must show, too.
    is_settled = state.is_settled()
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    if is_settled and FileState.of(path) == state:
        _CONTENTS[str(path)] = (state, content)
    return content


def content_of(path: str, read: Callable[[Path], str] = file_content) -> str:
    """Return what tells a content from others: of a file, or of the files of a folder.

    A path that ends in a slash stands for the names in a folder. `NONE` where there is
    nothing, or nothing that can be read. `read` returns the content of one file.
    """
    place = Path(path)
    try:
        if path.endswith("/"):
            return digest("names", sorted(filter(_is_shown, _names_in(place))))
        if place.is_dir():
            return digest("folder", _parts_of(place, read))
        return read(place)
    except OSError:
        return NONE


def content_digest(content: str, salt: str) -> str:
    """Return the digest that is kept of a content."""
    return digest("file", [salt, content])


def _parts_of(
    folder: Path,
    read: Callable[[Path], str],
) -> list[list[str]]:
    parts = []
    for item in sorted(folder.rglob("*")):
        name = item.relative_to(folder)
        if item.is_file() and "__pycache__" not in name.parts:
            # A file that cannot be read hides none of the others.
            content = content_of(str(item), read)
            parts.append([_as_text(str(name)), content])
    return parts


def _names_in(folder: Path) -> list[str]:
    return [_as_text(item.name) for item in folder.iterdir()]


def _is_shown(name: str) -> bool:
    # What Python and editors leave in a folder is nothing to read.
    return name != "__pycache__" and not name.startswith(".")


def _as_text(name: str) -> str:
    # Linux takes any bytes for a name; a digest takes text.
    return name.encode("utf-8", "backslashreplace").decode()
