"""What identifies a graph: its structure, and the code of what it runs."""

from __future__ import annotations

import enum
import functools
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.func import entrypoint
from langgraph.graph import StateGraph
from langgraph.graph.message import add_messages

from tests.support.edited_graphs import EDITS, IDLE_EDITS, MODULE, replaced
from tests.support.graph_runs import answer
from tests.support.graphs import (
    Adder,
    SyncOnly,
    echo,
    make_agent,
    make_graph,
    make_sync_graph,
    one_node,
    two_nodes,
)
from themis_lib.adapters import langgraph
from themis_lib.adapters.langgraph_calls import load_graph
from themis_lib.adapters.langgraph_identity import (
    config_identity,
    graph_identity,
    identity_of,
)


def identity(graph: Any) -> Any:
    return graph_identity(load_graph(graph))


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_edit_that_can_change_an_answer_is_identity(
    edit: tuple[str, str], load: Callable[[str], str]
) -> None:
    """What can change an answer changes the identity."""
    before = identity(load(MODULE))

    assert before != identity(load(replaced(*edit)))


@pytest.mark.parametrize("edit", IDLE_EDITS.values(), ids=IDLE_EDITS)
def test_edit_that_cannot_change_an_answer_is_not(
    edit: tuple[str, str], load: Callable[[str], str]
) -> None:
    """They cannot change an answer."""
    before = identity(load(MODULE))

    assert before == identity(load(replaced(*edit)))


def test_what_a_run_leaves_behind_is_not_identity(load: Callable[[str], str]) -> None:
    """A node that counts its calls is the same node afterwards."""
    load(MODULE)
    graph = importlib.import_module("edited_graph").graph()
    before = identity(graph)

    answer(langgraph(graph), "a")

    assert before == identity(graph)


def test_model_inside_a_node_is_identity() -> None:
    """A node that closes over another model is another node."""
    assert identity(make_agent()) == identity(make_agent(Adder()))
    assert identity(make_agent()) != identity(make_agent(Adder(model="adder-2")))


def test_graph_behind_an_object_is_identity() -> None:
    """An object that runs another graph is another object."""
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
    """No value below `configurable` is written down."""
    plain = {"configurable": {"endpoint": "https://user:sesame@host"}}
    watched = {
        "callbacks": [],
        "max_concurrency": 3,
        "configurable": {**plain["configurable"], "openai_api_key": "sesame"},
    }

    assert config_identity(plain) == config_identity(watched)
    assert "sesame" not in str(config_identity(watched))


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


def first(state: Any) -> Any:
    return {"log": ["first"]}


def second(state: Any) -> Any:
    return {"log": ["second"]}


def test_structure_of_a_graph_is_shown_by_name() -> None:
    """Nodes, edges and branches, so that a difference can be told; code is digested."""
    shown = identity(make_graph())

    assert {"__start__", "plan", "think", "writer"} == set(shown["nodes"])
    assert {"__start__", "write"} == set(shown["nodes"]["writer"]["nodes"])
    assert [["__start__", "plan"], ["think", "writer"]] == shown["edges"]
    assert ["plan"] == list(shown["branches"])
    assert isinstance(shown["nodes"]["plan"], str)


def test_order_of_nodes_is_identity() -> None:
    """Edges say which comes first."""
    assert identity(two_nodes(a=first, b=second)) == identity(
        two_nodes(a=first, b=second)
    )
    assert identity(two_nodes(a=first, b=second)) != identity(
        two_nodes(b=second, a=first)
    )


def test_interrupts_and_outputs_of_a_graph_are_identity() -> None:
    """Settings of the compiled graph change where it ends."""
    assert identity(one_node(first)) != identity(
        one_node(first, interrupt_before=["node"])
    )


