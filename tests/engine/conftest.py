"""Tests of the engine use the bundled model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.generated import write_model
from tests.support.models import use_bundled_model

#: These ask hubs that they run themselves, on loopback.
RUN_A_HUB = frozenset({"test_hub.py"})


@pytest.fixture(autouse=True)
def environment(
    request: pytest.FixtureRequest,
    facts: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bundled model, no network, and nothing of the user's own cache."""
    use_bundled_model(facts, monkeypatch, offline=request.path.name not in RUN_A_HUB)


@pytest.fixture
def own_cache(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A new folder for everything that is remembered, and no choice of a model."""
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.delenv("THEMIS_MODEL", raising=False)
    return tmp_path / "kept"


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, decoded at least two at a time, idle slots included.

    What is left in a slot matters most there.
    """
    return write_model(tmp_path_factory.mktemp("model") / "F16.gguf", extra_tokens=2000)
