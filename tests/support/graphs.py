"""Graphs under test, named in experiments as `tests.support.graphs:…`; their nodes
count their calls.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import RetryPolicy, interrupt

from tests.support.counting import Generator, Judge, count
from themis_lib import Case, FatalError, PromptSpec, RowError
from themis_lib.core.contexts import GenerateContext


class State(TypedDict, total=False):
    input: str
    plan: str
    answer: str
    log: Annotated[list[str], operator.add]


def plan(state: State, config: RunnableConfig) -> State:
    """A sync node, which uses the prompt spec and the seed."""
    count("plan")
    told = config["configurable"]
    return {
        "plan": f"{told['prompt_spec']['prefix'] or ''}{told['seed']}",
        "log": ["plan"],
    }


def is_hard(state: State) -> str:
    return "think" if len(state["input"]) > 3 else "write"


async def think(state: State) -> State:
    count("think")
    return {"log": ["think"]}


async def write(state: State) -> State:
    count("write")
    return {"answer": f"{state['input']}/{state['plan']}", "log": ["write"]}


def _writer() -> Any:
    builder = StateGraph(State)
    builder.add_node("write", write)
    builder.add_edge(START, "write")
    return builder.compile()


def make_graph() -> Any:
    """A sync and an async node, a branch, a subgraph, and a checkpointer."""
    builder = StateGraph(State)
    builder.add_node("plan", plan)
    builder.add_node("think", think)
    builder.add_node("writer", _writer())
    builder.add_edge(START, "plan")
    builder.add_conditional_edges(
        "plan", is_hard, {"think": "think", "write": "writer"}
    )
    builder.add_edge("think", "writer")
    return builder.compile(checkpointer=MemorySaver(), name="answering")


graph = make_graph()


def double(state: State) -> State:
    count("double")
    return {"answer": state["input"] * 2, "log": ["double"]}


def make_sync_graph() -> Any:
    """Two sync nodes."""
    return two_nodes(plan=plan, double=double)


def two_nodes(**nodes: Any) -> Any:
    """A graph of two nodes, one after the other."""
    builder = StateGraph(State)
    for name, node in nodes.items():
        builder.add_node(name, node)
    first, second = nodes
    builder.add_edge(START, first)
    builder.add_edge(first, second)
    return builder.compile()


class SyncOnly:
    """A graph behind its sync methods alone."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    def stream(
        self, payload: Any, config: Any = None, *, stream_mode: Any = None
    ) -> Iterator[Any]:
        return self._graph.stream(payload, config, stream_mode=stream_mode)

    def invoke(self, payload: Any, config: Any = None) -> Any:
        return self._graph.invoke(payload, config)


@tool
def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


class Adder(BaseChatModel):
    """Asks for a sum, then says it."""

    model: str = "adder-1"

    @property
    def _llm_type(self) -> str:
        return "adder"

    def _generate(
        self, messages: list[BaseMessage], *args: Any, **options: Any
    ) -> ChatResult:
        count("model")
        usage = {
            "input_tokens": 5,
            "output_tokens": 2,
            "total_tokens": 7,
            "input_token_details": {"cache_read": 3},
            "output_token_details": {"reasoning": 1},
        }
        calls = [{"name": "add", "args": {"a": 1, "b": 2}, "id": "call-1"}]
        asks = messages[-1].type == "human"
        message = AIMessage(
            "" if asks else messages[-1].content,
            tool_calls=calls if asks else [],
            usage_metadata=usage,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def make_agent(model: Any = None) -> Any:
    """A chat model with a tool."""
    model = model or Adder()

    async def chat(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    def next_step(state: MessagesState) -> str:
        return "tools" if state["messages"][-1].tool_calls else END

    builder = StateGraph(MessagesState)
    builder.add_node("chat", chat)
    builder.add_node("tools", ToolNode([add]))
    builder.add_edge(START, "chat")
    builder.add_conditional_edges("chat", next_step, ["tools", END])
    builder.add_edge("tools", "chat")
    return builder.compile()


def one_node(node: Any, state: type = State, **options: Any) -> Any:
    """A graph of one node."""
    builder = StateGraph(state)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder.compile(**options)


async def answer_as_counted(state: State, config: RunnableConfig) -> State:
    """Answers, and counts, as `tests.support.counting:Generator` does."""
    return {"answer": await _said(Generator(), state, config)}


async def judge_as_counted(state: State, config: RunnableConfig) -> State:
    """Judges, and counts, as `tests.support.counting:Judge` does."""
    return {"answer": await _said(Judge(), state, config)}


async def _said(generator: Any, state: State, config: RunnableConfig) -> str:
    told = config["configurable"]
    context = GenerateContext(
        "", "", "", told["seed"], None, PromptSpec(**told["prompt_spec"])
    )
    result = await generator.generate(Case(case_id="", input=state["input"]), context)
    return str(result.final_output)


def make_counting_graph() -> Any:
    """One node, which answers as `tests.support.counting:Generator` does."""
    return one_node(answer_as_counted)


def make_longer_counting_graph() -> Any:
    """The same answers, after a node more."""
    return two_nodes(think=think, node=answer_as_counted)


counting_graph = make_counting_graph()
judging_graph = one_node(judge_as_counted)


#: What `tell` raises, by its input.
RAISED = {
    "fact": RowError,
    "surprise": ValueError,
    "lost": ConnectionError,
    "end": FatalError,
}


def tell(state: State, config: RunnableConfig) -> State:
    """Says the key of its service in the way its input asks for."""
    key = config["configurable"]["service_key"]
    if state["input"] in RAISED:
        raise RAISED[state["input"]](f"refused {key}")
    if state["input"] == "interrupt":
        interrupt({"key": key})
    return {"answer": f"it is {key}", "log": [key]}


def make_telling_graph() -> Any:
    """A graph that keeps its key to itself nowhere; LangGraph logs that a lost
    connection is tried again.
    """
    builder = StateGraph(State)
    again = RetryPolicy(
        initial_interval=0.001, jitter=False, max_attempts=2, retry_on=ConnectionError
    )
    builder.add_node("tell", tell, retry_policy=again)
    builder.add_edge(START, "tell")
    return builder.compile()


class PlanningGraph:
    """A user's fake: its stream has an event but no output, which `ainvoke` returns."""

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


class Invoked:
    """A graph with `invoke` alone."""

    def invoke(self, payload: Any) -> Any:
        count("invoke")
        return {
            "answer": payload["input"] * 2,
            "thread": threading.current_thread() is threading.main_thread(),
        }


class InvokedAsync:
    """A graph with `ainvoke` alone."""

    async def ainvoke(self, payload: Any) -> Any:
        count("invoke")
        return {"answer": payload["input"] * 2, "thread": False}


class Echo(TypedDict, total=False):
    """A state that keeps what the graph was given."""

    input: Any
    question: str
    messages: list[Any]
    given: Any


def echo(state: Echo) -> dict[str, Any]:
    """A node whose answer is its state."""
    return {"given": dict(state)}
