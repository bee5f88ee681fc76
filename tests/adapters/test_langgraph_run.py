"""One run of a graph, gathered from its stream: its steps, its tokens, its output."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from langgraph.func import entrypoint, task

from tests.support.counting import CALLS
from tests.support.graph_runs import answer
from tests.support.graphs import make_agent, make_graph
from themis_lib import RowError
from themis_lib.adapters import langgraph
from themis_lib.adapters.langgraph_run import GraphRun
from themis_lib.core.models import Message, TokenUsage, TraceStep


def event(kind: str, **facts: Any) -> dict[str, Any]:
    """An event of LangGraph's, of a part of the graph."""
    return {"event": kind, "run_id": "1", "name": "node", "parent_ids": ["0"], **facts}


def ended(output: Any) -> GraphRun:
    run = GraphRun()
    run.end(output)
    return run


def test_trace_has_a_step_for_each_node() -> None:
    """In the order in which they ended, with input and output."""
    result = answer(langgraph(make_graph()), "three")

    trace = result.trace or []
    assert [("plan", 1), ("think", 2), ("write", 1), ("writer", 3)] == [
        (step.name, step.metadata["step"]) for step in trace
    ]
    assert {"node"} == {step.event for step in trace}
    assert {"input": "three", "log": []} == trace[0].input
    assert {"plan": "7", "log": ["plan"]} == trace[0].output
    assert "writer/write" == trace[2].metadata["path"]
    assert ["input", "plan", "answer", "log"] == list(result.final_output)


def test_trace_has_tools_and_models() -> None:
    """Tokens are summed over the calls, and the conversation is kept."""
    result = answer(langgraph(make_agent()), [{"role": "user", "content": "1 + 2?"}])

    assert [
        ("Adder", "chat_model"),
        ("chat", "node"),
        ("add", "tool"),
        ("tools", "node"),
        ("Adder", "chat_model"),
        ("chat", "node"),
    ] == [(step.name, step.event) for step in result.trace or []]
    assert "adder-1" == (result.trace or [])[0].metadata["model"]
    assert {
        "input_tokens": 10,
        "output_tokens": 4,
        "cached_tokens": 6,
        "cache_write_tokens": None,
        "reasoning_tokens": 2,
    } == (result.usage and result.usage.model_dump())
    assert [
        ("user", "1 + 2?"),
        ("assistant", ""),
        ("tool", "3"),
        ("assistant", "3"),
    ] == [(message.role, message.content) for message in result.conversation or []]
    assert 2 == CALLS["model"]


def test_messages_are_kept_as_chat_apis_write_them() -> None:
    """Without ids of LangChain's, so that the same answer is the same row."""
    asked = [{"role": "user", "content": "1 + 2?"}]
    first, second = (
        answer(langgraph(make_agent(), output_key="messages"), asked) for _ in range(2)
    )

    call = {
        "id": "call-1",
        "type": "function",
        "function": {"name": "add", "arguments": '{"a":1,"b":2}'},
    }
    assert [
        {"role": "user", "content": "1 + 2?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "3", "name": "add", "tool_call_id": "call-1"},
        {"role": "assistant", "content": "3"},
    ] == first.final_output
    assert first == second


def test_task_and_entrypoint_are_steps() -> None:
    """The functional API is a graph like any other."""

    @task
    def increment(number: int) -> int:
        return number + 1

    @entrypoint()
    def counting(given: dict[str, Any]) -> int:
        return increment(given["input"]).result()

    result = answer(langgraph(counting), 3)

    assert 4 == result.final_output
    assert ["increment", "counting"] == [step.name for step in result.trace or []]


def test_run_has_ended_with_its_output() -> None:
    """Before that it has none."""
    run = GraphRun()
    assert not run.ended

    run.end({"answer": "4"})

    assert run.ended
    result = run.result(None)
    assert ({"answer": "4"}, [], None, None) == (
        result.final_output,
        result.trace,
        result.conversation,
        result.usage,
    )


def test_end_of_the_whole_graph_is_its_output() -> None:
    """That of a part is not: the graph is the run without parents."""
    run = GraphRun()
    run.see(event("on_chain_end", data={"output": "part"}))
    assert not run.ended

    run.see(event("on_chain_end", data={"output": "whole"}, parent_ids=[]))

    assert "whole" == run.result(None).final_output


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (
            event("on_tool_end", data={"input": {"a": 1}, "output": 3}),
            TraceStep(name="node", event="tool", input={"a": 1}, output=3),
        ),
        (
            event("on_retriever_end", data={"output": ["text"]}),
            TraceStep(name="node", event="retriever", output=["text"]),
        ),
        (
            event(
                "on_llm_end",
                data={"output": "4"},
                metadata={"ls_model_name": "gpt", "langgraph_step": 2},
            ),
            TraceStep(
                name="node",
                event="llm",
                output="4",
                metadata={"model": "gpt", "step": 2},
            ),
        ),
        (
            event("on_custom_event", data={"share": 0.5}),
            TraceStep(name="node", event="custom", output={"share": 0.5}),
        ),
        (
            event(
                "on_chain_end",
                tags=["graph:step:1"],
                data={"output": "4"},
                metadata={"langgraph_checkpoint_ns": "outer:id-1|inner:id-2"},
            ),
            TraceStep(
                name="node",
                event="node",
                output="4",
                metadata={"path": "outer/inner"},
            ),
        ),
        (
            event(
                "on_chain_end",
                data={"output": "4"},
                metadata={
                    "langgraph_node": "node",
                    "langgraph_path": ("__pregel_push", 0),
                },
            ),
            TraceStep(name="node", event="node", output="4"),
        ),
        (
            {"name": "plan", "event": "mine", "data": {"output": "4"}},
            TraceStep(name="plan", event="mine", output="4"),
        ),
        ({"data": "4"}, TraceStep(name="step", event="step", output="4")),
        ("text", TraceStep(name="str", output="text")),
    ],
    ids=[
        "tool",
        "retriever",
        "model",
        "custom",
        "node of a subgraph",
        "task",
        "event of the user's own",
        "event without a name",
        "no event",
    ],
)
def test_event_becomes_a_step(seen: Any, expected: TraceStep) -> None:
    """Whether it is one of LangGraph's or of a user's own graph."""
    run = ended("4")

    run.see(seen)

    assert [expected] == run.result(None).trace


