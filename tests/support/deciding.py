"""Experiments whose answers are right as often as a setting says, for tests of runs that
stop when they are decided.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.counting import CALLS as CALLS
from tests.support.counting import count
from themis_lib import Case, FatalError, GenerationResult, RowError, TokenUsage
from themis_lib.core.contexts import GenerateContext, ScoreContext
from themis_lib.core.models import ParsedOutput, Score

Spec = dict[str, Any]


@dataclass(frozen=True)
class Guesser:
    """Answers a number with itself, or says `wrong`: a share of them, by their digest.

    Guessers of one name that are right more often are right wherever one that is right
    less often is. `fails` is the share of the numbers that it has no output for. A call
    takes one token.
    """

    right: float = 0.5
    name: str = "guesser"
    fails: float = 0.0

    component_id = "tests/guesser"
    version = "1"
    reads = ("input",)
    model = "guesser"

    def fingerprint(self) -> str:
        return f"{self.right}/{self.name}/{self.fails}"

    def most_tokens(self, case: Case, ctx: object) -> TokenUsage:
        return TokenUsage(input_tokens=1, output_tokens=0)

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        count("generate")
        if share(case.input, "failing") < self.fails:
            raise RowError("no output")
        seed = f"{self.name}/{ctx.seed}"
        text = case.input if share(case.input, seed) < self.right else "wrong"
        usage = TokenUsage(input_tokens=1, output_tokens=0)
        return GenerationResult(final_output=text, usage=usage)


@dataclass(frozen=True)
class Broken(Guesser):
    """Can answer nothing at all."""

    component_id = "tests/broken"

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        raise FatalError("no key")


@dataclass(frozen=True)
class Paid(Guesser):
    """Takes a while for each answer, and notes the number once it is paid for."""

    log: str = ""
    delay_s: float = 0.0

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        await asyncio.sleep(self.delay_s)
        result = await super().generate(case, ctx)
        with Path(self.log).open("a") as log:
            log.write(f"{case.input}\n")
        return result


@dataclass(frozen=True)
class Points:
    """One point for a right answer, on a scale that it may not declare."""

    top: float = 1.0
    declared: float | None = None
    lower: bool = False

    component_id = "tests/points"
    version = "1"
    reads = ("value", "expected_output")

    def fingerprint(self) -> str:
        return str(self)

    @property
    def score_range(self) -> tuple[float, float] | None:
        return None if self.declared is None else (0.0, self.declared)

    @property
    def higher_is_better(self) -> bool:
        return not self.lower

    def score(self, parsed: ParsedOutput, case: Case, ctx: ScoreContext) -> Score:
        return Score(value=self.top * (parsed.value == case.expected_output))


def share(text: str, salt: str) -> float:
    """A number from 0 to 1, the same for the same text."""
    content = hashlib.sha256(f"{salt}/{text}".encode()).digest()
    return int.from_bytes(content[:6]) / 2**48


def guesses(store: Path | str, *, cases: int = 200, **generator: Any) -> Spec:
    """An experiment on so many numbers; the generator's settings by name."""
    numbers = [
        {"case_id": f"n{number}", "input": str(number), "expected_output": str(number)}
        for number in range(cases)
    ]
    return {
        "name": "guesses",
        "generation": {
            "generator": {"use": "tests.support.deciding:Guesser", **generator}
        },
        "evaluation": {
            "parsers": [{"use": "tests.support.counting:Parser"}],
            "metrics": [{"use": "builtin/exact_match", "id": "right"}],
        },
        "datasets": [{"dataset_id": "numbers", "cases": numbers}],
        "storage": {"store": str(store)},
    }
