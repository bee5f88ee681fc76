"""A user that a model plays: who it is, what it is told, and when it stops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, JsonValue

from themis_lib.builtins.dialogue import Dialogue, step_seed
from themis_lib.core.models import FrozenModel, GenerationResult
from themis_lib.core.reasoning import split_reasoning
from themis_lib.core.templates import PromptTemplate
from themis_lib.errors import ConfigError, RowError

# The texts below are sent, so that another text needs another version of
# `builtin/conversation`.
_ROLE = (
    "You play the user of a conversation with an assistant. You are not the assistant: "
    "never help, only say what this user would say next. Write that message alone, "
    "without quotes or a name in front of it."
)
_STOP = "When this user has nothing more to say, write {stop} and nothing else."
_BEGIN = "(The conversation begins. Write your first message.)"
_GO_ON = "(The assistant is waiting. Write your next message.)"
_ASKED = (
    "(The conversation is interrupted. Answer as an observer, with yes or no alone: "
    "{question})"
)


#: What models put around a word that they were asked for.
_AROUND_WORD = " \t\n*_`\"'(["


class SimulatedUser(FrozenModel):
    """Who plays the user, and when it stops.

    `persona` is a template over the case's input, which says who the user is and what it
    wants. The conversation ends when the user writes `stop`, when `until`, a question
    that the same generator is asked after each answer, is answered by yes, or after
    `max_turns` turns.
    """

    generator: Any
    persona: Annotated[str, Field(min_length=1)]
    stop: Annotated[str, Field(min_length=1)] = "###STOP###"
    until: str | None = None
    max_turns: Annotated[int, Field(ge=1)] = 8

    def check(self) -> None:
        """Raise `ConfigError` for a persona that is no template."""
        self._template()

    @property
    def identity(self) -> dict[str, JsonValue]:
        """Everything that decides what it is asked, without the generator."""
        return self.model_dump(mode="json", exclude={"generator"})

    def first_request(
        self,
        case_input: JsonValue,
        history: Sequence[dict[str, Any]],
    ) -> list[dict[str, Any]]:
        """Return the messages that ask for the first thing the user says."""
        said = [turn for turn in history if turn["role"] in ("user", "assistant")]
        return _seen_from_here(self.told(case_input), said)

    def told(self, case_input: JsonValue) -> str:
        """Return what the generator is told in the case of an input.

        Raise `RowError` if the persona cannot be rendered for it.
        """
        try:
            persona = self._template().render(case_input)
        except RowError as error:
            said = str(error).removeprefix("the prompt's template: ")
            raise RowError(f"the persona: {said}") from None
        if not isinstance(persona, str):
            raise RowError("the persona: it prints an image, audio or a file")
        return "\n\n".join([persona, _ROLE, _STOP.format(stop=self.stop)])

    async def next_turn(
        self,
        dialogue: Dialogue,
        told: str,
    ) -> str | None:
        """Return what the user says next; `None` where the conversation ends.

        Then `dialogue` says why it ended.
        """
        if dialogue.turns >= self.max_turns:
            dialogue.ended = "max_turns"
            return None
        if dialogue.turns and self.until is not None:
            question = _ASKED.format(question=self.until)
            verdict = await self._ask(dialogue, told, question, "until")
            if verdict is None:
                return None
            dialogue.note_step("user", "until", input=self.until, output=verdict)
            if verdict.lower().lstrip(_AROUND_WORD).startswith("yes"):
                dialogue.ended = "until"
                return None
        said = await self._ask(dialogue, told, None, "user")
        if said is None:
            return None
        if self.stop in said:
            dialogue.ended = "stop"
            dialogue.note_step("user", "stop", output=said)
            return None
        return said

    async def _ask(
        self,
        dialogue: Dialogue,
        told: str,
        question: str | None,
        purpose: str,
    ) -> str | None:
        """Return what the generator says; `None` if it cannot, which ends the row."""
        messages = _seen_from_here(told, dialogue.said)
        if question is not None:
            messages.append({"role": "user", "content": question})
        seed = step_seed(dialogue.ctx.seed, purpose, dialogue.turns)
        value: Any = messages
        result = await dialogue.steps.ask("user", value, seed=seed)
        dialogue.note_spent("user", result)
        said = _text_of(result)
        if said is None:
            reason = result.error or "it wrote no text"
            dialogue.fail(f"the simulated user has nothing to say: {reason}")
        return said

    def _template(self) -> PromptTemplate:
        try:
            return PromptTemplate(self.persona)
        except ConfigError as error:
            said = str(error).partition(": ")[2]
            raise ConfigError(f"user.persona: {said}") from None


def _seen_from_here(
    told: str,
    said: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Return what was said as the one who plays the user sees it."""
    messages = [
        {"role": "system", "content": told},
        {"role": "user", "content": _BEGIN},
    ]
    for turn in said:
        # To the one who plays the user, the model is the other side.
        role = "assistant" if turn["role"] == "user" else "user"
        messages.append({"role": role, "content": turn["content"]})
    # A provider answers a user's message; the last one may be the user's own.
    if messages[-1]["role"] == "assistant":
        messages.append({"role": "user", "content": _GO_ON})
    return messages


def _text_of(result: GenerationResult) -> str | None:
    output = result.final_output
    if result.error is not None or not isinstance(output, str):
        return None
    said = split_reasoning(output).answer
    return said if said and said.strip() else None
