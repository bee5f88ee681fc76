"""The generator `langgraph`: a graph runtime in an evaluation."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import httpx2
import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import MemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt
from pydantic import BaseModel

from tests.support.counting import CALLS, count
from tests.support.drivers import run_through_flow
from tests.support.graphs import (
    Adder,
    State,
    SyncOnly,
    make_agent,
    make_graph,
    make_sync_graph,
    make_telling_graph,
    one_node,
)
from tests.support.names import without_addresses
from tests.support.tables import tables_of
from themis_lib import (
    Case,
    ComponentError,
    Dataset,
    EvaluationConfig,
    Experiment,
    FatalError,
    GenerationConfig,
    InMemoryRunStore,
    PromptSpec,
    RowError,
    RunResult,
    RunStatus,
    RuntimeConfig,
    StorageConfig,
    ThemisError,
    TransientError,
)
from themis_lib.adapters import langgraph
from themis_lib.components.build import build, component_identity
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import GenerationResult

INPUTS: list[Any] = ["one", "two", "three"]


@pytest.fixture(autouse=True)
def _calls() -> None:
    CALLS.clear()


def experiment(
    generator: Any,
    store: str = "memory",
    *,
    inputs: list[Any] | None = None,
    prompt_spec: PromptSpec | None = None,
    metadata: dict[str, Any] | None = None,
    seeds: list[int] | None = None,
    runtime: RuntimeConfig | None = None,
) -> Experiment:
    cases = [
        Case(
            case_id=str(number),
            input=value,
            expected_output="one/7",
            metadata=metadata or {},
        )
        for number, value in enumerate(inputs or INPUTS)
    ]
    return Experiment(
        generation=GenerationConfig(
            generator=generator, prompt_spec=prompt_spec or PromptSpec()
        ),
        evaluation=EvaluationConfig(metrics=["builtin/exact_match"]),
        storage=StorageConfig(store=store),
        runtime=runtime or RuntimeConfig(),
        datasets=[Dataset(dataset_id="words", cases=cases)],
        seeds=seeds or [7],
    )


def candidates(result: RunResult) -> list[GenerationResult]:
    return [
        candidate for case in result.cases for candidate in case.generated_candidates
    ]


def answer(
    generator: Any, value: Any, *, seed: int = 7, **spec: Any
) -> GenerationResult:
    return asyncio.run(answer_async(generator, value, seed=seed, **spec))


async def answer_async(
    generator: Any, value: Any, *, seed: int = 7, **spec: Any
) -> GenerationResult:
    generator.check()
    context = GenerateContext("run", "case", "dataset", seed, None, PromptSpec(**spec))
    return await generator.generate(Case(case_id="case", input=value), context)


def identity(graph: Any, **settings: Any) -> dict[str, Any]:
    return component_identity("generator", langgraph(graph, **settings))


class PlanningGraph:
    """As users fake one: an event of its own make, and an answer only when it is
    invoked.
    """

    async def ainvoke(self, payload: object) -> object:
        count("ainvoke")
        return {"answer": "4", "input": payload}

    async def astream_events(
        self, payload: object, *, version: str
    ) -> AsyncIterator[dict[str, Any]]:
        del version
        yield {
            "name": "plan",
            "event": "step",
            "data": {"input": payload, "output": {"proposed_answer": "4"}},
        }


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


def test_graph_of_own_make_needs_no_langgraph() -> None:
    """Without the package `langgraph`, objects that bring their own runtime are
    evaluated all the same.
    """
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

    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    assert "aa" == said.strip()


def test_graph_runs_once_a_row() -> None:
    """Trace and answer come from one run: each node is called once for each row that
    comes by it.
    """
    result = experiment(langgraph(make_graph(), output_key="answer")).run()

    assert ["one/7", "two/7", "three/7"] == [
        candidate.final_output for candidate in candidates(result)
    ]
    assert {"plan": 3, "write": 3, "think": 1} == CALLS


def test_trace_holds_a_step_for_each_node() -> None:
    """Nodes in the order they ended, with what they were given and gave; those of a
    subgraph before it.
    """
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


def test_trace_holds_tools_and_models() -> None:
    """An agent's calls of models and tools are steps; tokens are summed, and the
    conversation is kept.
    """
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
    """Roles, contents and tool calls; no ids of LangChain's, so that the same answer is
    the same row.
    """
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


def test_seed_and_prompt_spec_reach_the_nodes() -> None:
    """`configurable` holds them, with what the user's own config has there."""
    seen: list[dict[str, Any]] = []

    def node(state: State, config: RunnableConfig) -> State:
        seen.append(dict(config["configurable"]))
        return {"answer": "seen"}

    generator = langgraph(
        one_node(node),
        config={"recursion_limit": 5, "configurable": {"style": "terse", "seed": 1}},
    )
    answer(generator, "hello", seed=9, prefix="Think.")

    assert "terse" == seen[0]["style"]
    assert 9 == seen[0]["seed"]
    assert {
        "instructions": None,
        "prefix": "Think.",
        "suffix": None,
        "blocks": [],
    } == seen[0]["prompt_spec"]


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


