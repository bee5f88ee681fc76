"""The generator `langgraph`: a graph runtime in an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import MessagesState, StateGraph
from langgraph.types import interrupt

from tests.support.counting import CALLS, count
from tests.support.drivers import run_through_flow
from tests.support.edited_graphs import EDITS, IDLE_EDITS, MODULE, replaced
from tests.support.graph_runs import INPUTS, answer, candidates, experiment
from tests.support.graphs import (
    Invoked,
    PlanningGraph,
    State,
    SyncOnly,
    echo,
    make_graph,
    one_node,
)
from tests.support.media import data_url, png
from tests.support.tables import tables_of
from themis_lib import (
    FatalError,
    InMemoryRunStore,
    PromptSpec,
    RowError,
    RunStatus,
    RuntimeConfig,
)
from themis_lib.adapters import langgraph


def test_graph_of_own_make_runs() -> None:
    """An object with the methods of a graph is one: its events are the trace, `ainvoke`
    gives what they lack.
    """
    generator = langgraph(PlanningGraph(), graph_id="fake-graph", output_key="answer")

    result = experiment(generator, inputs=[{"question": "2+2"}]).run()

    (candidate,) = candidates(result)
    assert RunStatus.COMPLETED == result.status
    assert "4" == candidate.final_output
    (step,) = candidate.trace or []
    assert ("plan", "step") == (step.name, step.event)
    assert ({"question": "2+2"}, {"proposed_answer": "4"}) == (step.input, step.output)
    assert 1 == CALLS["ainvoke"]


def test_graph_runs_once_a_row() -> None:
    """Trace and answer come from one run: each node is called once for each row that
    comes by it.
    """
    result = experiment(langgraph(make_graph(), output_key="answer")).run()

    assert ["one/7", "two/7", "three/7"] == [
        candidate.final_output for candidate in candidates(result)
    ]
    assert {"plan": 3, "write": 3, "think": 1} == CALLS


def test_checkpointer_carries_nothing_over() -> None:
    """Every row is a thread of its own, whatever thread the user's config names."""

    def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(str(len(state["messages"])))]}

    graph = one_node(node, MessagesState, checkpointer=MemorySaver())
    generator = langgraph(graph, config={"configurable": {"thread_id": "mine"}})

    result = experiment(
        generator, inputs=[[{"role": "user", "content": "hi"}]] * 3, seeds=[1, 2]
    ).run()

    assert {"1"} == {
        candidate.final_output["messages"][-1]["content"]
        for candidate in candidates(result)
    }


def loop() -> Any:
    builder = StateGraph(State)
    builder.add_node("again", lambda state: {"log": ["again"]})
    builder.add_edge("__start__", "again")
    builder.add_edge("again", "again")
    return builder.compile()


def ask(state: State) -> State:
    count("ask")
    return {"answer": interrupt({"question": "go on?"})}


@pytest.mark.parametrize(
    ("generator", "said"),
    [
        (
            langgraph(loop(), config={"recursion_limit": 4}),
            "Recursion limit of 4 reached",
        ),
        (langgraph(one_node(ask)), 'wait for a person.*"go on\\?"'),
        (
            langgraph(one_node(ask, checkpointer=MemorySaver())),
            'wait for a person.*"go on\\?"',
        ),
        (
            langgraph(SyncOnly(one_node(ask, checkpointer=MemorySaver()))),
            'wait for a person.*"go on\\?"',
        ),
        (
            langgraph(
                one_node(echo, checkpointer=MemorySaver(), interrupt_before=["node"])
            ),
            "wait for a person",
        ),
        (
            langgraph(one_node(lambda state: {"log": []}), output_key="answer"),
            "no 'answer'; its keys are 'input'",
        ),
        (
            langgraph(Invoked(), output_key="anser"),
            "no 'anser'; its keys are 'answer', 'thread'",
        ),
    ],
    ids=[
        "recursion",
        "interrupt",
        "checkpointer",
        "sync",
        "before a node",
        "unwritten key",
        "unknown key",
    ],
)
def test_what_would_happen_again_is_a_fact(generator: Any, said: str) -> None:
    """A graph that never ends, waits for a person or lacks its answer is recorded in
    its row, and not run again.
    """
    store = InMemoryRunStore()
    with pytest.raises(RowError, match=said):
        answer(generator, "a")

    first = experiment(generator, inputs=["a"]).run(store=store)
    again = experiment(generator, inputs=["a"]).run(store=store)

    assert 1 == first.progress["generate"].errors
    assert 0 == again.progress["generate"].computed


def test_exception_of_a_node_is_not_cached() -> None:
    """What a node raises may not happen again: the next run tries."""
    store, attempts = InMemoryRunStore(), []

    def fail_first(state: State) -> State:
        attempts.append(state)
        if len(attempts) == 1:
            raise KeyError("not yet")
        return {"answer": "now"}

    generator = langgraph(one_node(fail_first), output_key="answer")
    first = experiment(generator, inputs=["a"]).run(store=store)
    again = experiment(generator, inputs=["a"]).run(store=store)

    assert "KeyError: 'not yet'" in str(candidates(first)[0].error)
    assert "now" == candidates(again)[0].final_output


def refusing(
    kind: type[openai.APIStatusError], status: int, attempts: list[State]
) -> Any:
    """A graph whose node is refused by OpenAI the first time it asks."""

    def node(state: State) -> State:
        attempts.append(state)
        if len(attempts) == 1:
            request = httpx2.Request("POST", "https://api.openai.com/v1/responses")
            response = httpx2.Response(status, request=request)
            raise kind(
                "refused", response=response, body={"message": f"refused with {status}"}
            )
        return {"answer": "now"}

    return langgraph(one_node(node), output_key="answer")


