"""The pictures of a report in the documentation.

    python -m tools.report_picture

It scores the recorded outputs that come with the package, as `themis demo` does, and
takes a picture of the beginning of the report, in light and in dark, with Chromium.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from flows.demo import run_demo
from themis_lib import RunStore
from themis_lib.runs.find_run import find_run

FOLDER = Path(__file__).parents[1] / "docs"
PICTURES = {"light": "report.png", "dark": "report-dark.png"}
_NAME = "gsm8k-175b"
_SIZE = {"width": 1100, "height": 770}
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Write both pictures."""
    from playwright.sync_api import sync_playwright

    browser_path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    with tempfile.TemporaryDirectory() as folder:
        # Before Playwright, whose event loop would be in the way.
        run_demo(folder, Console(file=io.StringIO()))
        run = find_run(RunStore(folder), _NAME)
        report = Path(folder) / "runs" / run.run_id / "report.html"
        with sync_playwright() as driver:
            browser = driver.chromium.launch(
                executable_path=browser_path, args=["--no-sandbox"]
            )
            for shade in PICTURES:
                take_picture(browser, report, shade)
            browser.close()


def take_picture(browser: Any, report: Path, shade: str) -> None:
    """Write the picture of a report's beginning in one shade."""
    context = browser.new_context(viewport=_SIZE, color_scheme=shade)
    page = context.new_page()
    page.goto(report.as_uri())
    page.screenshot(path=FOLDER / PICTURES[shade])
    context.close()


if __name__ == "__main__":
    main()