@pytest.mark.parametrize(
    "seen",
    [
        event("on_chain_start", data={"input": "a"}),
        event("on_chain_end", data={"output": "a"}),
        event("on_chat_model_stream", data={"chunk": "a"}),
        event("on_chain_end", metadata={"langgraph_node": "node"}, data={}),
    ],
    ids=["start", "part of a node", "token", "branch"],
)
def test_other_events_are_no_steps(seen: Any) -> None:
    """A step is what a node, tool or model gave."""
    run = ended("4")

    run.see(seen)

    assert [] == run.result(None).trace


def model_end(**usage: Any) -> dict[str, Any]:
    output = SimpleNamespace(usage_metadata=usage)
    return event("on_chat_model_end", data={"output": output})


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([], None),
        (
            [{"input_tokens": 5}],
            TokenUsage(input_tokens=5),
        ),
        (
            [
                {"input_tokens": 5, "output_tokens": 2},
                {"input_tokens": 3, "input_token_details": {"cache_read": 1}},
            ],
            TokenUsage(input_tokens=8, output_tokens=2, cached_tokens=1),
        ),
        (
            [{"output_token_details": {"reasoning": 0}}],
            TokenUsage(reasoning_tokens=0),
        ),
    ],
    ids=["no calls", "one", "two", "zero"],
)
def test_tokens_of_model_calls_are_summed(
    calls: list[dict[str, Any]], expected: TokenUsage | None
) -> None:
    """A count that no call reports is unknown, not zero."""
    run = ended("4")

    for usage in calls:
        run.see(model_end(**usage))

    assert expected == run.result(None).usage


def test_chunks_of_a_sync_stream_are_steps_and_output() -> None:
    """An update is a step for each node; the last values are the output."""
    run = GraphRun()
    run.see_chunk("values", {"input": "a"})
    run.see_chunk("updates", {"plan": {"plan": "7"}, "write": None})
    run.see_chunk("values", {"input": "a", "answer": "4"})
    run.see_chunk("messages", "ignored")

    result = run.result("answer")

    assert "4" == result.final_output
    assert [
        TraceStep(name="plan", event="node", output={"plan": "7"}),
        TraceStep(name="write", event="node", output=None),
    ] == result.trace


INTERRUPT = SimpleNamespace(value={"question": "go on?"})


@pytest.mark.parametrize(
    ("interrupts", "said"),
    [
        ((INTERRUPT,), 'it asks {"question":"go on?"}'),
        ((INTERRUPT, "really?"), 'it asks [{"question":"go on?"},"really?"]'),
        ((), "it stops at a node"),
        (None, "it stops at a node"),
    ],
    ids=["one", "two", "before a node", "null"],
)
def test_graph_that_waits_for_a_person_is_the_error_of_its_row(
    interrupts: Any, said: str
) -> None:
    """Wherever the stream says so: in a chunk, in an event or in the output."""
    waiting = {"__interrupt__": interrupts}

    for see in (
        lambda: GraphRun().end(waiting),
        lambda: GraphRun().see_chunk("updates", waiting),
        lambda: GraphRun().see(
            event("on_chain_stream", data={"chunk": ("values", waiting)}, parent_ids=[])
        ),
    ):
        with pytest.raises(RowError) as raised:
            see()
        assert (
            "the graph was interrupted to wait for a person, whom an evaluation does "
            f"not have: {said}" == str(raised.value)
        )


def test_interrupt_of_a_part_is_left_to_the_graph() -> None:
    """A node may catch what its subgraph asks."""
    run = ended("4")

    run.see(event("on_chain_stream", data={"chunk": {"__interrupt__": ()}}))

    assert "4" == run.result(None).final_output


def test_conversation_is_that_of_the_whole_output() -> None:
    """Even if only one key of it is the answer."""
    turns = [{"role": "user", "content": "2+2"}]

    result = ended({"messages": turns, "answer": "4"}).result("answer")

    assert "4" == result.final_output
    assert [Message(role="user", content="2+2")] == result.conversation


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ({"a": 1, "b": 2}, "the graph's output has no 'answer'; its keys are 'a', 'b'"),
        ({}, "the graph's output has no 'answer'; its keys are none"),
        ("4", "the graph's output has no 'answer': it is str, not an object"),
        (
            {"answer": object()},
            "the graph's output cannot be kept: object is not JSON",
        ),
        (object(), "the graph's output cannot be kept: object is not JSON"),
    ],
    ids=["other keys", "no keys", "text", "object", "no JSON"],
)
def test_output_that_lacks_the_answer_is_the_error_of_its_row(
    output: Any, said: str
) -> None:
    """The message says what there is instead."""
    with pytest.raises(RowError) as raised:
        ended(output).result("answer")

    assert said == str(raised.value)
