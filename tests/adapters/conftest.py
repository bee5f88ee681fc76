"""Generators under test keep what they find out in a folder of their own."""

from __future__ import annotations

import importlib
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.anthropic_server import AnthropicServer
from tests.support.counting import CALLS
from tests.support.provider_server import ProviderServer


@pytest.fixture(scope="session")
def facts_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where this session keeps what it found out about builds and models."""
    return str(tmp_path_factory.mktemp("facts"))


@pytest.fixture(autouse=True)
def environment(facts_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and nothing of the user's own cache."""
    monkeypatch.setenv("THEMIS_CACHE_DIR", facts_folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderServer]:
    """A provider that answers well until a test gives it a script; the environment has
    a key for it.
    """
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    for variable in ("OPENAI_BASE_URL", "VLLM_API_KEY", "VLLM_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    with ProviderServer() as server:
        yield server


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a port of loopback where nobody listens."""

    def find() -> int:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            return int(found.getsockname()[1])

    return find


@pytest.fixture(autouse=True)
def no_calls() -> None:
    """Every test counts the calls of components from zero."""
    CALLS.clear()


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes a source text as the module `edited_graph`, imported anew, and returns the
    name of its graph.
    """
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load_source(source: str) -> str:
        (tmp_path / "edited_graph.py").write_text(source)
        sys.modules.pop("edited_graph", None)
        importlib.invalidate_caches()
        return "edited_graph:graph"

    return load_source


@pytest.fixture
def anthropic_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnthropicServer]:
    """A provider with Anthropic's API; the environment has a key for it."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-from-the-environment")
    for variable in ("BASE_URL", "AUTH_TOKEN", "CUSTOM_HEADERS"):
        monkeypatch.delenv(f"ANTHROPIC_{variable}", raising=False)
    with AnthropicServer() as server:
        yield server
