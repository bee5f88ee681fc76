"""Conversations of many turns: a scripted or simulated user, a model, and its tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import FunctionType
from typing import Annotated, Any, ClassVar

from pydantic import Field, JsonValue, ValidationError

from themis_lib.builtins.dialogue import Dialogue
from themis_lib.builtins.simulated_user import SimulatedUser
from themis_lib.components.build import build
from themis_lib.components.builtin import Builtin
from themis_lib.components.imports import import_named
from themis_lib.components.records import BuiltGenerator, BuiltTool
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.core.prompts import PromptSpec, is_conversation, render_conversation
from themis_lib.core.tools import Tool
from themis_lib.errors import ComponentError, RowError, nearest
from themis_lib.stages.direct_steps import DirectSteps

_Turn = dict[str, Any]
_SCRIPT_FIELDS = ("messages", "turns")


@dataclass(frozen=True)
class Conversation(Builtin):
    """A conversation with a model as one row, each turn kept as it is answered.

    `generator` is the model, any generator that takes a list of messages. Without
    `user`, the case has the user's turns: `{"turns": ["Hi", "And then?"]}`, with earlier
    `messages` before them if there are any; a text is a script of one turn. `user` is a
    simulated one: `{generator, persona, stop, until, max_turns}`; the input is then what
    the persona is about, or, as a text or as `opening`, what the user says first.

    `tools` are Python functions (`module:function`) that the model may call, in at most
    `max_steps` calls of the model a turn. The output is the model's last answer.
    """

    component_id: ClassVar[str] = "builtin/conversation"
    version: ClassVar[str] = "1"
    #: Whoever is named in these resolves them.
    resolves: ClassVar[tuple[str, ...]] = ("generator", "user")

    generator: Any
    user: dict[str, Any] | None = None
    tools: list[Any] = field(default_factory=list)
    max_steps: Annotated[int, Field(ge=1)] = 8

    def check_settings(self) -> None:
        """Raise `ComponentError` for a setting that cannot be used, with its value."""
        super().check_settings()
        _ = self.tool_functions
        if self._simulated is not None:
            self._simulated.check()
        for name, built in self._built.items():
            if "input" not in built.reads:
                place = "generator" if name == "model" else "user.generator"
                raise ComponentError(
                    f"{place}: {built.component_id} does not read `input`, so that it "
                    "would not see what was said"
                )
            if name == "user" and built.instructions is not None:
                raise ComponentError(
                    "user.generator: it has instructions; write them into user.persona, "
                    "so that they are sent once"
                )

    def settings(self) -> dict[str, Any]:
        """Return what decides how turns are asked for.

        Who is asked, and which functions are called, is in the identity beside it.
        """
        user = None if self._simulated is None else self._simulated.identity
        return {"user": user, "max_steps": self.max_steps if self.tools else None}

    @cached_property
    def asked_generators(self) -> dict[str, Any]:
        """The generators that are asked: the model, and who plays the user."""
        asked: dict[str, Any] = {"model": self._model_with_tools}
        if self._simulated is not None:
            asked["user"] = self._simulated.generator
        return asked

    @cached_property
    def tool_functions(self) -> dict[str, Tool]:
        """The functions that the model may call, by name."""
        found: dict[str, Tool] = {}
        for named in self.tools:
            function = import_named("tool", named) if isinstance(named, str) else named
            # A plain function, since its code is part of the identity.
            if not isinstance(function, FunctionType):
                raise ComponentError(f"tools: {named!r:.80} is not a function")
            tool = Tool(function)
            if tool.component_id in found:
                raise ComponentError(
                    f"tools: two functions are called {tool.component_id!r}"
                )
            found[tool.component_id] = tool
        return found

    @property
    def reads(self) -> tuple[str, ...]:
        """The input, and what those that are asked read beside it."""
        reads = ["input"]
        for built in self._built.values():
            reads += built.reads
        return tuple(dict.fromkeys(reads))

    @property
    def deterministic(self) -> bool:
        """Whether all that is asked is, and no function is called."""
        return not self.tools and all(
            built.deterministic for built in self._built.values()
        )

    @property
    def is_free(self) -> bool:
        """Whether neither the model nor the simulated user costs anything."""
        return all(built.is_free for built in self._built.values())

    @property
    def model(self) -> str | None:
        """The model under test."""
        return self._built["model"].model

    @property
    def at_list_price(self) -> bool:
        """Whether the model under test costs its list price."""
        return self._built["model"].at_list_price

    @property
    def instructions(self) -> str | None:
        """The model's own instructions, if it has any."""
        return self._built["model"].instructions

    @property
    def global_limit(self) -> str | None:
        """The concurrency limit of the model's shards."""
        return self._built["model"].global_limit

    async def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """Return the whole conversation as one result.

        A turn that fails for good ends it: what was said is kept, with the reason. Raises
        what a turn raises that may succeed another time.
        """
        steps = ctx.steps
        if steps is None:
            tools = {
                name: BuiltTool(component=tool, name=name, reads=())
                for name, tool in self.tool_functions.items()
            }
            steps = DirectSteps(case, ctx, self._built, tools)
        history, turns = _opening(case.input, is_script=self._simulated is None)
        dialogue = Dialogue(
            ctx,
            steps,
            history=history,
            tools=list(self.tool_functions),
            max_steps=self.max_steps,
        )
        for content in turns:
            dialogue.add_user_turn(content)
            await dialogue.answer()
            if dialogue.error is not None:
                break
        if self._simulated is not None:
            await _go_on(dialogue, self._simulated, case.input)
        return dialogue.result()

    def first_request(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> list[dict[str, Any]]:
        """Return the messages of the first turn.

        Where a simulated user begins, those that it is asked with.
        """
        history, turns = _opening(case_input, is_script=self._simulated is None)
        if not turns and self._simulated is not None:
            return self._simulated.first_request(case_input, history)
        return render_conversation(prompt_spec, [*history, *_user_turns(turns[:1])])

    @cached_property
    def _simulated(self) -> SimulatedUser | None:
        if self.user is None:
            return None
        try:
            return SimulatedUser(**self.user)
        except ValidationError as error:
            # A setting that is misspelt is the cause of one that is missing.
            found = error.errors(include_url=False)
            item = min(found, key=lambda problem: problem["type"] != "extra_forbidden")
            place = ".".join(["user", *map(str, item["loc"])])
            problem = f"{item['msg'][:1].lower()}{item['msg'][1:]}"
            if item["type"] == "extra_forbidden":
                problem = nearest(str(item["loc"][-1]), SimulatedUser.model_fields)
            raise ComponentError(f"{place}: {problem}") from None

    @cached_property
    def _built(self) -> dict[str, BuiltGenerator]:
        built = {"model": build("generator", self._model_with_tools, where="generator")}
        if self._simulated is not None:
            spec = self._simulated.generator
            built["user"] = build("generator", spec, where="user.generator")
        return built

    @cached_property
    def _model_with_tools(self) -> Any:
        """The model as it was given, or a copy of it that is told of the functions."""
        if not self.tools:
            return self.generator
        component: Any = build("generator", self.generator, where="generator").component
        schemas = [tool.schema for tool in self.tool_functions.values()]
        if not callable(getattr(component, "with_tools", None)):
            raise ComponentError(
                f"tools: {component.component_id} cannot be told of functions: it has no "
                "`with_tools`"
            )
        return component.with_tools(schemas)


def _user_turns(contents: Sequence[Any]) -> list[_Turn]:
    return [{"role": "user", "content": content} for content in contents]


async def _go_on(
    dialogue: Dialogue,
    user: SimulatedUser,
    case_input: JsonValue,
) -> None:
    """Add turns of a simulated user and the model until one of them ends it."""
    told = user.told(case_input)
    while dialogue.error is None:
        content = await user.next_turn(dialogue, told)
        if content is None:
            return
        dialogue.add_user_turn(content)
        await dialogue.answer()


def _opening(
    case_input: JsonValue,
    *,
    is_script: bool,
) -> tuple[list[_Turn], list[Any]]:
    """Return the messages before the first turn, and the turns that a case has.

    Raise `RowError` for an input that is no script.
    """
    if isinstance(case_input, dict):
        return _scripted(case_input) if is_script else _opened(case_input)
    if is_conversation(case_input):
        return _split(case_input)
    if not isinstance(case_input, str):
        raise RowError(
            'the input is no conversation; write {"turns": ["…"]}, a list of messages, '
            "or a text"
        )
    return [], [case_input]


def _scripted(case_input: Mapping[str, Any]) -> tuple[list[_Turn], list[Any]]:
    for name in case_input:
        if name not in _SCRIPT_FIELDS:
            raise RowError(
                f"the input of a scripted conversation has no field {name!r}; "
                f"{nearest(name, _SCRIPT_FIELDS)}"
            )
    turns = case_input.get("turns")
    if not isinstance(turns, list) or not turns:
        raise RowError(
            "`turns` is a list of what the user says, with at least one turn"
        )
    contents = [_content_of(turn, index) for index, turn in enumerate(turns)]
    return _messages_in(case_input), contents


def _opened(case_input: Mapping[str, Any]) -> tuple[list[_Turn], list[Any]]:
    """Return what an input of a simulated user begins with, if with anything."""
    opening = case_input.get("opening")
    return _messages_in(case_input), [] if opening is None else [opening]


def _messages_in(case_input: Mapping[str, Any]) -> list[_Turn]:
    messages = case_input.get("messages", [])
    if messages and not is_conversation(messages):
        raise RowError(
            "`messages` is a list of messages, each with `role` and `content`"
        )
    return list(messages)


def _split(messages: Any) -> tuple[list[_Turn], list[Any]]:
    """Return a conversation that waits for an answer as history and the last turn."""
    *history, last = messages
    if last["role"] != "user":
        return list(messages), []
    return history, [last.get("content")]


def _content_of(
    turn: Any,
    index: int,
) -> Any:
    """Return the content of a user's turn: a text, parts, or those of a message."""
    if isinstance(turn, dict) and turn.get("role") == "user":
        turn = turn.get("content")
    if isinstance(turn, str) or (isinstance(turn, list) and turn):
        return turn
    raise RowError(
        f"turns[{index}] is {turn!r:.60}; write a text, a list of parts, or a message of "
        "the user"
    )
