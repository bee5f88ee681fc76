"""Scores of the tools that rows called, whichever generator tells of them."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib import Case, GenerationResult, Score, ScoreError
from themis_lib.builtins.conversation_judge import JudgeConversation, transcript
from themis_lib.builtins.tool_calls import ToolCall, calls_of
from themis_lib.builtins.tool_metrics import (
    StepCount,
    ToolArguments,
    ToolCalled,
    ToolOrder,
)
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import Message, ParsedOutput, TraceStep
from themis_lib.errors import ComponentError, RowError


def rows(*names: str) -> GenerationResult:
    calls = [{"name": name, "arguments": {"n": at}} for at, name in enumerate(names)]
    return GenerationResult(final_output={"tool_calls": calls})


def score(metric: Any, result: GenerationResult, expected: Any) -> Score | ScoreError:
    case = Case(
        case_id="a", input="", expected_output=expected, metadata={"tools": expected}
    )
    return metric.score(ParsedOutput(), case, ScoreContext(result))


CALLS = [ToolCall("add", {"a": 1}), ToolCall("now", {})]
FORMS = {
    "output": GenerationResult(
        final_output={
            "tool_calls": [
                {"name": "add", "arguments": {"a": 1}},
                {"name": "now", "arguments": {}},
            ]
        }
    ),
    "trace of a provider": GenerationResult(
        trace=[
            TraceStep(name="generation", event="generation", output=None),
            TraceStep(name="add", event="tool_call", input={"a": 1}),
            TraceStep(name="add", event="tool_result", output=1),
            TraceStep(name="now", event="tool_call", input="{}"),
        ]
    ),
    "trace of an agent": GenerationResult(
        trace=[
            TraceStep(name="add", event="tool", input={"a": 1}, output="1"),
            TraceStep(name="node", event="node"),
            TraceStep(name="now", event="tool", input={}),
        ]
    ),
    "conversation": GenerationResult(
        conversation=[
            Message(
                role="assistant",
                tool_calls=[{"function": {"name": "add", "arguments": '{"a":1}'}}],
            ),
            Message(role="tool", content="1"),
            Message(role="assistant", tool_calls=[{"name": "now", "args": {}}]),
        ]
    ),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_calls_are_read_in_one_form(form: str):
    """Output, trace and conversation tell of the same calls in the same order."""
    assert CALLS == calls_of(FORMS[form])


@pytest.mark.parametrize(
    ("called", "expected", "values"),
    [
        (["a", "b"], ["b", "a"], (1, 1, 1, 1)),
        (["a", "b", "c"], ["a"], (0, 1, 1 / 3, 0.5)),
        (["a"], ["a", "a"], (0, 0.5, 1, 2 / 3)),
        (["x"], ["a"], (0, 0, 0, 0)),
        ([], [], (1, 1, 1, 1)),
        (["a"], [], (0, 1, 0, 0)),
        ([], ["a"], (0, 0, 0, 0)),
    ],
)
def test_called_tools_are_counted_by_name(
    called: list[str], expected: list[str], values: tuple[float, ...]
):
    """Exact, recall, precision and F1 of the names, each as often as it is expected."""
    measures = ("exact", "recall", "precision", "f1")
    found = [
        score(ToolCalled(measure=measure), rows(*called), expected).value
        for measure in measures
    ]
    assert pytest.approx(values) == found


@pytest.mark.parametrize(
    ("called", "expected", "values"),
    [
        ("abc", "abc", (1, 1, 1)),
        ("axbxc", "abc", (0, 1, 1)),
        ("cba", "abc", (0, 0, 1)),
        ("ab", "abc", (0, 0, 0)),
        ("aab", "aab", (1, 1, 1)),
        ("ab", "aab", (0, 0, 0)),
        ("", "", (1, 1, 1)),
        ("a", "", (0, 1, 1)),
    ],
)
def test_orders_are_those_of_trajectories(
    called: str, expected: str, values: tuple[float, ...]
):
    """Exact match, in order with others between, and in any order."""
    found = [
        score(ToolOrder(match=match), rows(*called), list(expected)).value
        for match in ("exact", "in_order", "any_order")
    ]
    assert list(values) == found


@pytest.mark.parametrize(
    ("settings", "given", "wanted", "value"),
    [
        ({}, {"a": 1, "b": [2, {"c": "x"}]}, {"a": 1.0, "b": [2, {"c": "x"}]}, 1),
        ({}, {"a": 1, "b": 2}, {"a": 1}, 0),
        ({"match": "subset"}, {"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"d": 2}}, 1),
        ({"match": "subset"}, {"a": 1}, {"b": 1}, 0),
        ({}, {"a": "1"}, {"a": 1}, 0),
        ({}, {"a": True}, {"a": 1}, 0),
        ({"abs_tol": 0.5}, {"a": 1.4}, {"a": 1}, 1),
        ({"rel_tol": 0.1}, {"a": [111]}, {"a": [100]}, 0),
        ({"match": "schema"}, {"a": 3}, {"required": ["a"]}, 1),
        ({"match": "schema"}, {"b": 3}, {"required": ["a"]}, 0),
        ({}, "{broken", {"a": 1}, 0),
    ],
)
def test_arguments_match(
    settings: dict[str, Any], given: Any, wanted: Any, value: float
):
    """As JSON values: all of them, those that are expected, by schema, or nearly."""
    result = GenerationResult(
        final_output={"tool_calls": [{"name": "f", "arguments": given}]}
    )
    expected = [{"name": "f", "arguments": wanted}]

    assert value == score(ToolArguments(**settings), result, expected).value


def test_each_call_counts_for_one_expectation():
    """As many expected calls as possible are made by different calls."""
    result = GenerationResult(
        final_output={
            "tool_calls": [
                {"name": "f", "arguments": {"a": 1, "b": 2}},
                {"name": "f", "arguments": {"a": 1}},
            ]
        }
    )
    wanted = [
        {"name": "f", "arguments": {"a": 1}},
        {"name": "f", "arguments": {"a": 1, "b": 2}},
        {"name": "f", "arguments": {"a": 1}},
    ]

    found = score(ToolArguments(match="subset"), result, wanted)

    assert pytest.approx(2 / 3) == found.value
    assert 1 == len(found.details["missing"])


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        (None, "the case has no expected calls"),
        ([4], "4 is no call"),
        ([{"tool": "a"}], "is no call"),
        ([{"name": "a", "args": {}}], "a call has no 'args'"),
        ([{"name": "a", "arguments": [1]}], "the arguments of 'a' are no object"),
    ],
)
def test_expectation_that_cannot_be_read_is_an_error(expected: Any, reason: str):
    """It says where and what; in metadata too."""
    for metric in (ToolCalled(), ToolOrder(expected="tools")):
        found = score(metric, rows("a"), expected)
        assert isinstance(found, ScoreError)
        assert reason in found.reason
    assert "metadata 'tools'" in found.reason


def test_schema_that_is_none_is_an_error():
    """A faulty expectation is not a wrong answer."""
    wanted = [{"name": "a", "arguments": {"type": "no type"}}]
    found = score(ToolArguments(match="schema"), rows("a"), wanted)
    assert "JSON Schema" in found.reason


def test_steps_are_counted():
    """Calls, answers, turns, and steps of the trace; unknown ones are an error."""
    result = GenerationResult(
        trace=[TraceStep(name="a", event="tool_call")] * 3,
        conversation=[Message(role="user"), Message(role="assistant")],
    )
    counts = [
        score(StepCount(count=count), result, None).value
        for count in ("tool_calls", "generations", "turns", "steps")
    ]
    assert [3, 1, 1, 3] == counts
    assert not StepCount.higher_is_better
    for count in ("turns", "steps"):
        found = score(StepCount(count=count), GenerationResult(), None)
        assert isinstance(found, ScoreError)


def test_judge_sees_the_conversation_without_system_messages():
    """Turns, calls and what they returned; nothing to grade is an error of the row."""
    (question,) = JudgeConversation(rubric="Kind.").judge_calls()
    messages = [
        Message(role="system", content="Secret."),
        Message(role="user", content="1 + 1?"),
        Message(
            role="assistant",
            tool_calls=[{"function": {"name": "add", "arguments": '{"a": 1}'}}],
        ),
        Message(role="tool", content="2"),
        Message(role="assistant", content="2"),
    ]
    case = Case(case_id="a", input="", expected_output="2")
    talked = ScoreContext(GenerationResult(conversation=messages))

    request = question.request(ParsedOutput(), case, talked)

    assert "Secret" not in request
    assert transcript(messages[1:]) in request
    assert 'calls {"arguments":{"a":1},"name":"add"}' in request
    with pytest.raises(RowError, match="no conversation"):
        question.request(ParsedOutput(), case, ScoreContext(GenerationResult()))


@pytest.mark.parametrize(
    ("metric", "settings"),
    [
        (ToolCalled, {"measure": "most"}),
        (ToolArguments, {"match": "near"}),
        (ToolArguments, {"abs_tol": -1.0}),
        (ToolOrder, {"match": "any"}),
        (StepCount, {"count": "words"}),
    ],
)
def test_settings_that_are_none_are_refused(metric: Any, settings: dict[str, Any]):
    """Before anything is generated."""
    with pytest.raises(ComponentError):
        metric(**settings)
