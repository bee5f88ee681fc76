"""Functions that a model calls in a conversation: what it is told, and what is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.builtins.test_conversation import row
from tests.support import talking
from tests.support.anthropic_server import AnthropicServer
from tests.support.gemini_server import GeminiServer
from tests.support.provider_server import Fault, ProviderServer
from tests.support.talking import noted, run, talk
from themis_lib import RunStatus

ADD = "tests.support.talking:add"
LOOK_UP = "tests.support.talking:look_up"


@pytest.fixture(autouse=True)
def tool_log(tmp_path: Path) -> Path:
    talking.TOOL_LOG[0] = tmp_path / "tools.log"
    return talking.TOOL_LOG[0]


def calling(*turns: Any) -> dict[str, Any]:
    """A script whose turns make `ToolTalker` call tools."""
    texts = []
    for turn in turns:
        text = turn if isinstance(turn, str) else f"call {json.dumps(turn)}"
        texts.append(text)
    return {"turns": texts}


def tools_of(*names: str) -> dict[str, Any]:
    return {"tools": list(names)}


def test_calls_are_made_and_answered(tmp_path: Path, tool_log: Path):
    """Each call and its result is a step of the trace and a message; the model goes on
    with the results.
    """
    script = calling(
        [
            {"name": "add", "arguments": {"a": 2}},
            {"name": "look_up", "arguments": {"key": "k"}},
        ],
        "Bye",
    )

    output = row(run(talk(tmp_path, [script], conversation=tools_of(ADD, LOOK_UP))))

    assert ["add 2.0 1.0", "look_up k"] == noted(tool_log)
    asked, called, first, second, answer, *_ = output["conversation"]
    assert "user" == asked["role"]
    ids = [call["id"] for call in called["tool_calls"]]
    assert ids == [first["tool_call_id"], second["tool_call_id"]]
    assert ("3.0", '{"key":"k"}') == (first["content"], second["content"])
    assert '{"key":"k"}' == answer["content"]
    results = [step for step in output["trace"] if step["event"] == "tool_result"]
    assert [3.0, {"key": "k"}] == [step["output"] for step in results]
    assert "Bye" == output["output"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"name": "look_up", "arguments": {"key": "missing"}}, "KeyError: 'missing'"),
        ({"name": "add", "arguments": {"b": 2}}, "a: Field required"),
        ({"name": "add", "arguments": {"a": 1, "c": 2}}, "c: Extra inputs"),
        ({"name": "add", "arguments": "{"}, "the arguments are no JSON object"),
        ({"name": "ad", "arguments": {}}, "no tool 'ad'; did you mean 'add'?"),
    ],
)
def test_what_goes_wrong_in_a_tool_is_told_to_the_model(
    tmp_path: Path, call: dict[str, Any], said: str
):
    """An exception, arguments that do not fit and a tool that is not there are answers of
    the tool; the row is no failure.
    """
    spec = talk(tmp_path, [calling([call])], conversation=tools_of(ADD, LOOK_UP))

    output = row(run(spec))

    assert output["error"] is None
    assert said in json.loads(output["conversation"][2]["content"])["error"]


def test_tool_is_called_once_for_each_place(tmp_path: Path, tool_log: Path):
    """A result is kept with its place: an edit behind it calls no tool again, the same
    call at another place does; a lost connection is tried again by the next run.
    """
    add = [{"name": "add", "arguments": {"a": 1}}]
    down = [{"name": "look_up", "arguments": {"key": "down"}}]

    def talked(*turns: Any) -> Any:
        settings = tools_of(ADD, LOOK_UP)
        return run(talk(tmp_path, [calling(*turns)], conversation=settings))

    talked(add, add)
    assert 2 == len(noted(tool_log))
    talked(add, add, "Bye")
    assert 2 == len(noted(tool_log))
    assert RunStatus.FAILED == talked(add, add, down).status
    assert RunStatus.FAILED == talked(add, add, down).status
    assert ["add 1.0 1.0"] * 2 + ["look_up down"] * 2 == noted(tool_log)


def test_edit_of_a_tool_calls_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The code of a function counts: turns before its first call are found, those behind
    it are asked again.
    """
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    script = calling("Hi", [{"name": "twice", "arguments": {"a": 2}}], "Bye")

    def talked(module: str, body: str) -> tuple[int, str]:
        source = f'def twice(a: int) -> int:\n    """Double."""\n    return {body}\n'
        Path(f"{module}.py").write_text(source)
        before = len(noted(tmp_path / "calls.log"))
        spec = talk(tmp_path, [script], conversation=tools_of(f"{module}:twice"))
        output = row(run(spec))
        calls = len(noted(tmp_path / "calls.log")) - before
        return calls, output["conversation"][4]["content"]

    assert (4, "4") == talked("first", "2 * a")
    assert (2, "6") == talked("second", "3 * a")


def test_endless_calls_are_an_error_of_the_row(tmp_path: Path):
    """A model that never stops to call tools ends with a reason."""
    settings = {**tools_of(ADD), "max_steps": 1}
    script = calling([{"name": "add", "arguments": {"a": 1}}])

    output = row(run(talk(tmp_path, [script], conversation=settings)))

    assert "still calls tools after 1 steps" in output["error"]


