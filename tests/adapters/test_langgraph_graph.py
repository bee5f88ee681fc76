"""The generator `langgraph` as a component: its settings and what it gives a graph."""

from __future__ import annotations

import os
import traceback
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph

from tests.support.graph_runs import answer, candidates, experiment
from tests.support.graphs import (
    Echo,
    Invoked,
    State,
    SyncOnly,
    echo,
    make_graph,
    make_telling_graph,
    one_node,
)
from tests.support.names import without_addresses
from themis_lib import (
    Case,
    ComponentError,
    FatalError,
    RowError,
    ThemisError,
    TransientError,
)
from themis_lib.adapters import langgraph
from themis_lib.components.build import build, component_identity
from themis_lib.core.contexts import GenerateContext


def identity(graph: Any, **settings: Any) -> dict[str, Any]:
    return component_identity("generator", langgraph(graph, **settings))


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
    """An object as it is, messages as `messages`, anything else as `input`."""
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
    """What can change a row changes its key."""
    assert identity(make_graph()) != identity(make_graph(), **settings)


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
    """Output and trace are masked, whichever stream they come from."""
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
    """The error is of the same kind; log and traceback are masked too."""
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
    """The name of the variable need not tell."""
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
    """Answers and exceptions are then the graph's own."""
    assert "it is plain" == answer(telling("plain"), "answer").final_output["answer"]
    with pytest.raises(ValueError, match="refused") as raised:
        answer(telling("plain"), "surprise")
    assert "refused plain" == str(raised.value)


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