class Echo(TypedDict, total=False):
    input: Any
    question: str
    messages: list[Any]
    given: Any


def echo(state: Echo) -> dict[str, Any]:
    return {"given": dict(state)}


@pytest.mark.parametrize(
    ("value", "given"),
    [
        ("2+2", {"input": "2+2"}),
        (4, {"input": 4}),
        ({"question": "2+2"}, {"question": "2+2"}),
        (["a", "b"], {"input": ["a", "b"]}),
        (
            [{"role": "user", "content": "hi"}],
            {"messages": [{"role": "user", "content": "hi"}]},
        ),
        (
            [{"role": "admin", "name": "Eve"}],
            {"input": [{"role": "admin", "name": "Eve"}]},
        ),
        ([], {"input": []}),
    ],
)
def test_graph_is_given_the_input(value: Any, given: Any) -> None:
    """An object as it is, messages as messages, anything else as `input`."""
    assert (
        given
        == answer(
            langgraph(one_node(echo, Echo), output_key="given"), value
        ).final_output
    )


def with_topic(case: Case, ctx: GenerateContext) -> Any:
    return {"question": f"{case.input} ({case.metadata.get('topic')})"}


@pytest.mark.parametrize(
    "builder", [with_topic, f"{__name__}:with_topic"], ids=["function", "name"]
)
def test_input_builder_makes_what_the_graph_is_given(builder: Any) -> None:
    """It sees the columns that the adapter reads, and no others."""
    settings = {"output_key": "given", "input_builder": builder}
    blind = langgraph(one_node(echo, Echo), **settings)
    reading = langgraph(one_node(echo, Echo), **settings, reads=("input", "metadata"))

    seen = [
        candidates(
            experiment(generator, inputs=["2+2"], metadata={"topic": "sums"}).run()
        )[0].final_output
        for generator in (blind, reading)
    ]

    assert [{"question": "2+2 (None)"}, {"question": "2+2 (sums)"}] == seen


def test_node_that_changes_its_input_changes_it_for_itself() -> None:
    """Another sample of the same case starts from the case's input."""

    def grow(state: Echo) -> dict[str, Any]:
        state["input"].append("more")
        return {"given": list(state["input"])}

    result = experiment(
        langgraph(one_node(grow, Echo), output_key="given"),
        inputs=[["a"]],
        seeds=[1, 2, 3],
    ).run()

    assert [["a", "more"]] * 3 == [
        candidate.final_output for candidate in candidates(result)
    ]


def test_sync_graph_runs_once_in_a_thread() -> None:
    """An object with sync methods alone is streamed off the loop: a step for each node,
    then its last values.
    """
    result = experiment(
        langgraph(SyncOnly(make_sync_graph()), output_key="answer")
    ).run()

    assert ["oneone", "twotwo", "threethree"] == [
        candidate.final_output for candidate in candidates(result)
    ]
    assert ["plan", "double"] == [
        step.name for step in candidates(result)[0].trace or []
    ]
    assert {"plan": 3, "double": 3} == CALLS


class Invoked:
    """A graph that can be invoked and nothing else."""

    def invoke(self, payload: Any) -> Any:
        count("invoke")
        return {
            "answer": payload["input"] * 2,
            "thread": threading.current_thread() is threading.main_thread(),
        }


class InvokedAsync:
    async def ainvoke(self, payload: Any) -> Any:
        count("invoke")
        return {"answer": payload["input"] * 2, "thread": False}


@pytest.mark.parametrize("graph", [Invoked(), InvokedAsync()], ids=["sync", "async"])
def test_graph_without_a_stream_is_invoked(graph: Any) -> None:
    """It is run once, off the loop if it blocks; there are no steps to tell of."""
    result = answer(langgraph(graph), "a")

    assert {"answer": "aa", "thread": False} == result.final_output
    assert [] == result.trace
    assert 1 == CALLS["invoke"]