def test_functional_api_is_identified_by_its_code() -> None:
    """Such a graph has no builder."""

    @entrypoint()
    def one(given: Any) -> Any:
        return given

    @entrypoint()
    def other(given: Any) -> Any:
        return [given]

    assert identity(one) == identity(one)
    assert identity(one)["nodes"] != identity(other)["nodes"]


def test_config_is_identified_without_credentials_and_watchers() -> None:
    """What is below `configurable` is digested: its content is not shown."""
    config = {
        "recursion_limit": 5,
        "callbacks": [print],
        "max_concurrency": 3,
        "run_id": "1",
        "run_name": "mine",
        "configurable": {"style": "terse", "openai_api_key": "sesame"},
    }

    shown = config_identity(config)

    assert {"recursion_limit", "configurable"} == set(shown)
    assert 5 == shown["recursion_limit"]
    assert ["style"] == list(shown["configurable"])
    assert "terse" not in str(shown)
    assert shown != config_identity({**config, "configurable": {"style": "florid"}})
    assert {"configurable": {}} == config_identity({})


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass
class Style:
    mark: Any
    api_key: str = ""

    def apply(self, state: Any) -> Any:
        return {"answer": self.mark}


def make(mark: Any) -> Callable[[Any], Any]:
    return lambda state: {"answer": mark}


@pytest.mark.parametrize(
    ("value", "same", "other"),
    [
        (lambda: 1.5, lambda: 1.5, lambda: 2.5),
        (lambda: b"a", lambda: b"a", lambda: b"b"),
        (lambda: "1.5", lambda: "1.5", lambda: "2.5"),
        (lambda: {"a": 1, "b": 2}, lambda: {"b": 2, "a": 1}, lambda: {"a": 1, "b": 3}),
        (lambda: {"a": 1}, lambda: {"a": 1, "api_key": "k"}, lambda: {"b": 1}),
        (lambda: {"b", "a"}, lambda: {"a", "b"}, lambda: {"a"}),
        (lambda: [1, 2], lambda: (1, 2), lambda: [2, 1]),
        (lambda: Colour.RED, lambda: Colour(1), lambda: Colour.BLUE),
        (lambda: re.compile("a"), lambda: re.compile("a"), lambda: re.compile("a", 2)),
        (lambda: len, lambda: len, lambda: max),
        (lambda: Style("~"), lambda: Style("~", "key"), lambda: Style("^")),
        (lambda: Style("~").apply, lambda: Style("~").apply, lambda: Style("^").apply),
        (lambda: Style(first), lambda: Style(first), lambda: Style(second)),
        (lambda: make("~"), lambda: make("~"), lambda: make("^")),
        (lambda: make(Style(1)), lambda: make(Style(1)), lambda: make(Style(2))),
        (
            lambda: functools.partial(first, 1, a=2),
            lambda: functools.partial(first, 1, a=2),
            lambda: functools.partial(first, 1, a=3),
        ),
    ],
    ids=[
        "float",
        "bytes",
        "text",
        "object",
        "credential",
        "set",
        "list",
        "member",
        "pattern",
        "builtin",
        "settings",
        "method",
        "function inside",
        "closure",
        "object in a closure",
        "partial",
    ],
)
def test_value_is_identified_by_what_it_does(
    value: Callable[[], Any], same: Callable[[], Any], other: Callable[[], Any]
) -> None:
    """Equal ones are equal, wherever they are in memory."""
    assert identity_of(value()) == identity_of(same())
    assert identity_of(value()) != identity_of(other())


def test_value_that_refers_back_to_itself_is_identified() -> None:
    """A node may have its graph: it is told how far outside it is."""
    inner: dict[str, Any] = {"a": 1}
    inner["outer"] = [inner]

    assert {"a": 1, "outer": [{"outer": 0}]} == identity_of(inner)


def test_library_is_identified_by_name() -> None:
    """A new version of LangGraph alone computes no row again."""
    assert {"name": "langgraph.graph.state:StateGraph"} == identity_of(StateGraph)
    assert ["code"] == list(identity_of(first))
