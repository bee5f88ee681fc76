"""A reference to one immutable table."""

from __future__ import annotations

import json

from themis_lib.identity.part import Part


def test_reference_travels_as_json() -> None:
    """What is written is read back, counts and digests included."""
    part = Part(
        path="rows/parse/f/p.parquet",
        rows=3,
        columns={"value": "d"},
        skipped=1,
        computed=2,
        usage={"input_tokens": 5},
    )

    assert part == Part(**json.loads(json.dumps(part.to_json())))