def test_refused_credential_of_a_node_stops_the_run() -> None:
    """OpenAI's 401 inside a graph is the end of the run, as it is of the adapter's own
    requests.
    """
    attempts: list[State] = []
    generator = refusing(openai.AuthenticationError, 401, attempts)

    with pytest.raises(
        FatalError,
        match=r"^the provider refuses the credential; check the API key: HTTP 401: refused",
    ):
        experiment(generator, runtime=RuntimeConfig(max_concurrency=1)).run()

    assert 1 == len(attempts)


def test_rate_limit_of_a_node_is_transient() -> None:
    """OpenAI's 429 inside a graph fails the row for this run alone: the next run asks
    again.
    """
    store, attempts = InMemoryRunStore(), []
    generator = refusing(openai.RateLimitError, 429, attempts)

    first = experiment(generator, inputs=["a"]).run(store=store)
    again = experiment(generator, inputs=["a"]).run(store=store)

    assert ["TransientError: HTTP 429: refused with 429"] == [
        row.error for row in candidates(first)
    ]
    assert (1, 0) == (
        first.progress["generate"].failed,
        first.progress["generate"].computed,
    )
    assert ["now"] == [row.final_output for row in candidates(again)]


@pytest.mark.parametrize(
    ("edit", "calls"),
    [
        ({}, 0),
        ({"metadata": {"topic": "words"}}, 0),
        ({"runtime": RuntimeConfig(max_concurrency=1)}, 0),
        ({"prompt_spec": PromptSpec(prefix="p")}, 3),
        ({"seeds": [8]}, 3),
        ({"inputs": ["one", "two", "three", "four"]}, 1),
        ({"source": replaced(*EDITS["node"])}, 3),
        ({"source": replaced(*IDLE_EDITS["comment"])}, 0),
        ({"input_builder": "edited_graph:build_input"}, 3),
    ],
    ids=[
        "nothing",
        "metadata",
        "concurrency",
        "prompt spec",
        "seed",
        "a case added",
        "body of a node",
        "comment of a node",
        "input builder",
    ],
)
def test_edit_costs_what_the_table_says(
    edit: dict[str, Any], calls: int, load: Callable[[str], str], tmp_path: Path
) -> None:
    """Runs of the graph after an edit to a warm experiment."""
    store = str(tmp_path / "store")
    experiment(langgraph(load(MODULE), output_key="answer"), store).run()
    CALLS.clear()
    edit = dict(edit)
    settings = {name: edit.pop(name) for name in ["input_builder"] if name in edit}
    graph = load(edit.pop("source", MODULE))

    experiment(langgraph(graph, output_key="answer", **settings), store, **edit).run()

    assert calls == CALLS["node"]


def test_configuration_names_it(tmp_path: Path, prefect_api: str) -> None:
    """`use: langgraph` in a file gives the same tables as the object, also through the
    flow.
    """
    spec = {
        "name": "graph",
        "generation": {
            "generator": {
                "use": "langgraph",
                "graph": "tests.support.graphs:graph",
                "output_key": "answer",
            }
        },
        "evaluation": {"metrics": ["builtin/exact_match"]},
        "datasets": [
            {
                "dataset_id": "words",
                "cases": [
                    {"case_id": str(number), "input": value, "expected_output": "one/7"}
                    for number, value in enumerate(INPUTS)
                ],
            }
        ],
        "storage": {"store": str(tmp_path / "flow")},
        "seeds": [7],
    }

    through_flow = run_through_flow(spec, tmp_path, prefect_api)
    in_process = experiment(
        langgraph(make_graph, output_key="answer"), str(tmp_path / "process")
    ).run()

    assert tables_of(in_process) == tables_of(through_flow)


def test_second_run_computes_nothing(tmp_path: Path) -> None:
    """An evaluation of a graph is cached like any other, whichever way the graph is
    given.
    """
    first = experiment(
        langgraph(make_graph(), output_key="answer"), str(tmp_path)
    ).run()
    CALLS.clear()
    second = experiment(
        langgraph("tests.support.graphs:graph", output_key="answer"), str(tmp_path)
    ).run()

    assert {} == CALLS
    assert [0] * len(second.progress) == [
        stage.computed for stage in second.progress.values()
    ]
    assert [one.final_output for one in candidates(first)] == [
        one.final_output for one in candidates(second)
    ]


def test_thread_id_reaches_no_row(tmp_path: Path) -> None:
    """What differs from run to run is in no column that a later stage reads."""

    def kept(folder: str) -> list[Any]:
        result = experiment(
            langgraph(make_graph(), output_key="answer"), str(tmp_path / folder)
        ).run()
        return [one.model_dump(exclude={"latency_s"}) for one in candidates(result)]

    assert kept("first") == kept("second")


@pytest.mark.parametrize("in_turn", [False, True])
def test_graph_is_given_parts_as_chat_models_read_them(in_turn: bool) -> None:
    """Parts of any form, as a message; files with their data."""
    text = {"type": "text", "text": "q"}
    parts = [text, {"type": "image", "url": data_url(png(), "image/png")}]
    value: Any = [{"role": "user", "content": parts}] if in_turn else parts
    given: list[Any] = []

    def answer_all(state: MessagesState) -> dict[str, Any]:
        given.extend(state["messages"])
        return {"messages": [AIMessage("seen")]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer_all)
    graph.set_entry_point("answer")
    generator = langgraph(graph.compile())
    result = experiment(generator, inputs=[value]).run()

    image = {"type": "image_url", "image_url": {"url": data_url(png(), "image/png")}}
    assert [None] == [candidate.error for candidate in candidates(result)]
    assert [[text, image]] == [message.content for message in given]
