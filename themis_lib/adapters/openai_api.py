"""The generator `openai`: OpenAI's Responses and Chat Completions APIs, also on Azure.

Every server that speaks either of them can be used.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from themis_lib.adapters.azure import azure_url, is_azure
from themis_lib.adapters.endpoint import OPENAI_URL, Endpoint, refuse_literals
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.openai_model import OpenAIModel
from themis_lib.core.batches import BatchApi
from themis_lib.core.secrets import resolve_public
from themis_lib.errors import ComponentError

_AZURE_KEY = "AZURE_OPENAI_API_KEY"


@dataclass(frozen=True)
class OpenAI(OpenAIModel):
    """A model behind OpenAI's API.

    `api_mode` chooses between `responses` and `chat_completions`. Instructions come
    from `instructions` or from the prompt spec, and are sent once. An input that is a
    text is sent as it is, a list of messages as a conversation, any other JSON as its
    text. `input_builder(case, ctx)`, a function or `module:function`, makes text or
    messages of the input instead, and may read more of the case with `reads`. `schema`
    (JSON Schema, pydantic model or Python type) asks for JSON that fits and checks it:
    the output is then its value. Only Chat Completions have `stop` and seeds.

    With `azure_endpoint`, or a `base_url` of Azure's, `model` is the name of a
    deployment, and the key comes from `AZURE_OPENAI_API_KEY`. Azure's v1 API is asked,
    or with a dated `api_version` (default: `OPENAI_API_VERSION`) the older one of
    deployments. For tokens of Entra inject an `openai.AsyncAzureOpenAI`.

    Not part of the identity: `client` (an SDK client of your own), `api_key` (default:
    `OPENAI_API_KEY`), `headers`, `timeout_s` per request, `max_retries` of the SDK,
    `max_concurrency` requests in flight, `requests_per_minute` and `tokens_per_minute`,
    and `global_limit`, a Prefect concurrency limit that each shard takes.
    """

    component_id: ClassVar[str] = "openai"
    resolves: ClassVar[tuple[str, ...]] = (*OpenAIModel.resolves, "azure_endpoint")
    key_variable: ClassVar[str] = "OPENAI_API_KEY"
    url_variable: ClassVar[str] = "OPENAI_BASE_URL"
    default_url: ClassVar[str] = OPENAI_URL
    key_is_needed: ClassVar[bool] = True
    has_batches: ClassVar[bool] = True

    azure_endpoint: str | None = None
    api_version: str | None = None

    def check_settings(self) -> None:
        """Raise `ComponentError` if a setting cannot be used or contradicts another."""
        super().check_settings()
        refuse_literals(self.azure_endpoint or "")
        if self.azure_endpoint and self.base_url:
            raise ComponentError(
                "azure_endpoint and base_url both say where the model is; give one"
            )
        if self.api_version and not self._asks_azure and self.client is None:
            raise ComponentError(
                f"api_version={self.api_version!r} is of Azure's API; give its "
                "azure_endpoint, such as 'https://NAME.openai.azure.com'"
            )

    def settings(self) -> JsonObject:
        """Return what decides the answers, without secrets."""
        settings = super().settings()
        # Not in experiments without Azure, whose rows were stored before.
        if self.api_version is not None:
            settings["api_version"] = self.api_version
        return settings

    @property
    def batch_api(self) -> BatchApi | None:
        """The Batch API of the same account; Azure's is another, which is not used."""
        return None if self._asks_azure else super().batch_api

    @property
    def _asks_azure(self) -> bool:
        return self.azure_endpoint is not None or is_azure(self.base_url or "")

    @cached_property
    def _api_endpoint(self) -> Endpoint:
        endpoint = super()._api_endpoint
        if not self._asks_azure:
            return endpoint
        given = self.azure_endpoint or self.base_url or ""
        url = azure_url(
            resolve_public(given, where="azure_endpoint"),
            api_version=self.api_version,
            default_version=os.environ.get("OPENAI_API_VERSION"),
            deployment=self.model,
            api=self._api,
        )
        # Older configurations have Azure's key under OpenAI's name.
        variable = _AZURE_KEY
        if _AZURE_KEY not in os.environ and self.key_variable in os.environ:
            variable = self.key_variable
        key = self.api_key or f"${{{variable}}}"
        azure = replace(
            endpoint,
            base_url=url,
            # Azure's name for a key that is no token.
            headers={"api-key": key, **self.headers},
            key_variable=variable,
            url_variable="AZURE_OPENAI_ENDPOINT",
        )
        # At its only address a missing key is told before a missing header.
        return replace(azure, default_url=azure.public_url)
