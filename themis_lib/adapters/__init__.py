"""Generators that run a model: one SDK each, imported only when it is used."""

from themis_lib.adapters.anthropic_api import Anthropic as anthropic  # noqa: N813
from themis_lib.adapters.any_api import AnyModel as any  # noqa: A004, N813
from themis_lib.adapters.compatible_servers import LMStudio as lmstudio  # noqa: N813
from themis_lib.adapters.compatible_servers import Ollama as ollama  # noqa: N813
from themis_lib.adapters.compatible_servers import OpenRouter as openrouter  # noqa: N813
from themis_lib.adapters.compatible_servers import SGLang as sglang  # noqa: N813
from themis_lib.adapters.langgraph_graph import LangGraph as langgraph  # noqa: N813
from themis_lib.adapters.llama_choice import LlamaChoice as llama_choice  # noqa: N813
from themis_lib.adapters.llama_cpp import Llama as llama  # noqa: N813
from themis_lib.adapters.openai_api import OpenAI as openai  # noqa: N813
from themis_lib.adapters.vllm_api import VLLM as vllm  # noqa: N811
from themis_lib.adapters.vllm_choice import VLLMChoice as vllm_choice  # noqa: N813

__all__ = [
    "anthropic",
    "any",
    "langgraph",
    "llama",
    "llama_choice",
    "lmstudio",
    "ollama",
    "openai",
    "openrouter",
    "sglang",
    "vllm",
    "vllm_choice",
]
