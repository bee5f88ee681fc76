"""The bundled model writes and chooses what it always did, on any machine."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.golden_texts import (
    GOLDEN,
    GOLDEN_CHOICES,
    golden_choices,
    golden_texts,
)
from themis_lib.engine.tiny import TINY


def test_texts_are_those_on_record(empty_cache: Path) -> None:
    """Greedy, sampled and constrained: every text is the one on record."""
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == golden_texts()


def test_choices_are_rated_as_on_record() -> None:
    """To the bit, under each normalization."""
    assert json.loads(GOLDEN_CHOICES.read_text(encoding="utf-8")) == golden_choices()


def test_bundled_model_is_small() -> None:
    """The file that every installation carries is under 8 MB."""
    assert TINY.stat().st_size < 8_000_000
