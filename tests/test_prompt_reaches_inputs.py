"""A prompt edit is in the request of every kind of input: once, in the right turn.

Each adapter sends each kind of input to a server on loopback, before and after each kind
of edit. Without the edit, the request is what it was before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.anthropic_server import AnthropicServer
from tests.support.gemini_server import GeminiServer
from tests.support.media import data_url, png, write_jsonl, write_media
from tests.support.provider_server import ProviderServer
from themis_lib import (
    Case,
    ComponentError,
    DatasetError,
    DatasetFile,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    PromptSpec,
    RunResult,
    StorageConfig,
    adapters,
)
from themis_lib.adapters import anthropic, llama, openai, vllm, vllm_choice
from themis_lib.components.functions import as_generator
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.prompts import render_prompt

#: A text that is in no input.
EDIT = "Zebra-Edit"
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def said(kind: str) -> dict[str, Any]:
    return {"type": "text", "text": f"<{kind}>"}


TEXTS: dict[str, Any] = {
    "text": "<text>",
    "json": {"q": "<json>"},
    "list": ["<list>", 1],
    "turns": [
        {"role": "system", "content": "You add."},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "re"},
        {"role": "user", "content": "<turns>"},
    ],
    "prefill": [
        {"role": "user", "content": "<prefill>"},
        {"role": "assistant", "content": "It is"},
    ],
    "texts": [said("texts"), {"type": "text", "text": "more"}],
}
MEDIA: dict[str, Any] = {
    "tool": [
        {"role": "user", "content": "<tool>"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ],
    "system parts": [
        {"role": "system", "content": [{"type": "text", "text": "You see."}]},
        {"role": "user", "content": "<system parts>"},
    ],
    "image path": [said("image path"), {"type": "image", "path": "red.png"}],
    "image url": [said("image url"), {"type": "image", "url": "https://x.test/1.png"}],
    "image data": [
        {
            "role": "user",
            "content": [
                said("image data"),
                {"type": "image", "url": data_url(png(1), "image/png")},
            ],
        }
    ],
    "image first": [{"type": "image", "path": "red.png"}, said("image first")],
    "openai image": [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "re"},
        {
            "role": "user",
            "content": [
                said("openai image"),
                {
                    "type": "image_url",
                    "image_url": {"url": data_url(png(2), "image/png")},
                },
            ],
        },
    ],
    "audio": [said("audio"), {"type": "audio", "path": "tone.wav"}],
    "file": [
        {
            "role": "user",
            "content": [said("file"), {"type": "file", "path": "page.pdf"}],
        }
    ],
}
EDITS: dict[str, dict[str, Any]] = {
    "instructions": {"instructions": EDIT},
    "prefix": {"prefix": EDIT},
    "suffix": {"suffix": EDIT},
    "block": {"blocks": [EDIT]},
}
#: Anthropic's API takes no audio.
SEEN = {kind: value for kind, value in MEDIA.items() if kind != "audio"}
ADAPTERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "openai, responses": (openai, {**TEXTS, **MEDIA}),
    "openai, chat": (openai, {**TEXTS, **MEDIA}),
    "vllm": (vllm, {**TEXTS, **MEDIA}),
    "vllm_choice": (vllm_choice, TEXTS),
    "anthropic": (anthropic, {**TEXTS, **SEEN}),
    "any, gemini": (adapters.any, {**TEXTS, **MEDIA}),
    "any, mistral": (adapters.any, {**TEXTS, "tool": MEDIA["tool"]}),
}
SERVERS = {"anthropic": AnthropicServer, "any, gemini": GeminiServer}


@pytest.fixture
def server(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[ProviderServer]:
    for name in ("OPENAI", "ANTHROPIC", "GEMINI", "MISTRAL"):
        monkeypatch.setenv(f"{name}_API_KEY", "sk-test-1")
    adapter = getattr(request.node, "callspec", None)
    name = "" if adapter is None else adapter.params.get("name", "")
    with SERVERS.get(name, ProviderServer)() as server:
        yield server


def generator(name: str, server: ProviderServer) -> Any:
    settings: dict[str, Any] = {"base_url": server.url, "max_retries": 0}
    if name == "openai, chat":
        settings["api_mode"] = "chat_completions"
    if name == "vllm_choice":
        settings |= {"choices": ["A", "B"], "delimiter": " "}
    model = "m"
    if name.startswith("any, "):
        settings["base_url"] = server.url.removesuffix("/v1")
        model = f"{name.removeprefix('any, ')}:m"
    return ADAPTERS[name][0](model, **settings)


def run(folder: Path, made: Any, inputs: dict[str, Any], **spec: Any) -> RunResult:
    """A run without an error in any row."""
    write_media(folder)
    path = write_jsonl(folder / "cases.jsonl", list(inputs.values()))
    result = Experiment(
        generation=GenerationConfig(generator=made, prompt_spec=PromptSpec(**spec)),
        evaluation=EvaluationConfig(metrics=[]),
        datasets=[
            DatasetFile(dataset_id="d", path=str(path), columns={"input": "input"})
        ],
        storage=StorageConfig(store=str(folder / "store")),
    ).run()
    assert [] == [row.error for row in candidates(result) if row.error]
    return result


def by_kind(server: ProviderServer, kinds: Any) -> dict[str, list[Any]]:
    """The bodies of the requests for each kind of input."""
    found: dict[str, list[Any]] = {kind: [] for kind in kinds}
    for body in server.bodies:
        text = json.dumps(body)
        [kind] = [kind for kind in kinds if f"<{kind}>" in text]
        found[kind].append(body)
    return found


def turns_of(body: Any) -> list[tuple[str, str]]:
    """The turns of a request, as role and JSON; instructions are the system's first."""
    if "prompt" in body:
        return [("user", body["prompt"])]
    turns = body.get("messages", body.get("input", body.get("contents")))
    if isinstance(turns, str):
        turns = [{"role": "user", "content": turns}]
    # Anthropic's, as a text or as blocks, and Gemini's.
    told = body.get("system", body.get("systemInstruction", {}).get("parts"))
    told = body.get("instructions", told)
    if isinstance(told, list) and len(told) == 1:
        told = told[0]["text"]
    first = [{"role": "system", "content": told}] if told else []
    found = []
    for turn in [*first, *turns]:
        text = json.dumps(turn, sort_keys=True)
        # Both have what a tool returned in a turn of the user's.
        is_result = '"tool_result"' in text or '"functionResponse"' in text
        role = "tool" if is_result else turn.get("role", turn.get("type"))
        found.append((role, text))
    return found


