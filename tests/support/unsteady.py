"""Components for several processes: rows that fail in every way, the same in any of
them; named `tests.support.unsteady:…`.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.counting import Parser
from themis_lib import Case, GenerationResult, RowError, TokenUsage, TransientError
from themis_lib.core.contexts import GenerateContext

BUILT: Counter[str] = Counter()


@dataclass(frozen=True)
class BuiltParser(Parser):
    """Counts how often it is built in this process."""

    def __post_init__(self) -> None:
        BUILT["parser"] += 1


@dataclass(frozen=True)
class Unsteady:
    """Doubles a number, and leaves a line with its process in `folder` for each call.

    Multiples of 7 are refused for good, 5 fails however often it is tried, and 11 and
    17 succeed the second time.
    """

    folder: str
    model: str = "metered"
    delay_s: float = 0.0

    component_id = "tests/unsteady"
    version = "1"
    reads = ("input",)
    runtime = ("folder", "delay_s")

    def fingerprint(self) -> str:
        return self.model

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        number = int(case.input)
        with (Path(self.folder) / "calls").open("a") as calls:
            calls.write(f"{os.getpid()} {number}/{ctx.seed}\n")
        await asyncio.sleep(self.delay_s)
        if number and number % 7 == 0:
            raise RowError(f"{number} is refused")
        if number == 5 or (number in (11, 17) and self._is_first(number, ctx.seed)):
            raise TransientError("503: overloaded")
        return GenerationResult(
            final_output=str(2 * number),
            usage=TokenUsage(input_tokens=number, output_tokens=1),
        )

    def _is_first(self, number: int, seed: int) -> bool:
        with suppress(FileExistsError):
            (Path(self.folder) / f"{number}-{seed}").touch(exist_ok=False)
            return True
        return False
