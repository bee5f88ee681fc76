"""A generator that no row of can succeed."""

from __future__ import annotations

from dataclasses import dataclass

from themis_lib import Case, FatalError, GenerationResult
from themis_lib.core.contexts import GenerateContext


@dataclass(frozen=True)
class Hopeless:
    model: str = "hopeless"

    component_id = "tests/hopeless"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return self.model

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        raise FatalError("no row can succeed")
