"""Attributes of a model call, named by OpenTelemetry's conventions for generative AI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from themis_lib.core.models import GenerationResult, TokenUsage

Attributes = dict[str, Any]

#: Numbers of a request, by what the providers' APIs call them.
_NUMBERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
}
#: What the calls of a component are, where they are no chat.
_OPERATIONS = {
    "langgraph": "invoke_agent",
    "llama_choice": "text_completion",
    "vllm_choice": "text_completion",
}
#: The conventions' names of providers, by the end of a host or by a name of our own.
_PROVIDERS = {
    "openai.azure.com": "azure.ai.openai",
    "api.groq.com": "groq",
    "api.deepseek.com": "deepseek",
    "api.mistral.ai": "mistral_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
    "llama": "llama_cpp",
    "llama_choice": "llama_cpp",
    "vllm_choice": "vllm",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertexai": "gcp.vertex_ai",
    "xai": "x_ai",
}
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Callee:
    """What is called: a generator, its model and its settings, none of them secret.

    `is_local` says that the model computes in this process.
    """

    component_id: str
    model: str | None
    settings: Mapping[str, Any]
    is_local: bool

    @property
    def span_name(self) -> str:
        """The operation and the model, or the component where no model is known."""
        return f"{self._operation} {self.model or self.component_id}"

    @cached_property
    def metric_attributes(self) -> Attributes:
        """The attributes that metrics have too: few values each."""
        found: Attributes = {
            "gen_ai.operation.name": self._operation,
            "gen_ai.provider.name": self._provider,
        }
        if self.model is not None:
            found["gen_ai.request.model"] = self.model
        host, port = self._server
        if host:
            found["server.address"] = host
        if port:
            found["server.port"] = port
        return found

    @cached_property
    def attributes(self) -> Attributes:
        """The attributes that all calls share."""
        found = dict(self.metric_attributes)
        # The name before 2025, which some backends still look for.
        found["gen_ai.system"] = self._provider
        found |= request_attributes(self.settings)
        stop = self.settings.get("stop")
        if stop:
            found["gen_ai.request.stop_sequences"] = list(stop)
        return found

    @property
    def _operation(self) -> str:
        return _OPERATIONS.get(self.component_id, "chat")

    @cached_property
    def _provider(self) -> str:
        host, _ = self._server
        for end, name in _PROVIDERS.items():
            if "." in end and host and host.endswith(end):
                return name
        component_id = self.component_id
        # A model as `provider:model`, of a generator for many providers.
        if component_id == "any" and self.model and ":" in self.model:
            component_id = self.model.partition(":")[0]
        return _PROVIDERS.get(component_id, component_id)

    @cached_property
    def _server(self) -> tuple[str | None, int | None]:
        url = self.settings.get("base_url")
        if not isinstance(url, str):
            return None, None
        parts = urlsplit(url)
        # References to the environment are kept: such a host is none.
        if not parts.hostname or "$" in parts.netloc:
            return None, None
        return parts.hostname, parts.port or _PORTS.get(parts.scheme)


def request_attributes(fields: Mapping[str, Any]) -> Attributes:
    """Return the attributes of the numbers that a request or its settings contain.

    >>> request_attributes({"temperature": 0.5, "seed": None, "messages": []})
    {'gen_ai.request.temperature': 0.5}
    """
    found = {}
    for name, attribute in _NUMBERS.items():
        value = fields.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            # Backends take a whole number for another type than a fraction.
            is_count = name in ("seed", "top_k") or "tokens" in name
            found[attribute] = value if is_count else float(value)
    return found


def result_attributes(result: GenerationResult) -> Attributes:
    """Return the attributes of a reply: its model, id, ending and tokens."""
    found = {
        "gen_ai.response.model": (result.artifacts or {}).get("model"),
        "gen_ai.response.id": (result.transport or {}).get("response_id"),
    }
    if result.finish_reason is not None:
        found["gen_ai.response.finish_reasons"] = [result.finish_reason]
    found |= usage_attributes(result.usage)
    return {name: value for name, value in found.items() if value is not None}


def usage_attributes(usage: TokenUsage | None) -> Attributes:
    """Return the attributes of the tokens that a provider has counted."""
    if usage is None:
        return {}
    counts = usage.model_dump()
    found = {}
    for name, attribute in _USAGE.items():
        if counts.get(name) is not None:
            found[attribute] = counts[name]
    return found


#: By the field of `TokenUsage`.
_USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}
