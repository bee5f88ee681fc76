"""A judge of whole conversations, by a rubric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from themis_lib.builtins.judges import JudgeRubric
from themis_lib.builtins.tool_calls import calls_in_messages
from themis_lib.builtins.verdicts import sections
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import Case, Message, ParsedOutput
from themis_lib.errors import RowError
from themis_lib.identity.digests import canonical_json

# Prompts are part of the keys of verdicts: another text needs another version.
_TASK = (
    "You grade the assistant of a conversation by a rubric, with a whole number from "
    "{low} (worst) to {high} (best). Grade what the assistant says and does, not what the "
    "user says."
)
_LAST = "Grade the last answer alone; what was said before it is its context."
_EXPECTED = "Where an expected outcome is given, it is right."


@dataclass(
    frozen=True,
    kw_only=True,
)
class JudgeConversation(JudgeRubric):
    """A judge's grade of a conversation by a rubric, as a number from 0 to 1.

    The judge is shown every turn, and the calls of tools with what they returned, but no
    system message. `grades` says what is graded: the `whole` conversation, or the `last`
    answer in the light of what was said before. The rest is as in `builtin/judge_rubric`.
    """

    component_id: ClassVar[str] = "builtin/judge_conversation"
    version: ClassVar[str] = "1"

    grades: Literal["whole", "last"] = "whole"

    @property
    def reads(self) -> tuple[str, ...]:
        """The conversation, and the expected output if the judge sees it."""
        if self.reference:
            return ("conversation", "expected_output")
        return ("conversation",)

    @property
    def _task_text(self) -> str:
        parts = [_TASK.format(low=self.low, high=self.high)]
        if self.grades == "last":
            parts.append(_LAST)
        if self.reference:
            parts.append(_EXPECTED)
        return " ".join(parts)

    def _build_request(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> str:
        messages = [
            message
            for message in ctx.result.conversation or ()
            if message.role != "system"
        ]
        if not any(message.role == "assistant" for message in messages):
            raise RowError("the row has no conversation with an answer to grade")
        parts: dict[str, Any] = {"conversation": transcript(messages)}
        # A hidden reference is masked before it gets here: the metric does not read it.
        if case.expected_output is not None:
            parts["expected outcome"] = case.expected_output
        return sections(parts)


def transcript(messages: Sequence[Message]) -> str:
    r"""Return messages as text, each under who says it; calls of tools are JSON.

    >>> print(transcript([Message(role="user", content="Hi"), Message(role="assistant")]))
    [1] user:
    Hi
    <BLANKLINE>
    [2] assistant:
    <BLANKLINE>
    """
    blocks = []
    for number, message in enumerate(messages, start=1):
        lines = [f"[{number}] {message.role}:", _content_text(message.content)]
        for call in calls_in_messages([message]):
            lines.append(f"calls {canonical_json(call.to_json())}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _content_text(content: Any) -> str:
    if content is None:
        return ""
    return content if isinstance(content, str) else canonical_json(content)
