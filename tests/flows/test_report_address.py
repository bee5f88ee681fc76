"""The local server shows the reports whose addresses it has signed, and no other file."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.report_address import REPORTS, report_address, report_signature
from flows.server import password_of
from tests.support.reported_runs import echo_run
from themis_lib.report.html import report_html


def address_of(page: Path, api_url: str) -> str:
    with temporary_settings({PREFECT_API_URL: api_url}):
        address = report_address(str(page))
    assert address is not None
    return address


def get(address: str) -> httpx.Response:
    return httpx.get(address, trust_env=False)


def test_report_is_shown_without_a_password(prefect_api: str, tmp_path: Path) -> None:
    """Its address is enough, and its scripts are kept from the server."""
    page = tmp_path / "a page & more.html"
    page.write_text("<p>scores</p>")

    answer = get(address_of(page, prefect_api))

    assert (200, "<p>scores</p>") == (answer.status_code, answer.text)
    policies = answer.headers.get_list("Content-Security-Policy")
    assert "sandbox allow-scripts" in policies
    assert [policy for policy in policies if "frame-ancestors 'none'" in policy]


@pytest.mark.parametrize("signature", ["", "0" * 64, "ü", None])
def test_other_files_are_refused(
    signature: str | None, prefect_api: str, tmp_path: Path
) -> None:
    """Without a signature, with a made-up one, and with that of another file."""
    page, other = tmp_path / "report.html", tmp_path / "secret.txt"
    for file in (page, other):
        file.write_text("text")
    if signature is None:
        query = parse_qs(urlsplit(address_of(page, prefect_api)).query)
        [signature] = query["signature"]
    origin = prefect_api.removesuffix("/api")
    query = urlencode({"page": str(other), "signature": signature})

    assert 403 == get(f"{origin}{REPORTS}?{query}").status_code
    assert 403 == get(f"{origin}{REPORTS}").status_code


def test_report_that_is_gone_says_so(prefect_api: str, tmp_path: Path) -> None:
    """By its name."""
    answer = get(address_of(tmp_path / "gone.html", prefect_api))

    assert 404 == answer.status_code
    assert "gone.html cannot be read: No such file" in answer.text


@pytest.mark.parametrize(
    ("page", "api_url"),
    [
        ("/a/report.html", "http://prefect.example/api"),
        ("/a/report.html", None),
        ("s3://bucket/report.html", "own"),
        ("memory://report.html", "own"),
    ],
)
def test_no_address(page: str, api_url: str | None, prefect_api: str) -> None:
    """Of a report that no local server can show: another server's, or no local file."""
    api = prefect_api if api_url == "own" else api_url
    with temporary_settings({PREFECT_API_URL: api}):
        assert report_address(page) is None


def test_signature_depends_on_the_password(prefect_api: str) -> None:
    """Another server's address opens nothing here."""
    own = report_signature("/a", str(password_of(prefect_api)))

    assert own != report_signature("/a", "another")


@pytest.mark.slow
def test_report_works_in_a_browser(
    browser_thread: tuple[Any, Any], prefect_api: str, tmp_path: Path
) -> None:
    """Its cases are there, and the address names the one that is selected."""
    page_file = tmp_path / "report.html"
    page_file.write_text(report_html(echo_run()), encoding="utf-8")
    address = address_of(page_file, prefect_api)
    thread, browser = browser_thread

    def visit() -> tuple[str, str, list[str]]:
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        page.locator("#list [role=option]").nth(2).click()
        return page.locator("article h3").inner_text(), page.url, complaints

    heading, url, complaints = thread.submit(visit).result()

    assert "case-002 questions" == heading
    assert url.endswith("#browser?case=case-002&of=questions")
    assert [] == complaints
