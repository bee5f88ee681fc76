"""Tests of the text API use the bundled model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.models import use_bundled_model
from tests.support.provider_server import ProviderServer


@pytest.fixture(autouse=True)
def environment(facts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled model, no network, and nothing of the user's own cache."""
    use_bundled_model(facts, monkeypatch, offline=True)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ProviderServer]:
    """A provider that the environment points at, and a cache of one's own."""
    with ProviderServer() as running:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("VLLM_BASE_URL", running.url)
        monkeypatch.delenv("VLLM_API_KEY", raising=False)
        monkeypatch.setenv("THEMIS_CACHE_DIR", str(tmp_path))
        yield running