def test_timeout_stops_an_async_graph() -> None:
    """A row given up cancels the node it is at."""
    ended = []

    async def wait(state: State) -> State:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("wait")
        return {"answer": "late"}

    began = time.monotonic()
    result = experiment(
        langgraph(one_node(wait)), inputs=["a"], runtime=RuntimeConfig(timeout_s=0.2)
    ).run()

    assert ["wait"] == ended
    assert 10 > time.monotonic() - began
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


class Verdict(BaseModel):
    right: bool
    at: Path = Path("a/b")


@dataclasses.dataclass
class Found:
    verdict: Verdict
    said: HumanMessage


class Anything(TypedDict, total=False):
    input: str
    value: Any


def returning(value: Any) -> Any:
    def node(state: Anything) -> dict[str, Any]:
        return {"value": value}

    return langgraph(one_node(node, Anything), output_key="value")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Verdict(right=True), {"right": True, "at": "a/b"}),
        (
            Found(Verdict(right=False), HumanMessage("hi")),
            {
                "verdict": {"right": False, "at": "a/b"},
                "said": {"role": "user", "content": "hi"},
            },
        ),
        ({"b", "a"}, ["a", "b"]),
        ((1, None), [1, None]),
    ],
)
def test_outputs_become_json(value: Any, expected: Any) -> None:
    """Models, dataclasses and messages are kept as JSON."""
    assert expected == answer(returning(value), "a").final_output


@pytest.mark.parametrize("value", [object(), {"deep": [threading.Lock()]}])
def test_output_that_is_not_json_is_a_fact(value: Any) -> None:
    """The row says what cannot be kept."""
    result = experiment(returning(value), inputs=["a"]).run()

    assert 1 == result.progress["generate"].errors
    assert "is not JSON" in str(candidates(result)[0].error)


def test_trace_names_what_is_not_json() -> None:
    """A state may hold anything as long as the answer is JSON."""

    def node(state: Anything) -> dict[str, Any]:
        return {"value": {"client": object(), "share": float("nan")}, "input": "answer"}

    result = answer(langgraph(one_node(node, Anything), output_key="input"), "a")

    assert "answer" == result.final_output
    assert {"client": "<object>", "share": "nan"} == (result.trace or [])[0].output[
        "value"
    ]


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


