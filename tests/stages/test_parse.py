"""The parse stage: the first parser that finds an answer."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib import Experiment, ParsedOutput, RuntimeConfig
from themis_lib.components.build import build
from themis_lib.stages.parse import ParseStage


class Reading:
    """Returns what it is told, and reads what it is told."""

    version = "1"

    def __init__(
        self, name: str, parsed: Any, reads: tuple[str, ...] = ("output",)
    ) -> None:
        self.component_id = name
        self.parsed = parsed
        self.reads = reads
        self.calls = 0

    def fingerprint(self) -> str:
        return ""

    def parse(self, result: Any, ctx: Any) -> Any:
        self.calls += 1
        return self.parsed


class AsyncReading(Reading):
    async def parse(self, result: Any, ctx: Any) -> Any:  # type: ignore[override]
        return super().parse(result, ctx)


NOTHING = ParsedOutput(error="nothing here")
FOUND = ParsedOutput(value="x", format="f")


def answer(*parsers: Any) -> dict[str, Any]:
    spec = {
        "generation": {"generator": "builtin/demo_generator"},
        "evaluation": {"parsers": list(parsers)},
        "datasets": [{"dataset_id": "d", "cases": [{"case_id": "c", "input": "1"}]}],
    }
    result = Experiment.model_validate(spec).run(until_stage="parse")
    (row,) = result.table("answers", columns=["value", "format", "error"]).to_pylist()
    return dict(row)


@pytest.mark.parametrize("kind", [Reading, AsyncReading])
def test_parsers_are_tried_until_one_finds_an_answer(kind: type) -> None:
    """Those behind it are not asked."""
    parsers = [kind("a", NOTHING), kind("b", FOUND), kind("c", FOUND)]

    assert {"value": '"x"', "format": "f", "error": None} == answer(*parsers)
    assert [1, 1, 0] == [parser.calls for parser in parsers]


@pytest.mark.parametrize(
    ("parsed", "expected"),
    [
        (NOTHING, "nothing here"),
        (ParsedOutput(), "no answer in the output"),
        ("x", "the parser returned str, not a ParsedOutput"),
        (ParsedOutput(value=float("inf")), "the parser's value cannot be kept"),
    ],
)
def test_missing_answer_has_a_reason(parsed: Any, expected: str) -> None:
    """The last parser's, or that there is none."""
    row = answer(Reading("a", parsed))

    assert row["value"] is None
    assert row["error"].startswith(expected)


def test_stage_reads_what_its_parsers_read() -> None:
    """Each column once, in the order in which they are named."""
    stage = ParseStage(
        [
            build("parser", Reading("a", FOUND, ("output", "input")), where="test"),
            build("parser", Reading("b", FOUND, ("trace", "output")), where="test"),
        ],
        samples=1,
        runtime=RuntimeConfig(),
    )

    assert ("output", "input", "trace") == stage.reads
