"""A LangGraph graph as users write them; its code is in the keys of its rows."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    """What goes through the graph."""

    input: str
    answer: str


def respond(state: State) -> State:
    return {"answer": str(state["input"]).upper()}


def make_graph() -> Any:
    """One node."""
    graph = StateGraph(State)
    graph.add_node("respond", respond)
    graph.add_edge(START, "respond")
    graph.add_edge("respond", END)
    return graph.compile()
