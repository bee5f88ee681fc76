"""Tests of the text API use the bundled model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.models import use_bundled_model


@pytest.fixture(autouse=True)
def environment(facts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled model, no network, and nothing of the user's own cache."""
    use_bundled_model(facts, monkeypatch, offline=True)
