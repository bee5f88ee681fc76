"""Generators whose timing or output size is set by the benchmark."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from examples.calculator import CarelessCalculator
from themis_lib import Case, GenerationResult
from themis_lib.core.contexts import GenerateContext


@dataclass(frozen=True)
class Stamped:
    """The calculator of `examples/sums.yaml`, which writes the time of its first row to
    a new file at `path`.
    """

    path: str

    component_id = "benchmarks/stamped"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        # Without the path: a run that stamps another file must find these rows.
        return ""

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        result = await CarelessCalculator().generate(case, ctx)
        # Mode "x" creates the file or fails, so that only the first row writes it.
        with suppress(FileExistsError), Path(self.path).open("x") as file:
            file.write(repr(time.time()))
        return result


@dataclass(frozen=True)
class Sleeper:
    """A generator that waits as for a provider and returns the input."""

    sleep_s: float

    component_id = "benchmarks/sleeper"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return str(self.sleep_s)

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        await asyncio.sleep(self.sleep_s)
        return GenerationResult(final_output=case.input)


@dataclass(frozen=True)
class Rambler:
    """A generator of random words, the same for the same input and seed; they hardly
    compress.
    """

    words: int

    component_id = "benchmarks/rambler"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return str(self.words)

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        draw = random.Random(f"{ctx.seed}/{case.input}")
        words = []
        for _ in range(self.words):
            number = draw.getrandbits(24)
            words.append(f"{number:x}")
        return GenerationResult(final_output=" ".join(words))
