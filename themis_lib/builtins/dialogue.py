"""A conversation in the making: what was said, what it took, and how it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from themis_lib.builtins.tool_calls import ToolCall, calls_in_output
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import GenerationResult, Message, TokenUsage, TraceStep
from themis_lib.core.prices import added
from themis_lib.core.prompts import render_conversation
from themis_lib.core.reasoning import CUT_OFF, split_reasoning
from themis_lib.core.steps import Steps
from themis_lib.core.tools import call_id
from themis_lib.errors import nearest
from themis_lib.identity.digests import canonical_json, digest

Turn = dict[str, Any]


def step_seed(seed: int, *place: int | str) -> int:
    """Return the 31-bit seed of one call of a row, by the row's seed and the place.

    >>> step_seed(7, "model", 0, 0) != step_seed(7, "model", 1, 0)
    True
    """
    return int(digest("step seed", [seed, *place])[:8], 16) >> 1


class Dialogue:
    """The turns so far between a user and a model, and the functions that it called.

    A user's turn is sent between the prefix and the suffix of the prompt spec, and stays
    in the history as it was sent. `said` has it as the user said it.
    """

    def __init__(
        self,
        ctx: GenerateContext,
        steps: Steps,
        *,
        history: Sequence[Turn] = (),
        tools: Sequence[str] = (),
        max_steps: int = 1,
    ) -> None:
        self.ctx = ctx
        self.steps = steps
        self.messages: list[Turn] = [dict(turn) for turn in history]
        #: The turns of user and model as a reader sees them: no prompt material, no tools.
        self.said: list[Turn] = [
            turn for turn in self.messages if turn["role"] in ("user", "assistant")
        ]
        self.turns = 0
        self.error: str | None = None
        self.ended: str | None = None
        self._tools = tools
        self._max_steps = max_steps
        self._trace: list[TraceStep] = []
        self._last = GenerationResult()
        self._spent: dict[str, TokenUsage] = {}
        # Each request has a price by its own length, which the sum does not tell.
        self._requests: dict[str, list[dict[str, int]]] = {}
        self._latency_s = 0.0
        self._exchanges: list[Any] = []

    def note_spent(
        self,
        who: str,
        result: GenerationResult,
    ) -> None:
        """Count the tokens of an answer of the model or of the simulated user."""
        if result.usage is not None:
            counts = result.usage.model_dump(exclude_none=True)
            self._requests.setdefault(who, []).append(counts)
            self._spent[who] = added(self._spent.get(who, TokenUsage()), result.usage)

    def note_step(
        self,
        name: str,
        event: str,
        **fields: Any,
    ) -> None:
        """Add a step to the trace, under the number of the turn."""
        step = TraceStep(
            name=name, event=event, metadata={"turn": self.turns}, **fields
        )
        self._trace.append(step)

    def fail(self, reason: str) -> None:
        """End the conversation for a reason that would come again."""
        self.error = f"turn {self.turns}: {reason}"

    def add_user_turn(self, content: Any) -> None:
        """Add what the user says next."""
        self.turns += 1
        said = {"role": "user", "content": content}
        self.said.append(said)
        spec = self.ctx.prompt_spec.model_copy(
            update={"instructions": None, "template": None}
        )
        self.messages += render_conversation(spec, [said])
        self.note_step("user", "turn", output=content)

    async def answer(self) -> None:
        """Add what the model answers, with the calls of functions on the way."""
        for step in range(self._max_steps):
            seed = step_seed(self.ctx.seed, "model", self.turns, step)
            result = await self.steps.ask("model", list(self.messages), seed=seed)
            self._note_answer(result)
            if result.error is not None:
                self.fail(result.error)
                return
            calls = calls_in_output(result.final_output)
            self._add_answer(result, calls)
            if self.error is not None:
                return
            if not calls or not self._tools:
                return
            for index, call in enumerate(calls):
                await self._call(
                    call, self._id_of(index, len(self.messages) - 1 - index)
                )
        self.fail(
            f"the model still calls tools after {self._max_steps} steps; "
            "raise max_steps if it needs more"
        )

    def result(self) -> GenerationResult:
        """Return the conversation as the result of one row."""
        messages = list(self.messages)
        if self.ctx.prompt_spec.instructions:
            messages.insert(
                0, {"role": "system", "content": self.ctx.prompt_spec.instructions}
            )
        about: dict[str, Any] = {"turns": self.turns}
        if self.ended is not None:
            about["ended"] = self.ended
        spent_by_user = self._spent.get("user")
        return GenerationResult(
            final_output=None if self.error else self._last.final_output,
            finish_reason=self._last.finish_reason,
            trace=self._trace,
            conversation=[Message(**_columns(turn)) for turn in messages],
            artifacts={**(self._last.artifacts or {}), "conversation": about},
            # What differs at every call, and what no component may read.
            transport={
                "turns": self._exchanges,
                "spent": {"user": spent_by_user.model_dump()} if spent_by_user else {},
                "requests": self._requests,
            },
            usage=self._spent.get("model"),
            latency_s=self._latency_s,
            error=self.error,
        )

    def _note_answer(self, result: GenerationResult) -> None:
        self._last = result
        self.note_spent("model", result)
        self._latency_s += result.latency_s or 0.0
        self._exchanges.append(result.transport)
        for step in result.trace or ():
            metadata = {**step.metadata, "turn": self.turns}
            self._trace.append(step.model_copy(update={"metadata": metadata}))
        if not result.trace:
            self.note_step("generation", "generation", output=result.final_output)

    def _add_answer(
        self,
        result: GenerationResult,
        calls: Sequence[ToolCall],
    ) -> None:
        output = result.final_output
        text = output
        if calls:
            text = output.get("text")
        elif not isinstance(output, str):
            text = canonical_json(output)
        if isinstance(text, str):
            # Models are not shown what they thought in earlier turns.
            text = split_reasoning(text).answer
            if text is None:
                self.fail(CUT_OFF)
                return
        turn: Turn = {"role": "assistant", "content": text}
        if text is not None:
            self.said.append(dict(turn))
        if calls and self._tools:
            place = len(self.messages)
            turn["tool_calls"] = [
                _written(call, self._id_of(index, place))
                for index, call in enumerate(calls)
            ]
            # Anthropic's models have to see what they thought before they called.
            thoughts = (result.artifacts or {}).get("thinking_blocks")
            if thoughts:
                turn["thinking_blocks"] = thoughts
        self.messages.append(turn)

    def _id_of(
        self,
        index: int,
        place: int,
    ) -> str:
        return call_id([place, index])

    async def _call(
        self,
        call: ToolCall,
        id_: str,
    ) -> None:
        """Call a function, and tell the model what it returned or what went wrong."""
        if call.name not in self._tools:
            said = f"no tool {call.name!r}; {nearest(str(call.name), self._tools)}"
            result = GenerationResult(error=said)
        else:
            after = digest("messages", self.messages)
            result = await self.steps.call(call.name, call.arguments, after=after)
        if result.error is not None:
            returned: Any = {"error": result.error}
        else:
            returned = result.final_output["returned"]
        content = returned if isinstance(returned, str) else canonical_json(returned)
        self.note_step(str(call.name), "tool_result", output=returned)
        self.messages.append({"role": "tool", "tool_call_id": id_, "content": content})


def _written(
    call: ToolCall,
    id_: str,
) -> dict[str, Any]:
    """Return a call as Chat Completions write it."""
    arguments = call.arguments
    if not isinstance(arguments, str):
        arguments = canonical_json({} if arguments is None else arguments)
    function = {"name": call.name, "arguments": arguments}
    return {"id": id_, "type": "function", "function": function}


def _columns(turn: Mapping[str, Any]) -> dict[str, Any]:
    return {name: turn[name] for name in Message.model_fields if name in turn}
