"""Shards: cases that go through the stages together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from themis_lib.identity.part import Part


@dataclass(frozen=True)
class Shard:
    """Consecutive cases and the tables computed for them so far.

    Passed from stage to stage. `start` is the position of the first case in its
    dataset, `index` that of the shard among all shards of the run. `content` is the
    digest of the cases, `None` in a record of an earlier version. Without `has_lists`, no
    input of the cases is a list, such as a conversation, and without `has_parts` none has
    content parts.
    """

    index: int
    start: int
    dataset_id: str
    cases: Part
    outputs: Part | None = None
    answers: Part | None = None
    verdicts: Mapping[str, Part] = field(default_factory=dict)
    scores: Mapping[str, Part] = field(default_factory=dict)
    results: Part | None = None
    content: str | None = None
    has_lists: bool = False
    has_parts: bool = False

    @property
    def label(self) -> str:
        """The dataset and the positions of the first and the last case."""
        last = self.start + self.cases.rows - 1
        return f"{self.dataset_id} {self.start}-{last}"

    def to_json(self) -> dict[str, Any]:
        """Return the shard as JSON references."""
        return {
            "index": self.index,
            "start": self.start,
            "dataset_id": self.dataset_id,
            "cases": self.cases.to_json(),
            "outputs": _to_json_or_null(self.outputs),
            "answers": _to_json_or_null(self.answers),
            "results": _to_json_or_null(self.results),
            "verdicts": _all_to_json(self.verdicts),
            "scores": _all_to_json(self.scores),
            "content": self.content,
            "has_lists": self.has_lists,
            "has_parts": self.has_parts,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Shard:
        """Return the shard that `to_json` wrote."""
        return cls(
            index=value["index"],
            start=value["start"],
            dataset_id=value["dataset_id"],
            cases=Part(**value["cases"]),
            outputs=_part_or_none(value["outputs"]),
            answers=_part_or_none(value["answers"]),
            verdicts=_all_parts(value["verdicts"]),
            scores=_all_parts(value["scores"]),
            results=_part_or_none(value["results"]),
            content=value.get("content"),
            has_lists=value.get("has_lists", False),
            has_parts=value.get("has_parts", False),
        )


_Json = dict[str, Any]


def _to_json_or_null(part: Part | None) -> _Json | None:
    return None if part is None else part.to_json()


def _part_or_none(value: _Json | None) -> Part | None:
    return None if value is None else Part(**value)


def _all_to_json(parts: Mapping[str, Part]) -> _Json:
    return {name: part.to_json() for name, part in parts.items()}


def _all_parts(values: Mapping[str, _Json]) -> dict[str, Part]:
    return {name: Part(**value) for name, value in values.items()}
