"""The answer's part of an output: no thought, no control token, no made-up turn."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.support.json_values import PIECES, TEXTS
from tests.support.parsing import parsed, value
from themis_lib.builtins.answer_text import answer_text
from themis_lib.builtins.parsers import (
    ChoiceLetter,
    JsonIdentity,
    JsonPath,
    MathAnswer,
    Number,
    Regex,
    Text,
)

THOUGHTS = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<reasoning>", "</reasoning>"),
    ("<thought>", "</thought>"),
    ("<THINK>", "</THINK>"),
    ("<think budget='9'>", "</think>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>thought\n", "<channel|>"),
    (
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    ("analysis", "assistantfinal"),
]


@pytest.mark.parametrize(("begin", "end"), THOUGHTS)
@pytest.mark.parametrize(
    ("parser", "thought", "answer", "expected"),
    [
        (Text(), "Rome?", "Lima", "Lima"),
        (Regex(pattern=r"\d"), "Is it 3?", "5", "5"),
        (Number(), "The answer is 3.", "5", 5),
        (ChoiceLetter(), "Answer: A", "B", "B"),
        (MathAnswer(), r"Say \boxed{3}", r"\boxed{5}", "5"),
        (JsonPath(path="n"), 'Say {"n": 3}', '{"n": 5}', 5),
    ],
    ids=repr,
)
def test_parsers_read_what_follows_the_thought(
    begin, end, parser, thought, answer, expected
):
    """Whatever the model's marks are; a text that is only a thought has no answer."""
    said = f"{begin}{thought} {end}\n{answer}"

    assert expected == value(parser, said)
    assert "nothing follows the thought in the output" == (
        parsed(parser, f"{begin}{thought} {end}\n").error
    )
    assert "the output is a thought that was cut off" == (
        parsed(parser, f"{begin}{thought}").error
    )


@pytest.mark.parametrize(("begin", "end"), THOUGHTS[:-1])
def test_begin_of_the_thought_may_be_in_the_prompt(begin, end):
    """Then only its end is in the output."""
    assert "Lima" == value(Text(), f"Rome? {end}\n\nLima")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("<think>a <think>b</think> c</think> Lima", "Lima"),
        ("<think>a</thinking> Lima", "Lima"),
        ("Lima <think>or Rome</think>", "Lima"),
        ("Lima\n<think>or Rome", "Lima"),
        ("a\n[BEGIN FINAL RESPONSE]\nLima\n[END FINAL RESPONSE]", "Lima"),
        ("A `<think>` ends with `</think>`.", "A `<think>` ends with `</think>`."),
        ("```\n'<think>'\n```", "```\n'<think>'\n```"),
        ('It begins with "<think>".', 'It begins with "<think>".'),
    ],
)
def test_thoughts_inside_a_text(output, expected):
    """Nested, mismatched and later ones are removed, tags in code or quotes are not."""
    assert expected == value(Text(), output)


@pytest.mark.parametrize(
    "output",
    [
        "Lima</s>",
        "<s>Lima</s>",
        "Lima<|eot_id|>",
        "Lima<|im_end|>\n<|im_start|>user\nAnd Peru?",
        "Lima<end_of_turn>",
        "Lima <eos>",
        "Lima<|endoftext|>Rome",
        "Lima<｜end▁of▁sentence｜>",
        "Lima[|endofturn|]",
        "Lima [INST] And? [/INST]",
        "<|im_start|>assistant\nLima<|im_end|>",
        "<|start_header_id|>assistant<|end_header_id|>\n\nLima<|eot_id|>",
        "<start_of_turn>model\nLima<end_of_turn>",
    ],
)
def test_control_tokens_bound_the_answer(output):
    """Those in front are skipped; the next one ends it."""
    assert "Lima" == value(Text(), output)


@pytest.mark.parametrize(
    "output", ["Not <s>old</s> but <s>new</s>", "f <| x |> g", "a </b> c"]
)
def test_what_only_resembles_a_control_token_is_text(output):
    """Such as text that HTML strikes out."""
    assert output == answer_text(output)


@pytest.mark.parametrize("output", ["</s>", "<|im_end|>", " <s> "])
def test_control_tokens_alone_are_blank(output):
    """There is no answer in them."""
    assert "the output is blank" == parsed(Text(), output).error


@pytest.mark.parametrize(
    "turn",
    [
        "Question: And Rome?\nAnswer: No",
        "Q: And Rome?\nA: No",
        "**Question 2:** And Rome?",
        "Question 2. And Rome?",
        "Human: thanks\n\nAssistant: Rome",
        "User: thanks",
        "### Instruction:\nAnd Rome?",
        "Below is an instruction that describes a task.",
        "Frage: Und Rom?\nAntwort: Rom",
        "Pregunta: ¿Y Roma?",
        "Вопрос: А Рим?",
        "问题：罗马？\n答案：罗马",
        "質問：ローマ？",
        "질문: 로마?",
    ],
)
def test_next_turn_is_not_the_answer(turn):
    """A base model that goes on with the next question has answered before it."""
    assert "Lima" == value(Text(), f"Lima\n\n{turn}")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("Question: Which gas?\nAnswer: B", "B"),
        ("Question: Which?\nA) x\nB) y\nAnswer: B\n\nQuestion: Now?\nAnswer: C", "B"),
        ("Let me restate the question.\n\nQuestion: Which gas?\nAnswer: B", "B"),
        ("Sure! Here it is:\n\nQuestion: Which?\nAnswer: B\n\nQ: x\nA: C", "B"),
        ("### Instruction:\nPick one.\n\n### Input:\nA or B\n\n### Response:\nB", "B"),
        ("Human: Which?\nAssistant: Answer: B\nHuman: And?\nAssistant: C", "B"),
        ("<think>A</think>B\n\nQuestion: x\n<think>y</think>Answer: C", "B"),
        ("I cannot say.\n\nQuestion: Which gas?\nAnswer: C", None),
    ],
)
def test_restated_question_is_no_next_turn(output, expected):
    """A text that begins with a question goes on to its answer, and no further."""
    assert expected == value(ChoiceLetter(), output)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("18\n\nQ: Ann has 20 eggs.", 18),
        ("Question: 9 + 9?\nAnswer: 18\n\nQuestion: 10 + 10?\nAnswer: 20", 18),
        ("The answer is 18.</s> 20", 18),
    ],
)
def test_first_answer_of_a_run_on_text_is_its_number(output, expected):
    """Not the last number of the questions that follow."""
    assert expected == value(Number(), output)


def test_document_is_read_as_it_is():
    """In JSON a tag is data."""
    output = '{"n": "a</think>b<|im_end|>"}'

    assert "a</think>b<|im_end|>" == value(JsonPath(path="n"), output)


@pytest.mark.parametrize("parser", [Text(whole=True), JsonIdentity()], ids=repr)
def test_whole_text_is_kept_on_request(parser):
    """Thought, token and all."""
    output = "<think>a</think> b</s>"

    assert output == value(parser, output)
    assert "a" == value(Regex(pattern="a", whole=True), output)
    assert value(Regex(pattern="a"), output) is None


@given(TEXTS | PIECES)
def test_answer_is_part_of_the_text(text):
    """Nothing is added but a space in place of a thought."""
    try:
        answer = answer_text(text)
    except ValueError:
        return
    assert "<" in text or answer in text
