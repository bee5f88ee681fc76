"""Where tests of local models keep what is found out about builds and models, and which
model they use.
"""

from __future__ import annotations

from pathlib import Path

import pytest


def use_bundled_model(
    facts: Path, monkeypatch: pytest.MonkeyPatch, *, offline: bool
) -> None:
    """The bundled model, no network, and nothing of the user's own cache, ."""
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(facts.parent))
    monkeypatch.setenv("THEMIS_MODEL", "tiny")
    if offline:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("THEMIS_CACHE", "THEMIS_CACHE_SIZE_MB"):
        monkeypatch.delenv(name, raising=False)
