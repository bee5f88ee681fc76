"""Contents of folders."""

from __future__ import annotations

from pathlib import Path

from themis_lib.identity.contents import content_of, file_content


def test_file_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    """A folder is the content of each of its files that can be read."""
    (tmp_path / "locked.txt").write_text("a")

    def read(path: Path) -> str:
        if path.name == "locked.txt":
            raise PermissionError(path)
        return file_content(path)

    contents = set()
    for text in ("1", "2"):
        (tmp_path / "words.txt").write_text(text)
        contents.add(content_of(str(tmp_path), read))

    assert 2 == len(contents)


def test_compiled_modules_are_no_content(tmp_path: Path) -> None:
    """Python leaves them in a folder when code in it is imported."""
    (tmp_path / "words.py").write_text("")
    before = content_of(str(tmp_path))
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "words.pyc").write_bytes(b"1")

    assert before == content_of(str(tmp_path))
