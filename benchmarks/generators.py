"""Generators that tell something about when they are called."""

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
    """The calculator of `examples/sums.yaml`; the time of its first row is left in a
    new file at `path`.
    """

    path: str

    component_id = "benchmarks/stamped"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return ""  # not the path: it changes no row, and a run elsewhere finds the rows of this one

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        result = await CarelessCalculator().generate(case, ctx)
        with suppress(FileExistsError), Path(self.path).open("x") as file:
            file.write(repr(time.time()))
        return result


@dataclass(frozen=True)
class Sleeper:
    """Waits, as for a provider, and returns the input."""

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
    """Writes so many words that nothing compresses well, the same for the same input
    and seed.
    """

    words: int

    component_id = "benchmarks/rambler"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return str(self.words)

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        draw = random.Random(f"{ctx.seed}/{case.input}")
        return GenerationResult(
            final_output=" ".join(
                f"{draw.getrandbits(24):x}" for _ in range(self.words)
            )
        )