MODULE = '''
from functools import partial
from typing import Any, TypedDict

from langgraph.graph import StateGraph
from tests.support.counting import count

class State(TypedDict, total=False):
    input: str
    answer: str

def shout(text):
    return text + "!"

def inner(state: State) -> State:
    """Doubles."""
    return {"answer": state["answer"] * 2}  # twice

def sub():
    builder = StateGraph(State)
    builder.add_node("inner", inner)
    builder.add_edge("__start__", "inner")
    return builder.compile()

def route(state):
    return "outer" if state["input"] else "__end__"

class Style:
    def __init__(self, mark):
        self.mark = mark
        self.calls = 0

    def __call__(self, state: State) -> State:
        self.calls += 1
        return {"answer": state["answer"] + self.mark}

def make(word, style):
    def node(state: State) -> State:
        count("node")
        return {"answer": shout(state["input"] + word)}

    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_node("outer", sub())
    builder.add_node("style", style)
    builder.add_node("bound", partial(bind, end="."))
    builder.add_edge("__start__", "node")
    builder.add_conditional_edges("node", route)
    builder.add_edge("outer", "style")
    builder.add_edge("style", "bound")
    return builder.compile()

def bind(state: State, end: str) -> State:
    return {"answer": state["answer"] + end}

def graph():
    return make("-", Style("~"))

def build_input(case, ctx):
    return {"input": case.input}
'''
EDITS = {
    "node": ('shout(state["input"] + word)', 'shout(word + state["input"])'),
    "what a node names": ('text + "!"', 'text + "?"'),
    "what a node closes over": ('make("-"', 'make("+"'),
    "subgraph": ("* 2}  # twice", "* 3}  # twice"),
    "branch": ('if state["input"]', 'if not state["input"]'),
    "setting of a node": ('Style("~")', 'Style("^")'),
    "argument of a node": ('end="."', 'end=";"'),
    "edge": ('builder.add_edge("style", "bound")', 'builder.add_edge("node", "bound")'),
    "state": ("    answer: str\n", "    answer: str | None\n"),
}
IDLE_EDITS = {
    "comment": ("# twice", "# two times"),
    "docstring": ('"""Doubles."""', '"""Twice as long."""'),
    "layout": ("def graph():\n", "def graph():\n\n"),
}
Load = Callable[[str], str]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Writes a source text as the module `edited_graph`, imported anew, and returns the
    name of its graph.
    """
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load_source(source: str) -> str:
        (tmp_path / "edited_graph.py").write_text(source)
        sys.modules.pop("edited_graph", None)
        importlib.invalidate_caches()
        return "edited_graph:graph"

    return load_source


def replaced(old: str, new: str) -> str:
    assert old in MODULE
    return MODULE.replace(old, new)


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_code_of_a_graph_is_identity(edit: tuple[str, str], load: Load) -> None:
    """Whatever can change an answer changes the fingerprint."""
    before = identity(load(MODULE))

    assert before != identity(load(replaced(*edit)))


@pytest.mark.parametrize("edit", IDLE_EDITS.values(), ids=IDLE_EDITS)
def test_comments_of_a_graph_are_not_identity(
    edit: tuple[str, str], load: Load
) -> None:
    """What cannot change an answer costs nothing."""
    before = identity(load(MODULE))

    assert before == identity(load(replaced(*edit)))


def test_what_a_run_leaves_behind_is_not_identity(load: Load) -> None:
    """A node that counts its calls is the same node afterwards."""
    load(MODULE)
    graph = importlib.import_module("edited_graph").graph()
    before = identity(graph)

    answer(langgraph(graph), "a")

    assert before == identity(graph)


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
    edit: dict[str, Any], calls: int, load: Load, tmp_path: Path
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


@pytest.mark.parametrize(
    "settings",
    [
        {"graph_id": "other"},
        {"output_key": "answer"},
        {"input_builder": with_topic},
        {"reads": ("input", "metadata")},
        {"config": {"recursion_limit": 9}},
        {"config": {"configurable": {"style": "terse"}}},
    ],
    ids=without_addresses,
)
def test_every_setting_is_identity(settings: dict[str, Any]) -> None:
    """Whatever can change a row changes its key."""
    assert identity(make_graph()) != identity(make_graph(), **settings)


def test_model_inside_a_node_is_identity() -> None:
    """A node that closes over a model is another one with another model."""
    assert identity(make_agent()) == identity(make_agent(Adder()))
    assert identity(make_agent()) != identity(make_agent(Adder(model="adder-2")))


def test_graph_behind_an_object_is_identity() -> None:
    """An object that runs a graph is another one with another graph."""
    assert identity(SyncOnly(make_sync_graph())) == identity(
        SyncOnly(make_sync_graph())
    )
    assert identity(SyncOnly(make_sync_graph())) != identity(SyncOnly(make_graph()))


def joined(reducer: Any) -> Any:
    return one_node(
        echo, TypedDict("Joined", {"messages": Annotated[list[Any], reducer]})
    )  # type: ignore[misc]


def test_reducer_of_the_state_is_identity() -> None:
    """How updates are joined is part of the graph."""
    assert identity(joined(add_messages)) != identity(joined(lambda old, new: new))


def test_credentials_and_runtime_are_not_identity() -> None:
    """A config's credentials and callbacks change no key, and no value of the user's
    own is written down.
    """
    plain = {"configurable": {"endpoint": "https://user:sesame@host"}}
    watched = {
        "callbacks": [],
        "max_concurrency": 3,
        "configurable": {**plain["configurable"], "openai_api_key": "sesame"},
    }

    assert identity(make_graph(), config=plain) == identity(
        make_graph(), config=watched
    )
    assert "sesame" not in str(identity(make_graph(), config=watched))


@pytest.fixture
def service_key(monkeypatch: pytest.MonkeyPatch) -> str:
    """The value of the environment variable `SERVICE_KEY`."""
    monkeypatch.setenv("SERVICE_KEY", "told-51c7/e90d 2b")
    return os.environ["SERVICE_KEY"]


def telling(key: str = "${SERVICE_KEY}", graph: Any = None) -> Any:
    return langgraph(
        graph or make_telling_graph(), config={"configurable": {"service_key": key}}
    )


@pytest.mark.parametrize(
    "graph",
    [make_telling_graph(), SyncOnly(make_telling_graph())],
    ids=["events", "stream"],
)
def test_credential_of_the_config_is_in_no_result(graph: Any, service_key: str) -> None:
    """What a graph says of a key that its config names is taken out of output and
    trace.
    """
    result = answer(telling(graph=graph), "answer")

    assert {
        "input": "answer",
        "answer": "it is ***",
        "log": ["***"],
    } == result.final_output
    assert {"answer": "it is ***", "log": ["***"]} == (result.trace or [])[0].output
    assert service_key not in str(result)


@pytest.mark.parametrize(
    ("way", "kind", "said"),
    [
        ("fact", RowError, "refused ***"),
        ("surprise", ThemisError, "ValueError: refused ***"),
        ("lost", TransientError, "ConnectionError: refused ***"),
        ("end", FatalError, "refused ***"),
        ("interrupt", RowError, 'it asks {"key":"***"}'),
    ],
)
def test_credential_of_the_config_is_in_no_error(
    way: str,
    kind: type[Exception],
    said: str,
    service_key: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What a graph raises means what it meant, without the key; nor is it in the log or
    in a traceback.
    """
    caplog.set_level("DEBUG")
    with pytest.raises(ThemisError) as raised:
        answer(telling(), way)

    assert kind is type(raised.value)
    assert str(raised.value).endswith(said)
    assert (
        service_key
        not in "".join(traceback.format_exception(raised.value)) + caplog.text
    )
    assert (way == "lost") == ("Retrying task" in caplog.text)


