"""A generator of your own: any object with these members is one, no base class needed.

`CarelessCalculator` adds numbers on paper and forgets some carries, so its scores are
neither 0 nor 1. What it forgets depends on the seed: samples differ, runs repeat.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from themis_lib import Case, GenerationResult
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.prompts import render_prompt


@dataclass(frozen=True)
class CarelessCalculator:
    """Adds the numbers it finds in the prompt; forgets a carry with probability
    `carelessness`.

    Asked to "check" its work it is half as careless, so that a prompt is worth
    evaluating.
    """

    carelessness: float = 0.2

    component_id = "examples/careless_calculator"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return f"carelessness={self.carelessness}"

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        spec = ctx.prompt_spec
        prompt = f"{spec.instructions or ''}\n{render_prompt(spec, case.input)}"
        numbers = [int(digits) for digits in re.findall(r"\d+", str(case.input))]
        if len(numbers) < 2:
            return GenerationResult(final_output="I see nothing to add.")
        draw = random.Random(f"{ctx.seed}/{case.input}")
        carelessness = (
            self.carelessness / 2 if "check" in prompt.lower() else self.carelessness
        )
        total = numbers[0]
        for number in numbers[1:]:
            total = _add(total, number, draw, carelessness)
        return GenerationResult(
            final_output=f"{' + '.join(map(str, numbers))} makes {total}.\nA: {total:,}"
        )


def _add(left: int, right: int, draw: random.Random, carelessness: float) -> int:
    """Column addition, from the right, with carries that may be forgotten."""
    total, carry, place = 0, 0, 1
    while left or right or carry:
        column = left % 10 + right % 10 + carry
        total += column % 10 * place
        carry = column // 10 if draw.random() >= carelessness else 0
        left, right, place = left // 10, right // 10, place * 10
    return total
