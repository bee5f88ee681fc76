"""Diagrams of the documentation: Mermaid in the pages, SVG on the site.

    python -m tools.diagrams MERMAID_JS

It draws each `mermaid` block of the pages that has no picture yet, for light and dark,
into `docs/diagrams/`, and removes pictures that no page has. `MERMAID_JS` is
`dist/mermaid.min.js` of the npm package `mermaid`. The site then needs neither that
script nor its 3 MB; GitHub draws the blocks by itself.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import re
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "diagrams"
THEMES = {"light": "neutral", "dark": "dark"}
_SETTINGS = {
    "startOnLoad": False,
    "fontFamily": "Helvetica, Arial, sans-serif",
    # Text of SVG: HTML would be cut where a reader's font is wider.
    "htmlLabels": False,
    "flowchart": {"htmlLabels": False, "nodeSpacing": 30, "rankSpacing": 28},
}
_BLOCK = re.compile(r"^ *```mermaid\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def figure(source: str, *_: Any, **__: Any) -> str:
    """Return the HTML of a `mermaid` block; SuperFences calls it with more arguments.

    Raise `FileNotFoundError` for a block that was never drawn: see above.
    """
    pictures = []
    for shade in THEMES:
        svg = picture_path(source, shade).read_text(encoding="utf-8")
        pictures.append(f'<div class="diagram diagram-{shade}">{svg}</div>')
    return "".join(pictures)


def picture_path(source: str, shade: str) -> Path:
    """Return where the picture of a diagram is: named by the diagram's content."""
    digest = hashlib.sha256(source.strip().encode()).hexdigest()[:16]
    return FOLDER / f"{digest}.{shade}.svg"


def diagrams() -> list[str]:
    """Return the source of each diagram in the pages."""
    pages = sorted(ROOT.glob("docs/**/*.md"))
    found: list[str] = []
    for page in pages:
        found += _BLOCK.findall(page.read_text(encoding="utf-8"))
    return found


def draw(source: str, shade: str, script: Path, page: Any) -> str:
    """Return the picture that Mermaid makes of a diagram in a browser's page."""
    # From top to bottom: the column of a page is narrow.
    upright = source.replace("flowchart LR", "flowchart TB")
    page.set_content(f"<pre>{html.escape(upright)}</pre>")
    page.add_script_tag(path=script)
    name = f"d{picture_path(source, shade).stem.replace('.', '-')}"
    settings = {**_SETTINGS, "theme": THEMES[shade]}
    return str(
        page.evaluate(
            "async ([settings, name]) => {"
            " mermaid.initialize(settings);"
            " const source = document.querySelector('pre').textContent;"
            " return (await mermaid.render(name, source)).svg }",
            [settings, name],
        )
    )


def main() -> None:
    """Run the command."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(prog="python -m tools.diagrams")
    parser.add_argument("mermaid_js", type=Path)
    script = parser.parse_args().mermaid_js
    FOLDER.mkdir(exist_ok=True)
    wanted = {
        picture_path(source, shade): (source, shade)
        for source in diagrams()
        for shade in THEMES
    }
    for path in FOLDER.iterdir():
        if path not in wanted:
            path.unlink()
    browser_path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox"]
        )
        for path, (source, shade) in wanted.items():
            if not path.exists():
                svg = draw(source, shade, script, browser.new_page())
                path.write_text(svg + "\n", encoding="utf-8")
        browser.close()


if __name__ == "__main__":
    main()
