"""The environment of tests of local models: their cache and their default model."""

from __future__ import annotations

from pathlib import Path

import pytest


def use_bundled_model(
    facts: Path, monkeypatch: pytest.MonkeyPatch, *, offline: bool
) -> None:
    """Set the bundled model and a cache of the tests; `offline` forbids the network."""
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(facts.parent))
    monkeypatch.setenv("THEMIS_MODEL", "tiny")
    if offline:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("THEMIS_CACHE", "THEMIS_CACHE_SIZE_MB"):
        monkeypatch.delenv(name, raising=False)
