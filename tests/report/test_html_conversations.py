"""Conversations on the page of a run: turns to read, calls to unfold, and only text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.report.conftest import Visit
from tests.support.talking import run, talk
from themis_lib.report.html import report_html


def test_conversation_is_shown_as_turns(visit: Visit, tmp_path: Path) -> None:
    """Its turns are open, calls of tools and what they returned are folded, and what was
    said is text, whatever it says.
    """
    call = json.dumps([{"name": "add", "arguments": {"a": 2}}])
    hostile = "<img src=x onerror=alert(1)>"
    result = run(
        talk(
            tmp_path,
            [{"turns": [hostile, f"call {call}"]}],
            conversation={"tools": ["tests.support.talking:add"]},
            prompt_spec={"instructions": "Be kind."},
        )
    )

    def read(page: Any) -> tuple[list[str], list[str], list[str], int]:
        prompt = page.query_selector(".part:has(> .turn)")
        talked = page.query_selector(".sample details.more[open]")
        turns = talked.query_selector_all(".turn")
        return (
            [turn.query_selector(".role").inner_text() for turn in turns],
            [turn.query_selector("pre").inner_text() for turn in turns[:3]],
            [
                item.inner_text()
                for item in talked.query_selector_all("details:not([open]) > summary")
            ],
            len(page.query_selector_all("img[src=x]"))
            + len(prompt.query_selector_all(".turn")),
        )

    roles, said, folded, prompts = visit(report_html(result), read)

    assert [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "tool",
        "assistant",
    ] == [role.lower() for role in roles]
    assert ["Be kind.", hostile, hostile] == said
    assert ["Calls add", "Returned"] == folded
    # The system message and both turns of the script; no picture.
    assert 3 == prompts
