"""The local server answers its own pages and programs that know its password."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from flows.server import password_of

FLOW = json.dumps({"name": "asked for"})
FOREIGN = "http://elsewhere.example"


def ask(api_url: str, path: str = "/api/flows/", **request: Any) -> httpx.Response:
    """The answer to a request, which no proxy has seen."""
    request = {"method": "POST", "content": FLOW, **request}
    with httpx.Client(trust_env=False) as client:
        return client.request(url=httpx.URL(api_url).join(path), **request)


def login(api_url: str) -> httpx.BasicAuth:
    name, _, secret = str(password_of(api_url)).partition(":")
    return httpx.BasicAuth(name, secret)


@pytest.mark.parametrize("content_type", ["text/plain", "application/json"])
def test_request_without_the_password_is_refused(
    content_type: str, prefect_api: str
) -> None:
    """Also one that a browser sends for any page without asking first."""
    answer = ask(prefect_api, headers={"Content-Type": content_type})

    assert 401 == answer.status_code


def test_request_with_another_password_is_refused(prefect_api: str) -> None:
    """The name alone opens nothing."""
    answer = ask(prefect_api, auth=httpx.BasicAuth("themis", "guessed"))

    assert 401 == answer.status_code


@pytest.mark.parametrize("origin", [FOREIGN, "http://127.0.0.1:1", "null"])
def test_request_of_a_foreign_page_is_refused(origin: str, prefect_api: str) -> None:
    """Even with the password, which a browser may have kept for its user."""
    answer = ask(
        prefect_api,
        auth=login(prefect_api),
        headers={"Origin": origin, "Content-Type": "application/json"},
    )

    assert 403 == answer.status_code
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_foreign_page_may_not_ask_for_more(prefect_api: str) -> None:
    """A browser that asks first, for a page of another origin, is told no."""
    answer = ask(
        prefect_api,
        method="OPTIONS",
        headers={"Origin": FOREIGN, "Access-Control-Request-Method": "POST"},
    )

    assert answer.is_client_error
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["/api/flows/", "/deployments", "/api/health"])
def test_request_under_another_name_is_refused(path: str, prefect_api: str) -> None:
    """A page whose name has come to resolve to 127.0.0.1 gets nothing, pages
    included.
    """
    answer = ask(
        prefect_api,
        path,
        method="GET",
        auth=login(prefect_api),
        headers={"Host": "rebound.example:4200"},
    )

    assert 400 == answer.status_code


def test_own_page_is_answered(prefect_api: str) -> None:
    """With the password, under either of the server's names."""
    port = httpx.URL(prefect_api).port

    for name in ("127.0.0.1", "localhost"):
        own = {"Host": f"{name}:{port}", "Origin": f"http://{name}:{port}"}
        answer = ask(
            prefect_api,
            "/api/flows/filter",
            content="{}",
            auth=login(prefect_api),
            headers={**own, "Content-Type": "application/json"},
        )

        assert 200 == answer.status_code
        assert own["Origin"] == answer.headers["Access-Control-Allow-Origin"]


def test_pages_may_not_be_framed(prefect_api: str) -> None:
    """A click meant for another page does not start a run."""
    answer = ask(prefect_api, "/", method="GET")

    assert 200 == answer.status_code
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
