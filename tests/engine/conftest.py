"""Tests of the engine use the bundled model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.models import use_bundled_model

#: These ask hubs that they run themselves, on loopback.
RUN_A_HUB = frozenset({"test_models.py"})


@pytest.fixture(autouse=True)
def environment(
    request: pytest.FixtureRequest, facts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundled model, no network, and nothing of the user's own cache."""
    use_bundled_model(facts, monkeypatch, offline=request.path.name not in RUN_A_HUB)
