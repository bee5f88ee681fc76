"""The generator `llama_choice`: multiple choice by log-likelihood in an evaluation."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

from tests.support.drivers import run_in_process, run_through_flow
from tests.support.tables import tables_of
from themis_lib import Case, ComponentError, PromptSpec, RowError
from themis_lib.adapters import llama, llama_choice
from themis_lib.components.build import build, component_identity
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import GenerationResult

LETTERS = ["A", "B", "C", "D"]
QUESTION = "Which number is largest?\nA) 939\nB) 841\nC) 253\nD) 774"


def answer(generator: Any, value: Any = QUESTION, **metadata: Any) -> GenerationResult:
    case = Case(case_id="case", input=value, metadata=metadata)
    context = GenerateContext(
        "run", "case", "dataset", 0, None, PromptSpec(), case.metadata
    )
    return asyncio.run(generator.generate(case, context))


def ratings(
    generator: Any, value: Any = QUESTION, **metadata: Any
) -> dict[str, dict[str, Any]]:
    result = answer(generator, value, **metadata)
    return {kept["text"]: kept for kept in (result.artifacts or {})["choices"]}


def choosing(**settings: Any) -> Any:
    return llama_choice(**{"model": "tiny", **settings})


def spec(store: Path, *, width: int = 16) -> dict[str, Any]:
    cases = [
        {
            "case_id": str(number),
            "input": f"What is {number} + {number}?",
            "expected_output": str(2 * number),
            "metadata": {"choices": [str(2 * number + off) for off in (-1, 0, 1, 10)]},
        }
        for number in range(10, 22)
    ]
    return {
        "name": "choices",
        "generation": {"generator": {"use": "llama_choice", "model": "tiny"}},
        "evaluation": {"metrics": ["builtin/exact_match"], "parsers": ["builtin/text"]},
        "datasets": [{"dataset_id": "sums", "cases": cases}],
        "storage": {"store": str(store)},
        "runtime": {"max_concurrency": width},
    }


def test_the_answer_is_the_choice_with_the_best_score() -> None:
    """And every choice is kept, in its order, with its log-probability and its tokens."""
    result = answer(choosing(choices=LETTERS))
    kept = (result.artifacts or {})["choices"]

    assert LETTERS == [one["text"] for one in kept]
    assert result.final_output == max(kept, key=lambda one: one["score"])["text"]
    assert all(
        one["logprob"] <= 0 and one["score"] == one["logprob"] and 1 == one["tokens"]
        for one in kept
    )
    assert result.usage is not None
    assert 4 == result.usage.output_tokens
    assert ["user", "assistant"] == [
        message.role for message in result.conversation or []
    ]


def test_a_choice_is_rated_as_the_model_would_generate_it() -> None:
    """Bit for bit: the greedy text, given as a choice, has the log-probabilities that
    generating it had.
    """
    question = "What is 12 + 30?"
    generated = answer(llama(model="tiny", max_tokens=8, logprobs=1), question)
    tokens = [
        token for token in (generated.artifacts or {})["logprobs"] if token["text"]
    ]

    rated = ratings(choosing(choices=[generated.final_output, "seven"]), question)

    assert (
        math.fsum(token["logprob"] for token in tokens)
        == rated[generated.final_output]["logprob"]
    )
    assert (
        generated.final_output
        == answer(
            choosing(choices=["seven", generated.final_output]), question
        ).final_output
    )


@pytest.mark.parametrize("normalize", ["none", "tokens", "bytes"])
def test_scores_are_divided_by_length(normalize: str) -> None:
    """By nothing, by tokens, or by the choice's own bytes of UTF-8; the
    log-probabilities are the same.
    """
    choices = ["4", "no idea", "größer"]
    rated = ratings(
        choosing(choices=choices, normalize=normalize, delimiter="Answer: ")
    )
    plain = ratings(choosing(choices=choices, delimiter="Answer: "))

    for text, kept in rated.items():
        length = {"none": 1, "tokens": kept["tokens"], "bytes": len(text.encode())}[
            normalize
        ]
        assert plain[text]["logprob"] == kept["logprob"]
        assert math.isclose(kept["logprob"] / length, kept["score"])


def test_order_of_choices_does_not_change_their_scores() -> None:
    """Bit for bit."""
    one, other = (
        ratings(choosing(choices=order)) for order in (LETTERS, LETTERS[::-1])
    )

    assert one == other


def test_delimiter_is_rated_with_the_choice() -> None:
    """As a part of it: the answer is the choice without it."""
    kept = ratings(choosing(choices=["A", "B"], delimiter="The answer is "))
    alone = ratings(choosing(choices=["The answer is A", "The answer is B"]))

    assert [one["logprob"] for one in alone.values()] == [
        one["logprob"] for one in kept.values()
    ]
    assert {"A", "B"} == set(kept)


def test_a_case_may_have_its_own_choices(tmp_path: Path, prefect_api: str) -> None:
    """From its metadata; the flow gives the same tables, and neither computes a row of
    the other again.
    """
    first = run_in_process(spec(tmp_path / "a"), tmp_path, prefect_api)
    flow = run_through_flow(spec(tmp_path / "b"), tmp_path, prefect_api)
    again = run_through_flow(spec(tmp_path / "a"), tmp_path, prefect_api)

    assert [12, 12, 0] == [
        result.progress["generate"].computed for result in (first, flow, again)
    ]
    assert tables_of(first) == tables_of(flow)
    for case in first.cases:
        assert (
            case.generated_candidates[0].final_output in case.case.metadata["choices"]
        )


def test_neighbours_change_nothing(tmp_path: Path) -> None:
    """One case at a time and all at a time give the same scores, bit for bit."""
    one, many = (
        run_in_process(spec(tmp_path / str(width), width=width), tmp_path, "")
        for width in (1, 16)
    )

    kept = [
        [case.generated_candidates[0].artifacts for case in result.cases]
        for result in (one, many)
    ]
    assert kept[0] == kept[1]
    assert all(kept[0])


@pytest.mark.parametrize(
    "settings",
    [
        {"choices": ["A", "B"]},
        {"delimiter": " "},
        {"normalize": "bytes"},
        {"template": "raw"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_every_setting_is_identity(settings: dict[str, Any]) -> None:
    """Whatever can change a row changes its key; the metadata is read where the choices
    are there.
    """
    plain, other = (
        component_identity("generator", choosing(**found)) for found in ({}, settings)
    )

    assert plain != other
    assert ["input", "metadata"] == plain["reads"]
    assert (["input"] if "choices" in settings else ["input", "metadata"]) == other[
        "reads"
    ]


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (None, "no metadata.choices"),
        ("AB", "write a list of texts"),
        (["A", ""], "none of them empty"),
        (["A"], "write at least two"),
        (["A", "B", "A"], "'A' stands there twice"),
        (["A", "B " * 2000], "does not fit the window"),
    ],
    ids=["missing", "text", "empty", "one", "twice", "long"],
)
def test_a_case_without_usable_choices_is_an_error_of_its_row(
    choices: Any, said: str
) -> None:
    """Which says what to write."""
    with pytest.raises(RowError, match=said):
        answer(choosing(), **({} if choices is None else {"choices": choices}))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"choices": ["A"]}, "choices: 1 of them leave nothing to choose"),
        ({"choices": "AB"}, "choices"),
        ({"normalize": "length"}, "normalize"),
        ({"max_tokens": 4}, "max_tokens"),
    ],
    ids=["one", "text", "normalize", "unknown"],
)
def test_bad_settings_are_named_before_anything_runs(
    settings: dict[str, Any], said: str
) -> None:
    """A setting that cannot be used is one error that names its place."""
    with pytest.raises(ComponentError, match=f"generator.*{said}"):
        build(
            "generator",
            {"use": "llama_choice", "model": "tiny", **settings},
            where="generation.generator",
        )


def kept(generator: Any, value: Any) -> list[tuple[float, bool]]:
    choices = (answer(generator, value).artifacts or {})["choices"]
    return [(one["logprob"], one["is_greedy"]) for one in choices]


def test_an_input_says_itself_what_is_rated() -> None:
    """The same bits as choices behind the same text, and which of them are greedy."""
    texts = [" 939", " 841", " 25"]
    rated = answer(choosing(template="raw", choices=texts)).artifacts or {}

    pairs = kept(choosing(), {"context": QUESTION, "continuations": texts})

    assert [one["logprob"] for one in rated["choices"]] == [one for one, _ in pairs]


def test_a_greedy_continuation_is_what_the_model_writes() -> None:
    """Each of its tokens is the likeliest; those of another text are not."""
    asked = {"temperature": 0, "max_tokens": 4, "template": "raw"}
    written = answer(llama(model="tiny", **asked), QUESTION).final_output

    (greedy, other) = kept(
        choosing(), {"context": QUESTION, "continuations": [written, " zebra"]}
    )

    assert (True, False) == (greedy[1], other[1])
    assert greedy[0] > other[0]


def test_each_continuation_may_have_its_own_context() -> None:
    """As the two sentences of WinoGrande; the answers are in the order of the input."""
    contexts = ["The sun is a star", "The moon is a star", "The sun is a star"]
    continuations = [" here", " here", " there"]

    together = kept(choosing(), {"context": contexts, "continuations": continuations})

    assert [
        kept(choosing(), {"context": context, "continuations": [continuation]})[0]
        for context, continuation in zip(contexts, continuations, strict=True)
    ] == together


def test_the_last_spaces_of_a_context_are_rated() -> None:
    """With the continuation, as lm-eval does: most tokens begin with their space."""
    one = {"context": "2 + 2 = ", "continuations": ["4"]}
    other = {"context": "2 + 2 =", "continuations": [" 4"]}

    assert kept(choosing(), one) == kept(choosing(), other)


def test_only_such_inputs_have_a_new_version() -> None:
    """The rows of all others are found under the keys that they had."""
    generator = choosing()
    pairs = {"context": "2 + 2 =", "continuations": [" 4"]}

    assert "pairs-1" == generator.input_version(pairs, PromptSpec())
    assert generator.input_version({"context": "2 + 2 ="}, PromptSpec()) is None
    assert generator.input_version(QUESTION, PromptSpec()) is None
