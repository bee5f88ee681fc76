"""A reference to one immutable table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Part:
    """A reference to one immutable table: its path, rows and columns.

    `columns` maps each column to the digest of its content, so that the next stage can
    be named without reading the data. `skipped` counts the rows without a key: an
    earlier stage left them nothing to read. `computed`, `cached` and `failed` count the
    rows of the call that returned this reference; `usage` is the tokens of the computed
    ones, `usage_by_batch` of those among them that came by batch, and `in_tiers` of long
    requests, by tier of their price. `steps` counts the calls that the rows were made
    of, where these are rows too.
    """

    path: str
    rows: int
    columns: Mapping[str, str] = field(default_factory=dict)
    skipped: int = 0
    computed: int = 0
    cached: int = 0
    failed: int = 0
    usage: Mapping[str, int | None] | None = None
    usage_by_batch: Mapping[str, int | None] | None = None
    in_tiers: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, Any]] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the reference as JSON, to pass between tasks."""
        return asdict(self)