def without_edit(value: Any) -> Any:
    """A request without what the edit put into it."""
    if isinstance(value, str):
        # any-llm joins the system messages of Gemini by a line break.
        return re.sub(f"{EDIT}\n\n?|\n\n{EDIT}", "", value)
    if isinstance(value, list):
        kept = [item for item in value if not is_edit(item)]
        return [without_edit(item) for item in kept]
    if isinstance(value, dict):
        return {
            name: without_edit(item) for name, item in value.items() if item != EDIT
        }
    return value


def is_edit(item: Any) -> bool:
    return isinstance(item, dict) and EDIT in (item.get("text"), item.get("content"))


@pytest.mark.parametrize("name", ADAPTERS)
def test_edit_is_in_every_request_once_and_in_the_right_turn(
    name: str, server: ProviderServer, tmp_path: Path
) -> None:
    """Nothing is paid again for an edit that does not arrive: none fails to."""
    kinds = ADAPTERS[name][1]
    run(tmp_path, generator(name, server), kinds)
    before = by_kind(server, kinds)
    for edit, spec in EDITS.items():
        server.forget()

        run(tmp_path, generator(name, server), kinds, **spec)

        after = by_kind(server, kinds)
        for kind in kinds:
            assert len(before[kind]) == len(after[kind]) > 0
            for was, body in zip(before[kind], after[kind], strict=True):
                place = (name, edit, kind)
                turns = turns_of(body)
                users = [at for at, (role, _) in enumerate(turns) if role == "user"]
                is_first = edit == "instructions" or "prompt" in body
                right = 0 if is_first else users[-1]
                found = [at for at, (_, text) in enumerate(turns) if EDIT in text]
                assert (place, 1) == (place, json.dumps(body).count(EDIT))
                assert (place, [right]) == (place, found)
                assert turns_of(was) == turns_of(without_edit(body))
    server.forget()
    run(tmp_path, generator(name, server), kinds, **spec)
    assert [] == server.requests


def candidates(result: RunResult) -> list[Any]:
    return [row for case in result.cases for row in case.generated_candidates]


@pytest.mark.parametrize("edit", EDITS)
def test_function_is_given_the_edit_in_its_one_text(edit: str, tmp_path: Path) -> None:
    """Instructions first; a conversation, which is no text, as JSON."""
    prompts: list[str] = []

    def model(prompt: str) -> str:
        prompts.append(prompt)
        return prompt

    run(tmp_path, as_generator(model), TEXTS)
    before, prompts = prompts, []

    def edited(prompt: str) -> str:
        prompts.append(prompt)
        return prompt

    run(tmp_path, as_generator(edited), TEXTS, **EDITS[edit])

    assert sorted(before) == sorted(map(without_edit, prompts))
    assert {1} == {prompt.count(EDIT) for prompt in prompts}


@pytest.mark.parametrize("edit", EDITS)
def test_local_model_is_told_the_edit(edit: str, tmp_path: Path) -> None:
    """Rows of a local model keep the turns that its chat template is given."""
    local = llama("tiny", max_tokens=1)

    before = candidates(run(tmp_path, local, TEXTS))
    after = candidates(run(tmp_path, local, TEXTS, **EDITS[edit]))

    for was, row in zip(before, after, strict=True):
        body = {"messages": [turn.model_dump() for turn in row.conversation[:-1]]}
        plain = {"messages": [turn.model_dump() for turn in was.conversation[:-1]]}
        turns = turns_of(body)
        right = [role for role, text in turns if EDIT in text]
        assert ["system" if edit == "instructions" else "user"] == right
        assert turns_of(plain) == turns_of(without_edit(body))


