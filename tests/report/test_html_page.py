"""Pages in one file, and how they write numbers."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from jinja2 import UndefinedError

from tests.support.compared_runs import run_of, scored
from themis_lib import InMemoryRunStore
from themis_lib.report.history import past_runs
from themis_lib.report.history_page import history_html
from themis_lib.report.html_page import indented, moment, render_page, thousands


def page_of(name: str) -> str:
    store = InMemoryRunStore()
    run_of(store, scored([1, 0]), name=name)
    return history_html(past_runs(store))


def test_a_policy_names_the_digest_of_the_style() -> None:
    """Only this style may be used: the policy has its digest and allows nothing
    else.
    """
    page = page_of("n")

    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page


def test_names_are_escaped() -> None:
    """What reaches a template as text is never HTML."""
    page = page_of("<img src=x>")

    assert "<img src=x>" not in page
    assert "&lt;img src=x&gt;" in page


def test_a_missing_value_is_an_error() -> None:
    """A template that names what is not given makes no page with a hole in it."""
    with pytest.raises(UndefinedError):
        render_page("history.html.jinja", scripts=(), data="")


def test_values_are_written_for_readers() -> None:
    """Counts have separators, times a date, and JSON its keys in order."""
    assert ("1,234", "—") == (thousands(1234), thousands(None))
    assert "—" == moment(None)
    assert '{\n  "a": 2,\n  "b": 1\n}' == indented({"b": 1, "a": 2})
