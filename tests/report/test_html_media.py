"""Images of cases on a page: small ones are drawn, and nothing is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.chromium import CHROMIUM
from tests.support.media import PDF, data_url, png, write_jsonl
from themis_lib import (
    DatasetFile,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    PromptSpec,
    RunResult,
    StorageConfig,
)
from themis_lib.report.html import report_html
from themis_lib.report.html_media import case_images

HOSTILE = '"><script>document.title = "run"</script>'
PARTS: list[Any] = [
    {"type": "text", "text": HOSTILE},
    {"type": "image", "path": "red.png"},
    {"type": "image", "url": "https://x.test/far.png"},
    {"type": "image_url", "image_url": {"url": data_url(png(7), "image/png")}},
    {"type": "file", "path": "page.pdf", "name": HOSTILE},
]


@pytest.fixture
def result(tmp_path: Path) -> RunResult:
    """A run of a case of parts, of one with a large image, and of one of fields."""
    (tmp_path / "red.png").write_bytes(png(255))
    (tmp_path / "large.png").write_bytes(png(1) + bytes(100_000))
    (tmp_path / "page.pdf").write_bytes(PDF)
    large = [{"type": "image", "path": "large.png"}]
    path = write_jsonl(tmp_path / "cases.jsonl", [PARTS, large])
    return Experiment(
        generation=GenerationConfig(
            generator="builtin/demo_generator",
            prompt_spec=PromptSpec(suffix="Say so."),
        ),
        evaluation=EvaluationConfig(metrics=["builtin/exact_match"]),
        datasets=[DatasetFile(dataset_id="d", path=str(path))],
        storage=StorageConfig(store=str(tmp_path / "store")),
    ).run()


def test_small_images_of_the_store_are_on_the_page(result: RunResult) -> None:
    """Each once, by digest; a large one is named, and so is one that is damaged."""
    [folder] = Path(result.location).parent.parent.glob("rows/contents")

    images = case_images(result.store, result.table("cases"))

    assert [data_url(png(255), "image/png")] == list(images.values())
    (folder / next(iter(images))).write_bytes(b"something else")
    assert {} == case_images(result.store, result.table("cases"))


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
def test_images_are_drawn_in_a_browser(result: RunResult, tmp_path: Path) -> None:
    """No request leaves the page, and what a case holds is text."""
    api = pytest.importorskip("playwright.sync_api")
    file = tmp_path / "report.html"
    file.write_text(report_html(result), encoding="utf-8")
    messages: list[str] = []
    requests: list[str] = []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(f"{file.as_uri()}#case-d/d-0000")
        page.locator("text=d-0000").first.click()
        page.wait_for_selector("img.medium")
        drawn = page.evaluate(
            "[...document.querySelectorAll('.turn img')].map((e) => [e.naturalWidth, e.alt])"
        )
        said = [item.inner_text() for item in page.locator(".turn pre").all()]
        title = page.title()
        browser.close()

    assert [] == messages
    fetched = [url for url in requests if not url.startswith(("file:", "data:"))]
    assert [] == fetched
    assert [[1, "[image 69 B image/png]"], [1, "[image image/png]"]] == drawn
    assert [
        HOSTILE,
        "[image https://x.test/far.png]",
        f"[file 15 B application/pdf {HOSTILE}]",
        "Say so.",
    ] == said[1:5]
    assert title != "run"
