"""The source of a graph, and edits to it that change its answers or do not."""

from __future__ import annotations

#: A module with a graph of several kinds of node.
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


#: Edits that can change an answer.
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


#: Edits that cannot.
IDLE_EDITS = {
    "comment": ("# twice", "# two times"),
    "docstring": ('"""Doubles."""', '"""Twice as long."""'),
    "layout": ("def graph():\n", "def graph():\n\n"),
}


def replaced(old: str, new: str) -> str:
    """Return the source after an edit."""
    assert old in MODULE
    return MODULE.replace(old, new)
