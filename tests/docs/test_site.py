"""The site can be built, and needs nothing from other hosts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.running import ROOT
from tools.diagrams import FOLDER, THEMES, diagrams, figure, picture_path

#: What a page loads: scripts, styles, pictures and fonts; not what it links to.
_LOADED = re.compile(
    r'<(?:script|img|iframe|source)\b[^>]*\bsrc="([^"]+)"'
    r'|<link\b[^>]*\brel="(?:stylesheet|preload|preconnect)"[^>]*\bhref="([^"]+)"'
    r"|url\(([^)]+)\)|@import\s+[\"']([^\"']+)"
)


def test_every_diagram_has_its_pictures():
    """Each diagram of the pages was drawn for light and dark, and no picture is left
    over; if not, run `python -m tools.diagrams`.
    """
    wanted = {picture_path(source, shade) for source in diagrams() for shade in THEMES}

    assert wanted == set(FOLDER.iterdir())


def test_diagram_without_a_picture_is_refused():
    """A diagram that was never drawn breaks the build."""
    with pytest.raises(FileNotFoundError):
        figure("flowchart LR\n  A --> Z")


def test_readme_is_short():
    """The README fits in 150 lines."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 150


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a folder, as `make docs` does."""
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_site_loads_nothing_from_other_hosts(tmp_path):
    """The site is built without a warning, and everything that its pages load is in its
    folder.
    """
    built = build(ROOT, tmp_path)

    assert 0 == built.returncode, built.stderr
    loaded = set()
    files = [*tmp_path.rglob("*.html"), *tmp_path.rglob("*.css")]
    for file in files:
        for found in _LOADED.findall(file.read_text(encoding="utf-8")):
            loaded |= set(filter(None, found))
    assert loaded
    assert set() == {
        url for url in loaded if re.match(r"(https?:)?//", url.strip("\"'"))
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "link", ["[gone](gone.md)", "[gone](index.md#gone)", "[gone](#gone)"]
)
def test_broken_link_breaks_the_build(tmp_path, link):
    """A link to a page or a heading that does not exist is an error."""
    for name in ("docs", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("mkdocs.yml", "README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    page = tmp_path / "docs" / "measured.md"
    page.write_text(f"{page.read_text(encoding='utf-8')}\n{link}\n", encoding="utf-8")

    built = build(tmp_path, tmp_path / "site")

    assert 1 == built.returncode
    assert "gone" in built.stderr
