"""A server with OpenAI's API, and the form in which it takes requests."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from themis_lib.adapters import clients
from themis_lib.adapters.sdk_server import SdkServer
from themis_lib.adapters.server_forms import ServerForms, forms_of


class OpenAIServer(SdkServer):
    """A model that is asked through the SDK `openai`."""

    sdk: ClassVar[clients.Sdk] = clients.OPENAI
    client_example: ClassVar[str] = "openai.AsyncOpenAI()"

    @cached_property
    def _server_forms(self) -> ServerForms:
        # Nobody knows how long an injected client is the same.
        if self.client is not None:
            return ServerForms()
        return forms_of((self._api_endpoint.identity_url, self.model, self._api))
