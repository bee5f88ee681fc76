"""The generator `llama` as a component: its settings, its identity and its rows."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from tests.support.asking import ask, context
from themis_lib import Case, ComponentError, ModelError
from themis_lib.adapters import llama
from themis_lib.components.build import build, component_identity


def identity(**settings: Any) -> dict[str, Any]:
    return component_identity("generator", llama(**{"model": "tiny", **settings}))


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.5},
        {"top_k": 3},
        {"top_p": 0.5},
        {"min_p": 0.1},
        {"repetition_penalty": 1.1},
        {"max_tokens": 7},
        {"stop": ["."]},
        {"regex": "[0-9]+"},
        {"choices": ["a", "b"]},
        {"template": "raw"},
        {"window": 256},
        {"logprobs": 1},
        {"schema": {"type": "integer"}},
        {"response_format": {"type": "json_object"}},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_every_setting_is_identity(settings: dict[str, Any]) -> None:
    """What can change a row changes its key."""
    assert identity() != identity(**settings)


def test_row_holds_what_happened() -> None:
    """Conversation, trace, tokens, finish reason and log-probabilities."""
    result = ask(
        llama(model="tiny", max_tokens=5, logprobs=2),
        "What is 1 + 1?",
        instructions="Answer briefly.",
    )

    assert ["system", "user", "assistant"] == [
        message.role for message in result.conversation or []
    ]
    assert "tiny" == (result.trace or [])[0].metadata["model"]
    assert result.usage is not None
    tokens = (result.artifacts or {})["logprobs"]
    assert result.usage.output_tokens == len(tokens)
    assert result.final_output == "".join(token["text"] for token in tokens)
    assert all(token["logprob"] <= 0 and 2 == len(token["likely"]) for token in tokens)
    assert math.isclose(tokens[0]["logprob"], tokens[0]["likely"][0][2])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "tinny"}, "tiny"),
        ({"model": "/nowhere/model.gguf"}, "does not exist"),
        ({"temperature": -1.0}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"choices": []}, "choices"),
        ({"regex": "("}, "regular expression"),
        ({"logprobs": -1}, "logprobs"),
        ({"template": "chta"}, "template"),
        ({"window": 10**6}, "window"),
        ({"temprature": 1}, "temperature"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_settings_are_named_before_anything_runs(
    settings: dict[str, Any], said: str
) -> None:
    """A setting that cannot be used is one error that names its place."""
    with pytest.raises(
        (ComponentError, ModelError, ValueError), match=f"generator.*{said}"
    ):
        build(
            "generator",
            {"use": "llama", "model": "tiny", **settings},
            where="generation.generator",
        )


def test_schema_can_be_put_on_afterwards() -> None:
    """`with_schema` returns what the setting gives, and leaves its generator alone."""
    plain, schema = llama(model="tiny", max_tokens=32), {"enum": ["yes", "no"]}

    held = plain.with_schema(schema)

    assert (
        llama(model="tiny", max_tokens=32, schema=schema).fingerprint()
        == held.fingerprint()
    )
    assert plain.schema is None


def test_row_has_the_reason_of_its_end() -> None:
    """A stop text ends the answer, and is not part of it."""
    whole = ask(llama("tiny", max_tokens=24), "Write a story").final_output
    word = whole.split()[2]

    short = ask(llama("tiny", max_tokens=2), "Write a story")
    stopped = ask(llama("tiny", max_tokens=24, stop=[word]), "Write a story")

    assert "length" == short.finish_reason
    assert ("stop", whole.partition(word)[0]) == (
        stopped.finish_reason,
        stopped.final_output,
    )


def test_without_logprobs_a_row_has_no_artifacts() -> None:
    """They are kept where they are asked for."""
    assert ask(llama("tiny", max_tokens=1)).artifacts is None


@pytest.mark.parametrize(
    ("settings", "outputs"),
    [
        ({"choices": ["A", "B"]}, {"A", "B"}),
        ({"regex": "[CD]"}, {"C", "D"}),
        ({"schema": {"enum": ["yes", "no"]}}, {'"yes"', '"no"'}),
    ],
    ids=["choices", "regex", "schema"],
)
def test_constraint_bounds_the_texts(
    settings: dict[str, Any], outputs: set[str]
) -> None:
    """With every seed."""
    generator = llama("tiny", max_tokens=32, temperature=1.0, **settings)

    assert outputs >= {ask(generator, seed=seed).final_output for seed in range(4)}


def test_cancelled_row_leaves_the_others_alone() -> None:
    """The next one has the answer of one before."""
    generator = llama("tiny", max_tokens=24)
    case = Case(case_id="case", input="Write a story")

    async def work() -> Any:
        first = await generator.generate(case, context())
        running = asyncio.ensure_future(generator.generate(case, context()))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return first, await generator.generate(case, context())

    first, again = asyncio.run(work())

    assert first == again