def test_template_puts_parts_where_it_prints_them(
    server: ProviderServer, tmp_path: Path
) -> None:
    """A template reads fields of an input; an edit of it is an edit of the prompt."""
    asked = {"q": {"q": "<q>", "image": {"type": "image", "path": "red.png"}}}
    write_media(tmp_path)
    made = generator("vllm", server)

    run(tmp_path, made, asked, template="{{ q }} {{ image }}")
    run(tmp_path, made, asked, template="{{ q }} {{ image }}", suffix=EDIT)
    turns = [{"role": "user", "content": f"{EDIT} {{{{ image }}}}{{{{ q }}}}"}]
    run(tmp_path, made, asked, template=turns)

    image = {
        "type": "image_url",
        "image_url": {"url": data_url(png(255), "image/png")},
    }
    question = {"type": "text", "text": "<q>"}
    edited = {"type": "text", "text": EDIT}
    assert [
        [question, image],
        [question, image, edited],
        [edited, image, question],
    ] == [body["messages"][0]["content"] for body in server.bodies]


def shout(prompt: str) -> str:
    return prompt.upper()


SYSTEM_ALONE = [{"role": "system", "content": "You add."}]
NO_CONTENT = [{"role": "user", "content": None}]
IMAGE = [{"type": "image", "path": "red.png"}]
AUDIO_URL = [{"type": "audio", "url": "https://x.test/1.mp3"}]
FILE_URL = [{"type": "file", "url": "https://x.test/1.pdf"}]


@pytest.mark.parametrize(
    ("name", "value", "edit", "message"),
    [
        (
            "vllm",
            SYSTEM_ALONE,
            "suffix",
            "last user turn, and the conversation has none",
        ),
        ("openai, responses", SYSTEM_ALONE, "block", "the conversation has none"),
        ("vllm_choice", SYSTEM_ALONE, "prefix", "the conversation has none"),
        ("vllm", NO_CONTENT, "prefix", "neither text nor parts: None"),
        (
            "vllm_choice",
            IMAGE,
            None,
            r"part 1 of the user turn is \[image 69 B image/png\]",
        ),
        ("vllm", AUDIO_URL, None, "part 1 of the user turn: audio is sent as data"),
        ("openai, chat", FILE_URL, None, "no file by its URL; write `path`"),
        ("anthropic", AUDIO_URL, None, "part 1 of the user turn: .* takes no audio"),
        ("any, gemini", FILE_URL, None, "no file by its URL; write `path`"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is(
    name: str,
    value: Any,
    edit: str | None,
    message: str,
    server: ProviderServer,
    tmp_path: Path,
) -> None:
    """The error names the case and the turn or the part, and other cases cost nothing."""
    spec = EDITS.get(edit or "", {})

    with pytest.raises(DatasetError, match=f"dataset 'd': case 'd-0001': .*{message}"):
        run(tmp_path, generator(name, server), {"good": "<good>", "bad": value}, **spec)

    assert [] == server.requests


@pytest.mark.parametrize(
    ("made", "who"), [(llama("tiny"), "llama"), (as_generator(shout), "shout")]
)
def test_models_of_text_refuse_an_image(made: Any, who: str, tmp_path: Path) -> None:
    """By name, before anything is generated."""
    with pytest.raises(DatasetError, match=f"case 'd-0000': {re.escape(who)} "):
        run(tmp_path, made, {"image": IMAGE})


def tell(case: Case, ctx: GenerateContext) -> str:
    return f"Q: {case.input}"


def render(case: Case, ctx: GenerateContext) -> str:
    return render_prompt(ctx.prompt_spec, f"Q: {case.input}")


@pytest.mark.parametrize("edit", ["prefix", "suffix", "block"])
def test_builder_that_never_looks_at_the_prompt_spec_is_refused(
    edit: str, server: ProviderServer, tmp_path: Path
) -> None:
    """Equal requests would be paid twice; one that looks sends it, once."""
    settings: dict[str, Any] = {"base_url": server.url, "max_retries": 0}
    with pytest.raises(ComponentError, match="generation: input_builder never looks"):
        run(
            tmp_path,
            vllm("m", input_builder=tell, **settings),
            {"q": "q"},
            **EDITS[edit],
        )
    assert [] == server.requests

    run(
        tmp_path,
        vllm("m", input_builder=tell, **settings),
        {"q": "q"},
        instructions="I",
    )
    run(
        tmp_path, vllm("m", input_builder=render, **settings), {"q": "q"}, **EDITS[edit]
    )

    assert [0, 1] == [json.dumps(body).count(EDIT) for body in server.bodies]
