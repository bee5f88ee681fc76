"""How a graph is called: by the best of the methods that it has, and once per row."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph.graph import StateGraph

from tests.support.counting import CALLS, count
from tests.support.graph_runs import candidates, experiment
from tests.support.graphs import (
    Invoked,
    InvokedAsync,
    PlanningGraph,
    State,
    SyncOnly,
    graph,
    make_graph,
    make_sync_graph,
    one_node,
)
from tests.support.new_process import printed_in_new_process
from themis_lib import ComponentError, RowError, RunStatus, RuntimeConfig
from themis_lib.adapters import langgraph
from themis_lib.adapters.langgraph_calls import load_graph, run_graph
from themis_lib.core.models import GenerationResult

CONFIG = {"configurable": {"seed": 7, "prompt_spec": {"prefix": ""}, "thread_id": "1"}}


def run(graph: Any, value: str = "a") -> GenerationResult:
    return asyncio.run(run_graph(graph, {"input": value}, CONFIG)).result(None)


def steps(result: GenerationResult) -> list[str]:
    return [step.name for step in result.trace or []]


@pytest.mark.parametrize(
    "given",
    [graph, lambda: graph, "tests.support.graphs:graph"],
    ids=["object", "function", "name"],
)
def test_graph_is_given_itself_by_a_function_or_by_name(given: Any) -> None:
    """Each of them loads the same object."""
    assert graph is load_graph(given)


def test_name_may_be_that_of_a_function() -> None:
    """The function is called once it is imported."""
    loaded = load_graph("tests.support.graphs:make_sync_graph")

    assert ["plan", "double"] == steps(run(loaded))


def raising() -> Any:
    raise OSError("no disk")


async def later() -> Any:
    return make_graph()


class Deaf:
    """An object whose `stream` cannot stream its steps together with its output."""

    def stream(self, payload: Any) -> Any:
        return payload


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "nowhere:graph",
            "^graph 'nowhere:graph' cannot be imported: No module named 'nowhere'",
        ),
        ("tests.support.graphs:grahp", "has no 'grahp'; did you mean 'graph'"),
        ("graph", "write `module:attribute`"),
        (raising, "^graph: its function raised OSError: no disk$"),
        (one_node, "its function raised .*missing 1 required positional argument"),
        (later, "^graph: its function is async; give one that is not, or the graph"),
        (Invoked, "^graph 'Invoked' is a class; give an instance of it$"),
        (3, "^graph is int, which cannot be run; it needs `astream_events`, `ainvoke`"),
        (Deaf(), "^graph is Deaf, which cannot be run; .* `stream` with a `stream_mod"),
        (StateGraph(State), r"^graph is StateGraph, .*compile it first: `graph.comp"),
    ],
    ids=[
        "module",
        "attribute",
        "no name",
        "raises",
        "needs arguments",
        "async",
        "class",
        "number",
        "stream alone",
        "builder",
    ],
)
def test_graph_that_cannot_be_run_is_refused(given: Any, said: str) -> None:
    """The message says what it is, and what to give instead."""
    with pytest.raises(ComponentError, match=said):
        load_graph(given)


def test_event_stream_is_preferred() -> None:
    """Steps and output come from one run of the graph."""
    result = run(make_graph(), "one")

    assert ["plan", "write", "writer"] == steps(result)
    assert "one/7" == result.final_output["answer"]
    assert {"plan": 1, "write": 1} == CALLS


def test_output_that_the_events_lack_is_asked_for() -> None:
    """A user's own graph may stream its steps alone."""
    result = run(PlanningGraph())

    assert ["plan"] == steps(result)
    assert {"answer": "4", "input": {"input": "a"}} == result.final_output
    assert 1 == CALLS["ainvoke"]


def test_sync_graph_is_streamed_once_in_a_thread() -> None:
    """A step for each node; the last values are the output."""
    result = run(SyncOnly(make_sync_graph()))

    assert ["plan", "double"] == steps(result)
    assert "aa" == result.final_output["answer"]
    assert {"plan": 1, "double": 1} == CALLS


@pytest.mark.parametrize("graph", [Invoked(), InvokedAsync()], ids=["sync", "async"])
def test_graph_without_a_stream_is_invoked(graph: Any) -> None:
    """It is run once, in a thread if it blocks; there are no steps."""
    result = run(graph)

    assert {"answer": "aa", "thread": False} == result.final_output
    assert [] == result.trace
    assert 1 == CALLS["invoke"]


class Telling:
    """A graph that returns the options with which it was called."""

    async def ainvoke(self, payload: Any, **options: Any) -> Any:
        return options


class Asked:
    """A graph that knows `config` by name."""

    async def ainvoke(self, payload: Any, config: Any = None) -> Any:
        return {"config": config}


@pytest.mark.parametrize("graph", [Telling(), Asked()], ids=["any", "by name"])
def test_graph_is_given_the_options_that_it_accepts(graph: Any) -> None:
    """A user's own need not know those of LangGraph."""
    assert {"config": CONFIG} == run(graph).final_output


class Endless:
    """A graph whose events never come to an output, and that cannot be invoked."""

    async def astream_events(self, payload: Any) -> AsyncIterator[Any]:
        yield {"name": "plan", "event": "step", "data": {}}


def test_graph_without_an_output_is_the_error_of_its_row() -> None:
    """It would end so again."""
    with pytest.raises(RowError, match=r"^the graph ended without a final output$"):
        run(Endless())


def test_graph_of_own_make_needs_no_langgraph() -> None:
    """An object that brings its own runtime is evaluated without the package."""
    program = (
        "import asyncio, sys\n"
        "sys.modules['langgraph'] = sys.modules['langchain_core'] = None\n"
        "from themis_lib import evaluate\n"
        "from themis_lib.adapters import langgraph\n"
        "class Graph:\n"
        "    def invoke(self, payload):\n"
        "        return {'answer': payload['input'] * 2}\n"
        "result = evaluate(model=langgraph(Graph(), output_key='answer'), data=[{'input': 'a'}])\n"
        "print(result.cases[0].generated_candidates[0].final_output)\n"
    )

    said = printed_in_new_process(program)

    assert "aa" == said.strip()


def test_timeout_stops_an_async_graph() -> None:
    """A row given up cancels the node it is at."""
    ended = []

    async def wait(state: State) -> State:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("wait")
        return {"answer": "late"}

    result = experiment(
        langgraph(one_node(wait)), inputs=["a"], runtime=RuntimeConfig(timeout_s=0.2)
    ).run()

    assert ["wait"] == ended
    assert RunStatus.FAILED == result.status
    assert "TimeoutError" in str(candidates(result)[0].error)


def test_timeout_stops_a_sync_graph_after_its_step() -> None:
    """A thread cannot be ended, but the node after the one it is at is not called."""
    is_over = threading.Event()

    class Stepping:
        def stream(self, payload: Any, stream_mode: Any) -> Any:
            try:
                for number in range(1000):
                    count("step")
                    time.sleep(0.05)
                    yield "updates", {"step": number}
            finally:
                is_over.set()

    experiment(
        langgraph(Stepping()), inputs=["a"], runtime=RuntimeConfig(timeout_s=0.2)
    ).run()

    assert is_over.wait(10)
    assert 100 > CALLS["step"]
