"""The generator `vllm`: vLLM or any other server with an OpenAI-compatible API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from themis_lib.adapters.openai_model import OpenAIModel
from themis_lib.adapters.requests import ApiMode
from themis_lib.core.config import RuntimeConfig

#: The SDK's own default number of connections.
_CONNECTIONS = 1000


@dataclass(frozen=True)
class VLLM(OpenAIModel):
    """A model on your own server: vLLM, llama.cpp, Ollama, LM Studio, SGLang, ….

    It differs from `openai` in three defaults. It speaks Chat Completions. Address and
    key come from `VLLM_BASE_URL` and `VLLM_API_KEY`, where the server requires one. It
    has no throttle: the server queues and batches, so that as many requests are in
    flight as the client has connections. Guided decoding goes through `extra_body`,
    such as `{"structured_outputs": {"choice": [...]}}`.
    """

    component_id: ClassVar[str] = "vllm"
    key_variable: ClassVar[str] = "VLLM_API_KEY"
    url_variable: ClassVar[str] = "VLLM_BASE_URL"
    default_url: ClassVar[str] = "http://localhost:8000/v1"
    key_is_needed: ClassVar[bool] = False

    api_mode: ApiMode = "chat_completions"

    def _default_concurrency(self, runtime: RuntimeConfig) -> int:
        return own_server_concurrency(runtime)


def own_server_concurrency(runtime: RuntimeConfig) -> int:
    """Return how many requests a server of one's own gets at a time by default."""
    # The run's default is meant for a provider that charges and throttles: only a
    # number that somebody wrote bounds a server of one's own.
    if "max_concurrency" in runtime.model_fields_set:
        return runtime.max_concurrency
    return _CONNECTIONS
