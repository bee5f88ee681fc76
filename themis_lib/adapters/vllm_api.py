"""The generator `vllm`: a vLLM server, or any other server with an OpenAI-compatible
API.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from themis_lib.adapters.openai_api import OpenAI
from themis_lib.adapters.requests import ApiMode
from themis_lib.core.config import RuntimeConfig


@dataclass(frozen=True)
class VLLM(OpenAI):
    """A model on a server of one's own: vLLM, llama.cpp's server, Ollama, LM Studio,
    SGLang and the like.

    Everything is as in `openai`, but Chat Completions by default, address and key from
    `VLLM_BASE_URL` and `VLLM_API_KEY`, where the server wants one, and no throttle: the
    server queues and batches by itself, so that as many requests are in flight as the
    client has connections. Guided decoding goes through `extra_body`, such as
    `{"structured_outputs": {"choice": [...]}}`.
    """

    component_id: ClassVar[str] = "vllm"
    key_variable: ClassVar[str] = "VLLM_API_KEY"
    url_variable: ClassVar[str] = "VLLM_BASE_URL"
    default_url: ClassVar[str] = "http://localhost:8000/v1"
    key_is_needed: ClassVar[bool] = False

    api_mode: ApiMode = "chat_completions"

    def _default_concurrency(self, runtime: RuntimeConfig) -> int:
        """What the run says, and where it says nothing the SDK's own number of
        connections.
        """
        return (
            runtime.max_concurrency
            if "max_concurrency" in runtime.model_fields_set
            else _CONNECTIONS
        )


_CONNECTIONS = 1000
