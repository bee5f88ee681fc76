"""Addresses of models on Azure: its v1 API, and the older one of deployments."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from themis_lib.adapters.requests import Api

_HOST = re.compile(
    r"\.(openai\.azure\.(com|us|cn)|cognitiveservices\.azure\.(com|us|cn)"
    r"|services\.ai\.azure\.com)$",
    re.IGNORECASE,
)
#: Versions of the v1 API; any other is a date, and of the older API.
_OF_V1 = ("v1", "latest", "preview")


def is_azure(url: str) -> bool:
    """Return whether an address is one of Azure's.

    >>> is_azure("https://team.openai.azure.com"), is_azure("https://api.openai.com/v1")
    (True, False)
    """
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return _HOST.search(host or "") is not None


def azure_url(
    endpoint: str,
    *,
    api_version: str | None,
    deployment: str,
    api: Api,
    default_version: str | None = None,
) -> str:
    """Return the address that the paths of an API are appended to.

    A path that the endpoint already has stays as it is, and so does its version; the
    default is for one that has none.

    >>> azure_url("https://t.openai.azure.com/", api_version=None, deployment="d", api="responses")
    'https://t.openai.azure.com/openai/v1'
    >>> azure_url("https://t.openai.azure.com", api_version="2024-10-21", deployment="d",
    ...           api="chat_completions")
    'https://t.openai.azure.com/openai/deployments/d?api-version=2024-10-21'
    """
    address, _, query = endpoint.partition("?")
    address = address.rstrip("/")
    path = urlsplit(address).path
    if path in ("", "/openai"):
        address = address.removesuffix("/openai")
        api_version = api_version or default_version
        if api_version is None or api_version in _OF_V1:
            address += "/openai/v1"
        elif api == "responses":
            address += "/openai"
        else:
            address += f"/openai/deployments/{quote(deployment, safe='')}"
    # "v1" is the v1 API's default, which needs no version.
    if api_version and api_version != "v1" and "api-version=" not in query:
        query = "&".join(filter(None, [query, f"api-version={api_version}"]))
    return f"{address}?{query}" if query else address