def test_credential_is_known_by_its_key_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable may have any name."""
    monkeypatch.setenv("MY_PAT", "told-51c7-e90d")
    assert "it is ***" == answer(telling("${MY_PAT}"), "answer").final_output["answer"]


def test_credential_that_is_a_word_stays_in_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A graph may say such a word by itself; errors do not show it."""
    monkeypatch.setenv("SERVICE_KEY", "ollama")
    assert "it is ollama" == answer(telling(), "answer").final_output["answer"]
    with pytest.raises(RowError, match=r"refused \*\*\*"):
        answer(telling(), "fact")


def test_graph_without_credentials_is_left_alone(service_key: str) -> None:
    """Where the config names none, answers and exceptions are the graph's own."""
    assert "it is plain" == answer(telling("plain"), "answer").final_output["answer"]
    with pytest.raises(ValueError, match="refused") as raised:
        answer(telling("plain"), "surprise")
    assert "refused plain" == str(raised.value)


def test_fingerprint_is_the_same_in_every_process() -> None:
    """No address and no order of a set enters it."""
    program = (
        "from tests.support.graphs import *\n"
        "from themis_lib.adapters import langgraph\n"
        "for graph in (make_graph(), make_agent(), SyncOnly(make_sync_graph())):\n"
        "    print(langgraph(graph, config={'tags': ['a', 'b']}).fingerprint())\n"
    )

    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }

    assert 1 == len(said)


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


def raising() -> Any:
    raise OSError("no disk")


async def later() -> Any:
    return make_graph()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "needs the parameter 'graph'"),
        (
            {"graph": "nowhere:graph"},
            "graph 'nowhere:graph' cannot be imported: No module named 'nowhere'",
        ),
        (
            {"graph": "tests.support.graphs:grahp"},
            "module 'tests.support.graphs' has no 'grahp'; did you mean 'graph'",
        ),
        ({"graph": "graph"}, "write `module:attribute`"),
        ({"graph": 3}, "graph is int, which cannot be run; it needs `astream_events`"),
        ({"graph": StateGraph(State)}, "compile it first: `graph.compile\\(\\)`"),
        ({"graph": Invoked}, "'Invoked' is a class; give an instance"),
        ({"graph": raising}, "its function raised OSError: no disk"),
        ({"graph": later}, "its function is async"),
        (
            {"graph": one_node},
            "its function raised .*missing 1 required positional argument",
        ),
        (
            {"output_key": "anser"},
            "output_key='anser': the graph has no such output; did you mean 'answer'",
        ),
        ({"input_builder": "tests.support.graphs:nothing"}, "has no 'nothing'"),
        ({"input_builder": later}, "input_builder is .*not async"),
        ({"input_builder": 3}, "input_builder is 3"),
        ({"config": {"configurable": 3}}, "config.configurable is no object"),
        ({"config": "fast"}, "config"),
        ({"reads": "input"}, "reads"),
        ({"reads": ["imput"]}, "did you mean 'input'"),
        ({"output_kye": "answer"}, "did you mean 'output_key'"),
    ],
    ids=without_addresses,
)
def test_bad_settings_are_named_before_anything_runs(
    settings: dict[str, Any], said: str
) -> None:
    """A setting that cannot be used is one error that names its place."""
    spec = {
        "use": "langgraph",
        **({"graph": "tests.support.graphs:graph"} if settings else {}),
        **settings,
    }

    with pytest.raises(ComponentError, match=f"^generation.generator: .*{said}"):
        build("generator", spec, where="generation.generator")
