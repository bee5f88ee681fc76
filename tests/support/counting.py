"""Components that count the rows they are asked for, named in experiments as
`tests.support.counting:…`.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from dataclasses import dataclass

from themis_lib import Case, GenerationResult, ParsedOutput, Score, TransientError
from themis_lib.core.contexts import GenerateContext, ParseContext, ScoreContext
from themis_lib.core.parts import parts_of

CALLS: Counter[str] = Counter()
_LOCK = threading.Lock()


def count(stage: str) -> None:
    with _LOCK:
        CALLS[stage] += 1


@dataclass(frozen=True)
class Generator:
    """Answers a number with itself and the seed.

    Even inputs ignore the prompt; the text of odd ones holds it; the answer to 3
    depends on it. The answer to 5 is right for seeds below 13.
    """

    model: str = "m1"
    temperature: float = 0.0
    max_tokens: int = 16
    base_url: str = "http://one"
    api_key: str = ""
    note: str = ""

    component_id = "tests/counting_generator"
    runtime = ("note",)
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        # api_key and note are left out: neither can change an output.
        return f"{self.model}/{self.temperature}/{self.max_tokens}/{self.base_url}"

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        count("generate")
        number = int(case.input)
        prompt = "".join(
            filter(None, (ctx.prompt_spec.instructions, ctx.prompt_spec.prefix))
        )
        text = prompt if number % 2 else ""
        wrong = "1" if number == 5 and ctx.seed >= 13 else ""
        answer = f"{number}{prompt if number == 3 else ''}{wrong}/{ctx.seed}"
        return GenerationResult(final_output=f"{text} answer {answer}")


class Echo:
    """Answers with the input that it is given."""

    component_id = "tests/echo"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return ""

    def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        count("generate")
        return GenerationResult(final_output=case.input)


class Reader(Echo):
    """Answers with the files that it is given, as base64."""

    component_id = "tests/reader"

    def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        count("generate")
        media = [part for part in parts_of(case.input) if part.kind != "text"]
        read = [part.base64(ctx.contents) for part in media]
        return GenerationResult(final_output=f"answer {'+'.join(read)}")


class Seen(Echo):
    """Answers with what each turn says: a text, or the data of its file."""

    component_id = "tests/seen"

    def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        seen = []
        for turn in case.input:
            for part in parts_of(turn["content"]):
                seen.append(part.text or part.base64(ctx.contents))
        return GenerationResult(final_output=seen)


@dataclass(frozen=True)
class DeterministicGenerator(Generator):
    component_id = "tests/deterministic_generator"
    deterministic = True


@dataclass(frozen=True)
class HidingGenerator(Generator):
    """Its temperature changes what it says, and its fingerprint does not cover it."""

    component_id = "tests/hiding_generator"

    def fingerprint(self) -> str:
        return self.model


@dataclass(frozen=True)
class LyingGenerator(HidingGenerator):
    """Breaks the rule: it says that its temperature changes nothing."""

    component_id = "tests/lying_generator"
    runtime = ("temperature",)


@dataclass(frozen=True)
class Parser:
    suffix: str = ""

    component_id = "tests/counting_parser"
    version = "1"
    reads = ("output",)

    def fingerprint(self) -> str:
        return self.suffix

    def parse(self, result: GenerationResult, ctx: ParseContext) -> ParsedOutput:
        count("parse")
        return ParsedOutput(value=result.final_output.split()[-1], format="last")


@dataclass(frozen=True)
class Metric:
    scale: float = 1.0

    component_id = "tests/counting_metric"
    version = "1"
    reads = ("value", "expected_output")

    def fingerprint(self) -> str:
        return str(self.scale)

    def score(self, parsed: ParsedOutput, case: Case, ctx: ScoreContext) -> Score:
        count("score")
        return Score(
            value=self.scale * (parsed.value.split("/")[0] == case.expected_output)
        )


@dataclass(frozen=True)
class MetadataMetric(Metric):
    component_id = "tests/metadata_metric"
    reads = ("value", "expected_output", "metadata")


@dataclass(frozen=True)
class SlowGenerator(Generator):
    """Takes its time, and writes every call to a file, for tests that kill the
    process.
    """

    log: str = ""
    delay_s: float = 0.02

    component_id = "tests/slow_generator"
    runtime = ("note", "log", "delay_s")

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        with open(self.log, "a") as log:  # noqa: PTH123
            log.write(f"{case.input}/{ctx.seed}\n")
        await asyncio.sleep(self.delay_s)
        return await super().generate(case, ctx)


@dataclass(frozen=True)
class Judge:
    """Finds correct what its request says twice: as the expected output and as the
    beginning of the output.

    `says` is its verdict whatever it is asked; `down` makes it fail for now.
    """

    says: str = ""
    down: bool = False
    name: str = "judge"

    component_id = "tests/judge"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return f"{self.name}/{self.says}"

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        count(self.name)
        if self.down:
            raise TransientError("503: overloaded")
        return GenerationResult(final_output=self.says or verdict_on(case.input))


def verdict_on(request: str) -> str:
    """The verdict on a request: whether it ends in an expected output and an output
    that begins so.
    """
    *_, expected, output = re.findall(
        r"<[\w ]+ [0-9a-f]{16}>\n(.*?)\n</", request, re.DOTALL
    )
    found = "correct" if output.split("/")[0] == expected else "incorrect"
    return f'{{"verdict": "{found}"}}'
