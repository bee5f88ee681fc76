"""A generator whose case `b` fails a number of times before it succeeds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from themis_lib import Case, GenerationResult, TransientError
from themis_lib.core.contexts import GenerateContext

CALLS: Counter[str] = Counter()


@dataclass(frozen=True)
class Flaky:
    failures: int

    component_id = "tests/flaky"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return ""

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        CALLS[case.input] += 1
        if case.input == "b" and CALLS["b"] <= self.failures:
            raise TransientError("503: overloaded")
        return GenerationResult(final_output=case.input)
