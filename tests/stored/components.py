"""Components as users write them. Their code is in the keys of the stored rows: an edit
here makes those stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from themis_lib import (
    Case,
    GenerationResult,
    Message,
    ParsedOutput,
    RowError,
    Score,
    ScoreError,
    TokenUsage,
    TraceStep,
)
from themis_lib.core.contexts import (
    GenerateContext,
    ParseContext,
    ReduceContext,
    ScoreContext,
)
from themis_lib.core.models import Candidate, ReducedCandidate
from themis_lib.core.prompts import render_prompt

_WORDS = ("zero", "one", "two", "three")


def spelled(number: int) -> str:
    """A number as a word, where there is one."""
    return _WORDS[number] if number < len(_WORDS) else str(number)


@dataclass(frozen=True)
class Adder:
    """Adds the numbers of the input; the seed decides whether it is right."""

    slip: int = 3

    component_id = "stored/adder"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return f"slip={self.slip}"

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        numbers = [int(word) for word in str(case.input).split(" + ") if word.isdigit()]
        if not numbers:
            raise RowError("nothing to add")
        total = sum(numbers) + (ctx.seed % self.slip == 0)
        return GenerationResult(
            final_output=f"{render_prompt(ctx.prompt_spec, case.input)} makes {total}.\nA: {total}",
            finish_reason="stop",
            trace=[TraceStep(name="add", input=numbers, output=total)],
            conversation=[Message(role="user", content=str(case.input))],
            artifacts={"numbers": numbers},
            usage=TokenUsage(input_tokens=len(str(case.input)), output_tokens=5),
        )


@dataclass(frozen=True)
class BatchAdder:
    """Adds batch by batch, equal rows once."""

    component_id = "stored/batch_adder"
    version = "2"
    reads = ("input", "metadata")
    deterministic = True

    def fingerprint(self) -> str:
        return ""

    def generate_batch(
        self, cases: Sequence[Case], contexts: Sequence[GenerateContext]
    ) -> list[GenerationResult | Exception]:
        return [
            GenerationResult(
                final_output={
                    "sum": str(case.input),
                    "topic": case.metadata.get("topic"),
                }
            )
            for case in cases
        ]


@dataclass(frozen=True)
class LastWord:
    """The last word of the output, spelled."""

    component_id = "stored/last_word"
    version = "1"
    reads = ("output", "input")

    def fingerprint(self) -> str:
        return ""

    def parse(self, result: GenerationResult, ctx: ParseContext) -> ParsedOutput:
        word = str(result.final_output).split()[-1]
        return ParsedOutput(
            value=spelled(int(word)) if word.isdigit() else None, format="word"
        )


@dataclass(frozen=True)
class Length:
    """How long the answer is; of long ones it has no score."""

    most: int = 12

    component_id = "stored/length"
    version = "1"

    def fingerprint(self) -> str:
        return f"most={self.most}"

    def score(
        self, parsed: ParsedOutput, case: Case, ctx: ScoreContext
    ) -> Score | ScoreError:
        length = len(str(parsed.value))
        if length > self.most:
            return ScoreError(reason="too long", details={"length": length})
        return Score(value=length / self.most, details={"length": length})


@dataclass(frozen=True)
class BatchSteps:
    """How many steps the generator took, for all rows at a time."""

    component_id = "stored/batch_steps"
    version = "1"
    reads = ("trace", "finish_reason")

    def fingerprint(self) -> str:
        return ""

    def score_batch(
        self,
        parsed: Sequence[ParsedOutput],
        cases: Sequence[Case],
        contexts: Sequence[ScoreContext],
    ) -> list[Score | ScoreError | Exception]:
        return [Score(value=float(len(ctx.result.trace or ()))) for ctx in contexts]


@dataclass(frozen=True)
class Judge:
    """Finds every answer correct whose request is of even length."""

    component_id = "stored/judge"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return ""

    def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        found = "incorrect" if len(str(case.input)) % 2 else "correct"
        return GenerationResult(final_output=f'{{"verdict": "{found}"}}')


@dataclass(frozen=True)
class Median:
    """The median score of the samples."""

    component_id = "stored/median"
    version = "1"

    def fingerprint(self) -> str:
        return ""

    def reduce(
        self, candidates: Sequence[Candidate], ctx: ReduceContext
    ) -> ReducedCandidate:
        scores = sorted(item.score for item in candidates if item.score is not None)
        if not scores:
            return ReducedCandidate(score=None, error="no score")
        return ReducedCandidate(
            score=scores[len(scores) // 2], details={"of": len(scores)}
        )


def shout(prompt: str) -> str:
    """A model that is a function."""
    return prompt.upper()


def first_letter(output: str) -> str:
    """A parser that is a function."""
    return output[:1]


def is_early(value: str, expected: str) -> bool:
    """A metric that is a function."""
    return value <= expected[:1]
