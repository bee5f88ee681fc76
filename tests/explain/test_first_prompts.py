"""The first prompts, as they would be sent."""

from __future__ import annotations

from typing import Any

from themis_lib import Experiment
from themis_lib.explain.first_prompts import FirstPrompt, first_prompts


def shown(count: int, **prompt_spec: Any) -> list[FirstPrompt]:
    cases = [
        {"case_id": str(number), "input": {"n": number or None}} for number in range(3)
    ]
    experiment = Experiment.model_validate(
        {
            "generation": {
                "generator": "builtin/demo_generator",
                "prompt_spec": prompt_spec,
            },
            "datasets": [{"dataset_id": "d", "cases": cases}],
        }
    )
    return list(first_prompts(experiment.compile(), count))


def test_turns_are_rendered() -> None:
    """Instructions as system message, the template between prefix and suffix."""
    _, second, third = shown(
        5, instructions="Be brief.", template="n={{ n }}", suffix="Go."
    )

    assert (("system", "Be brief."), ("user", "n=1\n\nGo.")) == second.turns
    assert ("d", "2", None) == (third.dataset_id, third.case_id, third.error)


def test_count_is_kept() -> None:
    assert [(("user", '{"n":null}'),)] == [prompt.turns for prompt in shown(1)]


def test_input_that_cannot_be_rendered_has_a_reason() -> None:
    """The others are shown."""
    first, second = shown(2, template="n={{ n }}")

    assert first.error is not None
    assert first.error.startswith("the prompt's template: it prints a null")
    assert (("user", "n=1"),) == second.turns