@pytest.mark.parametrize("api_mode", ["chat_completions", "responses"])
def test_openai_calls_functions(
    tmp_path: Path, tool_log: Path, monkeypatch: pytest.MonkeyPatch, api_mode: str
):
    """Over HTTP: the schema goes out, the call comes in, and the result goes back under
    the id of its call; metrics read the trace.
    """
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    function = {"name": "add", "arguments": '{"a": 2, "b": 3}'}

    def script(attempt: int, body: dict[str, Any]) -> Fault | None:
        said = body.get("messages") or body["input"]
        if isinstance(said, list) and len(said) > 1:
            return None
        chat = {
            "text": None,
            "finish_reason": "tool_calls",
            "message": {
                "tool_calls": [{"id": "x", "type": "function", "function": function}]
            },
        }
        item = {"type": "function_call", "id": "f", "call_id": "x", **function}
        changes = chat if api_mode == "chat_completions" else {"output": [item]}
        return Fault(changes=changes)

    with ProviderServer(script) as server:
        spec = talk(
            tmp_path,
            ["2 + 3?"],
            conversation=tools_of(ADD),
            metrics=[
                "builtin/tool_called",
                "builtin/tool_arguments",
                {"use": "builtin/tool_order", "match": "exact", "arguments": True},
                "builtin/step_count",
            ],
        )
        spec["generation"]["generator"]["generator"] = {
            "use": "openai",
            "model": "m",
            "base_url": server.url,
            "api_mode": api_mode,
        }
        (case,) = spec["datasets"][0]["cases"]
        case["expected_output"] = [{"name": "add", "arguments": {"a": 2, "b": 3}}]
        result = run(spec)

    assert ["add 2.0 3.0"] == noted(tool_log)
    first, second = server.bodies
    (tool,) = first["tools"]
    schema = tool["function"] if api_mode == "chat_completions" else tool
    assert "Return the sum of two numbers." == schema["description"]
    assert {"a", "b"} == set(schema["parameters"]["properties"])
    if api_mode == "chat_completions":
        _, called, returned = second["messages"]
        assert called["tool_calls"][0]["id"] == returned["tool_call_id"]
        assert "5.0" == returned["content"]
    else:
        _, called, returned = second["input"]
        assert called["call_id"] == returned["call_id"]
        assert "5.0" == returned["output"]
    scores = result.table("scores").to_pylist()
    assert [1.0, 1.0, 1.0, 1.0] == [score["score"] for score in scores]
    assert 22 == row(result)["input_tokens"]


def test_anthropic_is_shown_its_thoughts_again(
    tmp_path: Path, tool_log: Path, monkeypatch: pytest.MonkeyPatch
):
    """A model that thought before it called a function: the API takes no call without
    the thought, signature included. A later turn finds the steps of an earlier run.
    """
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    thought = {"type": "thinking", "thinking": "a sum", "signature": "c2ln"}
    call = {"type": "tool_use", "id": "x", "name": "add", "input": {"a": 2, "b": 3}}

    def script(attempt: int, body: dict[str, Any]) -> Fault | None:
        if len(body["messages"]) > 1:
            return None
        changes = {"content": [thought, call], "stop_reason": "tool_use"}
        return Fault(changes=changes)

    def answered(*turns: str) -> dict[str, Any]:
        spec = talk(tmp_path, [{"turns": [*turns]}], conversation=tools_of(ADD))
        spec["generation"]["generator"]["generator"] = {
            "use": "anthropic",
            "model": "m",
            "thinking": {"budget_tokens": 1024},
            "base_url": server.url,
        }
        return row(run(spec))

    with AnthropicServer(script) as server:
        assert answered("2 + 3?")["error"] is None
        assert answered("2 + 3?", "Sure?")["error"] is None

    _, second, third = server.bodies
    for body in (second, third):
        _, called, *_ = body["messages"]
        assert thought == called["content"][0]
    assert ["add 2.0 3.0"] == noted(tool_log)


def test_providers_of_any_call_functions(
    tmp_path: Path, tool_log: Path, monkeypatch: pytest.MonkeyPatch
):
    """Gemini is told of the function, and of what it returned, in its own protocol."""
    monkeypatch.setenv("GEMINI_API_KEY", "k")

    def script(attempt: int, body: dict[str, Any]) -> Fault | None:
        if len(body["contents"]) > 1:
            return Fault(changes={"text": "5"})
        call = {"functionCall": {"name": "add", "args": {"a": 2, "b": 3}}}
        return Fault(changes={"parts": [call]})

    with GeminiServer(script) as server:
        spec = talk(tmp_path, ["2 + 3?"], conversation=tools_of(ADD))
        spec["generation"]["generator"]["generator"] = {
            "use": "any",
            "model": "gemini:gemini-2.5-flash",
            "base_url": server.url,
        }
        output = row(run(spec))

    assert (None, "5") == (output["error"], output["output"])
    assert ["add 2.0 3.0"] == noted(tool_log)
    first, second = server.bodies
    (tool,) = first["tools"]
    (told,) = tool["functionDeclarations"]
    assert "add" == told["name"]
    assert 1.0 == told["parameters_json_schema"]["properties"]["b"]["default"]
    _, called, returned = [turn["parts"] for turn in second["contents"]]
    assert {"a": 2, "b": 3} == called[-1]["functionCall"]["args"]
    assert "5.0" in json.dumps(returned[0]["functionResponse"]["response"])
