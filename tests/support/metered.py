"""A generator that counts its tokens and its calls, for tests that name it by
module.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

from themis_lib import Case, GenerationResult, TokenUsage
from themis_lib.components.builtin import Builtin

#: Calls under way, and the most there were at once.
UNDER_WAY: dict[str, int] = {"now": 0, "most": 0, "calls": 0}


@dataclass(frozen=True)
class Metered(Builtin):
    """Ten tokens a call."""

    component_id: ClassVar[str] = "generator/metered"
    reads: ClassVar[tuple[str, ...]] = ("input",)
    runtime: ClassVar[tuple[str, ...]] = ("UNDER_WAY",)

    model: str = "metered"
    global_limit: str | None = None

    def settings(self) -> dict[str, Any]:
        """Neither setting can change a row."""
        return {}

    def most_tokens(self, case: Case, ctx: object) -> TokenUsage:
        """What `generate` takes."""
        return TokenUsage(input_tokens=9, output_tokens=1)

    async def generate(self, case: Case, ctx: object) -> GenerationResult:
        """The input."""
        UNDER_WAY["calls"] += 1
        UNDER_WAY["now"] += 1
        UNDER_WAY["most"] = max(UNDER_WAY["most"], UNDER_WAY["now"])
        await asyncio.sleep(0.02)
        UNDER_WAY["now"] -= 1
        return GenerationResult(
            final_output=case.input, usage=TokenUsage(input_tokens=9, output_tokens=1)
        )


@dataclass(frozen=True)
class Charged(Metered):
    """The same under a name that is identity: each model answers anew."""

    component_id: ClassVar[str] = "generator/charged"

    def settings(self) -> dict[str, Any]:
        """The model."""
        return {"model": self.model}
