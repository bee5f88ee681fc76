"""Cases that go through the stages together."""

from __future__ import annotations

import json

import pytest

from themis_lib.identity.part import Part
from themis_lib.storage.shard import Shard

CASES = Part(path="cases", rows=3)
FULL = Shard(
    index=2,
    start=6,
    dataset_id="d",
    cases=CASES,
    outputs=Part(path="outputs", rows=6),
    answers=Part(path="answers", rows=6),
    verdicts={"judge[m]": Part(path="verdicts", rows=6)},
    scores={"m": Part(path="scores", rows=6)},
    results=Part(path="results", rows=3),
    has_lists=True,
    has_parts=True,
)


@pytest.mark.parametrize(
    "shard", [FULL, Shard(index=0, start=0, dataset_id="d", cases=CASES)]
)
def test_shard_travels_as_json(shard: Shard) -> None:
    """With the tables that it has so far, and without those that it lacks."""
    assert shard == Shard.from_json(json.loads(json.dumps(shard.to_json())))


def test_label_counts_cases() -> None:
    """As people count them: from the first to the last."""
    assert "d 6-8" == FULL.label
