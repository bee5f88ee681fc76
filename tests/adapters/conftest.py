"""Generators under test keep what they find out in a folder of their own."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def facts_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where this session keeps what it found out about builds and models."""
    return str(tmp_path_factory.mktemp("facts"))


@pytest.fixture(autouse=True)
def environment(facts_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and nothing of the user's own cache."""
    monkeypatch.setenv("THEMIS_CACHE_DIR", facts_folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
