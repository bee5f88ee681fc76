"""A real browser for the pages."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
#: Opens a page in a new window, acts on it, and returns what the act returned.
Visit = Callable[..., Any]


@pytest.fixture
def visit(browser_thread: tuple[ThreadPoolExecutor, Any], tmp_path: Path) -> Visit:
    """Visit a page as a file, offline. Fails on anything in the console, and on any
    request but the page itself.
    """
    thread, browser = browser_thread

    def visit_page(
        html: str, act: Callable[[Any], T], *, complaints: int = 0, **context: Any
    ) -> T:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        return thread.submit(_visit, browser, path, act, complaints, context).result()

    return visit_page


def _visit(
    browser: Any,
    path: Path,
    act: Callable[[Any], T],
    complaints: int,
    context: dict[str, Any],
) -> T:
    window = browser.new_context(offline=True, **context)
    try:
        page = window.new_page()
        page.set_default_timeout(10_000)
        said: list[str] = []
        asked: list[str] = []
        page.on(
            "console", lambda message: said.append(f"{message.type}: {message.text}")
        )
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("[role=option], .empty, #scores, #labelling, #asked")
        result = act(page)
        assert complaints == len(said), said
        assert {path.as_uri()} == {url for url in asked if not url.startswith("data:")}
        return result
    finally:
        window.close()


def names(page: Any, roles: set[str]) -> list[tuple[str, str]]:
    """Role and name of every node of the accessibility tree that has one of these
    roles.
    """
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    return [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in roles
    ]


CONTROLS = {
    "button",
    "link",
    "textbox",
    "searchbox",
    "combobox",
    "listbox",
    "option",
    "DisclosureTriangle",
    "region",
}
