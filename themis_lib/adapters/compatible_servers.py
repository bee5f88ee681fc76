"""Servers that speak OpenAI's API, by the names that people know them under."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar
from urllib.parse import urlsplit

from themis_lib.adapters.endpoint import Endpoint
from themis_lib.adapters.openai_model import OpenAIModel
from themis_lib.adapters.requests import ApiMode
from themis_lib.adapters.vllm_api import VLLM
from themis_lib.errors import ComponentError

_OLLAMA_PORT = 11434
#: Addresses that a server listens at, and where it is found there.
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


@dataclass(frozen=True)
class OpenRouter(OpenAIModel):
    """A model of OpenRouter's, which passes requests on to many providers.

    It is `openai` with other defaults: Chat Completions, the address
    `https://openrouter.ai/api/v1` or `OPENROUTER_BASE_URL`, and the key
    `OPENROUTER_API_KEY`. Routing goes through `extra_body`, such as `{"provider":
    {"order": ["deepinfra"], "allow_fallbacks": false}}`. What a reply says that it cost
    is among the row's artifacts, as `cost_usd`.
    """

    component_id: ClassVar[str] = "openrouter"
    key_variable: ClassVar[str] = "OPENROUTER_API_KEY"
    url_variable: ClassVar[str] = "OPENROUTER_BASE_URL"
    default_url: ClassVar[str] = "https://openrouter.ai/api/v1"
    key_is_needed: ClassVar[bool] = True

    api_mode: ApiMode = "chat_completions"

    @property
    def provider(self) -> str | None:
        """Whose list prices apply, if any do."""
        return "openrouter" if self.at_list_price else None

    @property
    def at_list_price(self) -> bool:
        """Whether OpenRouter itself is asked."""
        at_home = self._api_endpoint.public_url == self.default_url
        return self.client is None and at_home


@dataclass(frozen=True)
class Ollama(OpenAIModel):
    """A model on an Ollama server, `ollama serve`.

    It is `openai` with other defaults: Chat Completions, no key, and the address
    `http://localhost:11434/v1`, or that of the server at `OLLAMA_HOST`.
    """

    component_id: ClassVar[str] = "ollama"
    key_variable: ClassVar[str] = "OLLAMA_API_KEY"
    url_variable: ClassVar[str] = "OLLAMA_HOST"
    default_url: ClassVar[str] = f"http://localhost:{_OLLAMA_PORT}/v1"
    key_is_needed: ClassVar[bool] = False

    api_mode: ApiMode = "chat_completions"

    @cached_property
    def _api_endpoint(self) -> Endpoint:
        return replace(
            super()._api_endpoint,
            read_url=ollama_url,
            start="ollama serve",
        )


@dataclass(frozen=True)
class LMStudio(OpenAIModel):
    """A model that LM Studio serves, `lms server start`.

    It is `openai` with other defaults: Chat Completions, no key, and the address
    `http://localhost:1234/v1` or `LMSTUDIO_BASE_URL`.
    """

    component_id: ClassVar[str] = "lmstudio"
    key_variable: ClassVar[str] = "LMSTUDIO_API_KEY"
    url_variable: ClassVar[str] = "LMSTUDIO_BASE_URL"
    default_url: ClassVar[str] = "http://localhost:1234/v1"
    key_is_needed: ClassVar[bool] = False

    api_mode: ApiMode = "chat_completions"

    @cached_property
    def _api_endpoint(self) -> Endpoint:
        return replace(super()._api_endpoint, start="lms server start")


@dataclass(frozen=True)
class SGLang(VLLM):
    """A model on an SGLang server, `python -m sglang.launch_server`.

    It is `vllm` with other defaults: the address `http://localhost:30000/v1` or
    `SGLANG_BASE_URL`, and the key `SGLANG_API_KEY`, where the server requires one.
    """

    component_id: ClassVar[str] = "sglang"
    key_variable: ClassVar[str] = "SGLANG_API_KEY"
    url_variable: ClassVar[str] = "SGLANG_BASE_URL"
    default_url: ClassVar[str] = "http://localhost:30000/v1"

    @cached_property
    def _api_endpoint(self) -> Endpoint:
        return replace(
            super()._api_endpoint,
            start="python -m sglang.launch_server --model-path …",
        )


def ollama_url(host: str) -> str:
    """Return the address of the API of a server at what `OLLAMA_HOST` says.

    Raise `ComponentError` if that is no address.

    >>> ollama_url("0.0.0.0"), ollama_url("https://gpu.example")
    ('http://127.0.0.1:11434/v1', 'https://gpu.example:443/v1')
    """
    has_scheme = "://" in host
    try:
        parts = urlsplit(host if has_scheme else f"http://{host}")
        given_port = parts.port
    except ValueError as error:
        raise ComponentError(f"the environment variable OLLAMA_HOST: {error}") from None
    name = parts.hostname or "127.0.0.1"
    name = _ANYWHERE.get(name, f"[{name}]" if ":" in name else name)
    default = _OLLAMA_PORT
    if has_scheme:
        default = 443 if parts.scheme == "https" else 80
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{parts.scheme}://{name}:{given_port or default}{path}/v1"
