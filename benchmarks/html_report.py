"""How long the HTML report of a run takes to write, what it weighs, and how long a
browser takes to open it.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.processes import best, folder, fresh
from benchmarks.report import Aim, Report

_SIZES, _QUICK_SIZES = (1_000, 10_000), (1_000,)
_REPEATS = 3
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def measure(*, quick: bool) -> Report:
    sizes, repeats = (_QUICK_SIZES, 1) if quick else (_SIZES, _REPEATS)
    rows: list[dict[str, Any]] = []
    for cases in sizes:
        with folder() as store:
            page = store / "report.html"
            made = best(
                [
                    fresh("html_report", store=str(store), cases=cases, page=str(page))
                    for _ in range(repeats)
                ]
            )
            opened = best([_opened(page) for _ in range(repeats)])
            rows.append(
                {
                    "cases": cases,
                    **made,
                    "megabytes": page.stat().st_size / 1e6,
                    **opened,
                }
            )
    return Report(
        how=f"best of {repeats}; outputs of some 350 random characters, one sample, "
        f"two metrics; a page is open when "
        "the first case can be read, found when a text that one case has is typed and "
        "the list shows it",
        rows=rows,
        aims=[
            Aim("seconds to write", rows[-1]["write_s"], 0.5),
            Aim("megabytes", rows[-1]["megabytes"], 15),
            Aim("seconds to open", rows[-1]["open_s"], 2),
        ],
    )


def _opened(page: Path) -> dict[str, float]:
    from playwright.sync_api import sync_playwright

    path = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    with sync_playwright() as playwright:
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
        found = time.perf_counter()
        browser.close()
    return {"open_s": opened - began, "find_s": found - opened}
