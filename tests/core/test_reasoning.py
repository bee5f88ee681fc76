"""The reasoning in front of an answer, in the ways in which models mark it."""

from __future__ import annotations

import pytest

from themis_lib.core.reasoning import ReasonedText, split_reasoning

HARMONY = "<|channel|>analysis<|message|>5?<|end|><|start|>assistant<|channel|>"


SPLIT = [
    ("<think>Is it 3?</think>\n\n4", "4", "Is it 3?"),
    ("\n<thinking>Is it 3?</thinking> 4", "4", "Is it 3?"),
    ("[THINK]Is it 3?[/THINK]4", "4", "Is it 3?"),
    ("◁think▷Is it 3?◁/think▷4", "4", "Is it 3?"),
    ("<seed:think>Is it 3?</seed:think>4", "4", "Is it 3?"),
    ("<|im_start|>assistant\n<think>Is it 3?</think>4", "4", "Is it 3?"),
    ("Is it 3?\n</think>\n\n4", "4", "Is it 3?"),
    ("Is it 3?\n[BEGIN FINAL RESPONSE]\n4", "4", "Is it 3?"),
    ("<think>a <think>b</think> c</think>4", "4", "a <think>b</think> c"),
    ("<think>the tag <think></think>4", "4", "the tag <think>"),
    ("<think>not `</think>` yet</think>4", "4", "not `</think>` yet"),
    ("<think>a</think>\n<think>b</think>\n4", "4", "a\n\nb"),
    ("<think>\n\n</think>\n\n4", "4", None),
    ("<think>a</think>\n\n    return 4", "    return 4", "a"),
    ('<think>a</think>{"n": 4}', '{"n": 4}', "a"),
    (HARMONY + "final<|message|>4<|return|>", "4", "5?"),
    ("analysis5? No.assistantfinal4", "4", "5? No."),
]
#: Texts that are in part reasoning, all of them.
CUT_OFF = [
    "<think>Is it 3?",
    "[THINK]Is it 3?",
    "<|channel|>analysis<|message|>Is it 3?",
    "analysisIs it 3?",
]
REASONED = [*(text for text, _, _ in SPLIT), *CUT_OFF, "<think>3</think>\n"]


@pytest.mark.parametrize(("text", "answer", "reasoning"), SPLIT)
def test_reasoning_is_apart_from_the_answer(
    text: str, answer: str, reasoning: str | None
) -> None:
    """In front of the answer, with or without the mark of its beginning."""
    assert ReasonedText(answer, reasoning) == split_reasoning(text)


@pytest.mark.parametrize("text", CUT_OFF)
def test_thought_that_was_cut_off_has_no_answer(text: str) -> None:
    """The model was still thinking."""
    assert ReasonedText(None, "Is it 3?") == split_reasoning(text)


def test_nothing_behind_a_thought_is_an_empty_answer() -> None:
    """It was not cut off."""
    assert ReasonedText("", "3") == split_reasoning("<think>3</think>\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4 </think> ends a thought.",
        "4 <think>or 5?</think> 4",
        "A `<think>` ends with `</think>`.",
        "Write:\n```\n<think>\nwhy\n</think>\n```\nand the answer.",
        "```\n</think>\n```",
        '"<think>" is a tag.',
        "<reasoning>5?</reasoning><answer>4</answer>",
        '{"text": "<think>a</think>b"}',
        "analysis of variance",
        "  indented",
    ],
)
def test_what_is_no_reasoning_is_the_answer_as_it_is(text: str) -> None:
    """Only what a text begins with, in a model's own marks, is reasoning."""
    assert ReasonedText(text) == split_reasoning(text)


@pytest.mark.parametrize(
    "text", ["<think>" * 5000, "`" * 50_000, "<think" + " " * 50_000]
)
def test_time_grows_with_the_length_alone(text: str) -> None:
    """A text that a model repeats without end is read, too."""
    assert split_reasoning(text) is not None
