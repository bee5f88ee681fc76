"""Time to write a run's HTML report, its size, and the time a browser takes to open
it.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from benchmarks.jobs import html_report
from benchmarks.processes import Numbers, best_of, folder, fresh
from benchmarks.report import Aim, Report, Row

_SIZES = (1_000, 10_000)
_QUICK_SIZES = (1_000,)
_REPEATS = 3
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def measure(*, quick: bool) -> Report:
    sizes, repeats = _SIZES, _REPEATS
    if quick:
        sizes, repeats = _QUICK_SIZES, 1
    rows = [_measure_page(cases, repeats) for cases in sizes]
    largest = rows[-1]
    return Report(
        how=f"best of {repeats}; outputs of some 350 random characters, one sample, "
        "two metrics; a page is open when the first case can be read, found when a "
        "text that one case has is typed and the list shows it",
        rows=rows,
        aims=[
            Aim("seconds to write", largest["write_s"], 0.5),
            Aim("megabytes", largest["megabytes"], 15),
            Aim("seconds to open", largest["open_s"], 2),
        ],
    )


def _measure_page(cases: int, repeats: int) -> Row:
    with folder() as store:
        page = store / "report.html"
        job = {"store": store, "cases": cases, "page": page}
        # All repeats use one store: only the first evaluates, each writes the page.
        written = best_of(repeats, fresh, html_report, **job)
        opened = best_of(repeats, _open_in_browser, page)
        size = page.stat().st_size
    return {"cases": cases, **written, "megabytes": size / 1e6, **opened}


def _open_in_browser(page: Path) -> Numbers:
    from playwright.sync_api import sync_playwright

    # Without an installed browser, `None` selects the one that Playwright downloaded.
    found = filter(None, map(shutil.which, _BROWSERS))
    path = next(found, None)
    with sync_playwright() as playwright:
        # Chromium's sandbox does not start for root, as in most containers.
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"]
        )
        window = browser.new_page()
        began = time.perf_counter()
        window.goto(page.as_uri())
        window.wait_for_selector("[role=option]")
        opened = time.perf_counter()
        window.fill("#filter-text", "number 424 ")
        window.wait_for_selector("text=/^1 of /")
        filtered = time.perf_counter()
        browser.close()
    return {
        "open_s": opened - began,
        "find_s": filtered - opened,
    }
