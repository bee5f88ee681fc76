"""Cases that go through the stages together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from themis_lib.identity.part import Part


@dataclass(frozen=True)
class Shard:
    """A run of cases and the tables computed for them so far; what passes from stage to
    stage.
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

    @property
    def label(self) -> str:
        """The cases of the shard, as people count them."""
        return f"{self.dataset_id} {self.start}-{self.start + self.cases.rows - 1}"

    def to_json(self) -> dict[str, Any]:
        """The shard as JSON references."""
        parts = {
            name: getattr(self, name)
            for name in ("cases", "outputs", "answers", "results")
        }
        return {
            "index": self.index,
            "start": self.start,
            "dataset_id": self.dataset_id,
            **{name: part.to_json() if part else None for name, part in parts.items()},
            "verdicts": {
                label: part.to_json() for label, part in self.verdicts.items()
            },
            "scores": {
                metric_id: part.to_json() for metric_id, part in self.scores.items()
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Shard:
        """The shard that `to_json` wrote."""

        def part(name: str) -> Part | None:
            return Part(**value[name]) if value[name] else None

        return cls(
            index=value["index"],
            start=value["start"],
            dataset_id=value["dataset_id"],
            cases=Part(**value["cases"]),
            outputs=part("outputs"),
            answers=part("answers"),
            verdicts={label: Part(**item) for label, item in value["verdicts"].items()},
            scores={
                metric_id: Part(**item) for metric_id, item in value["scores"].items()
            },
            results=part("results"),
        )
