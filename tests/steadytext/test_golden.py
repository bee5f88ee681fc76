"""The bundled model writes what it always wrote, on any machine."""

from __future__ import annotations

import json
from pathlib import Path

from tests.steadytext.golden import GOLDEN, golden_texts
from themis_lib.steadytext.tiny import TINY


def test_texts_are_those_on_record(empty_cache: Path) -> None:
    """Greedy, sampled and constrained: every text is the one on record."""
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == golden_texts()


def test_bundled_model_is_small() -> None:
    """The file that every installation carries is under 8 MB."""
    assert TINY.stat().st_size < 8_000_000
