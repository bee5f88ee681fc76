"""Where the tests of this folder keep what is found out about builds and models, and which model they use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

#: These ask hubs that they run themselves, on loopback.
RUN_A_HUB = frozenset({"test_models.py"})


@pytest.fixture(scope="session")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of facts of this session, so that the build is probed and the model is checked once."""
    folder = tmp_path_factory.mktemp("steadytext") / "facts"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def environment(request: pytest.FixtureRequest, facts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled model, no network, and nothing of the user's own cache, unless a test says otherwise."""
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(facts.parent))
    monkeypatch.setenv("THEMIS_MODEL", "tiny")
    if request.path.name not in RUN_A_HUB:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("THEMIS_CACHE", "THEMIS_CACHE_SIZE_MB"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def empty_cache(
    environment: None, facts: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The folder of an empty generation cache for one test, beside the facts of the session."""
    from themis_lib.steadytext.cache import text_cache

    folder = tmp_path_factory.mktemp("cache")
    (folder / "facts").symlink_to(facts, target_is_directory=True)
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(folder))
    yield folder / "generations"
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(folder))  # the test may have changed it
    monkeypatch.delenv("THEMIS_CACHE", raising=False)
    text_cache().close()
