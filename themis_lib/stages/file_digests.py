"""Digests of files as they are now."""

from __future__ import annotations

from themis_lib.engine.file_contents import remembered_content
from themis_lib.identity.contents import content_digest, content_of
from themis_lib.identity.watch import not_watching


def file_digest(path: str, salt: str) -> str:
    """Return the digest of a file, of the files of a folder, or of there being none.

    A path that ends in a slash stands for the names in a folder.
    """
    with not_watching():
        return content_digest(content_of(path, remembered_content), salt)
