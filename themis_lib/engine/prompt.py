"""From a prompt to tokens: the model's chat template or plain text, cut to the window
where it is too long.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from themis_lib.errors import ModelError, describe

if TYPE_CHECKING:
    from themis_lib.engine.weights import Weights

#: Whether a prompt goes through the model's chat template: where it has one, always, or
#: never.
Template = Literal["auto", "chat", "raw"]

#: What templates print as today's date: the text must not change with the calendar.
TEMPLATE_DATE = datetime.date(2024, 1, 1)
_ENGLISH = {
    "%a": "Mon",
    "%A": "Monday",
    "%b": "Jan",
    "%B": "January",
    "%p": "AM",
}

#: Tokens kept free for the text: this many, or half of a small window. Independent of
#: the length asked for, so that a shorter text is a beginning of a longer one.
ROOM_FOR_TEXT = 512


@dataclass(
    frozen=True,
    slots=True,
)
class PromptTokens:
    """A prompt as tokens; `dropped` counts those left out of its middle to fit the
    window.
    """

    tokens: tuple[int, ...]
    dropped: int = 0


def prompt_tokens(
    weights: Weights,
    messages: Sequence[Mapping[str, Any]],
    *,
    template: Template,
    window: int,
) -> PromptTokens:
    """The tokens of a conversation, each turn with its `role` and its `content`.

    Without a template its contents follow each other with a blank line between. Raises
    `ModelError` for `chat` where the model has no template, and where its template
    refuses the conversation.
    """
    if uses_chat_template(weights, template):
        text = _render_template(weights, messages)
        begins = weights.specials["bos_token"]
        add_special = not (begins and text.startswith(begins))
        tokens = weights.tokenize(
            text,
            add_special=add_special,
            parse_special=True,
        )
    else:
        text = "\n\n".join(
            message["content"] for message in messages if message["content"]
        )
        tokens = weights.tokenize(
            text,
            add_special=True,
            parse_special=False,
        )
    return fit(tokens or [weights.first_token], window)


def fit(
    tokens: Sequence[int],
    window: int,
) -> PromptTokens:
    """Tokens that leave room for a text: where they are too many, their head and their
    tail, half of each.

    >>> fit(range(20), window=16)
    PromptTokens(tokens=(0, 1, 2, 3, 16, 17, 18, 19), dropped=12)
    """
    limit = window - min(ROOM_FOR_TEXT, window // 2)
    dropped = max(len(tokens) - limit, 0)
    if not dropped:
        return PromptTokens(tuple(tokens))
    head = limit // 2
    return PromptTokens((*tokens[:head], *tokens[head + dropped :]), dropped)


def uses_chat_template(
    weights: Weights,
    template: Template,
) -> bool:
    """Whether prompts go through a chat template. Raises `ModelError` for `chat` where
    the model has none.
    """
    if template == "chat" and not weights.chat_template:
        raise ModelError(
            f"{weights.path}: the model has no chat template; use template='raw'"
        )
    return template != "raw" and bool(weights.chat_template)


def _render_template(
    weights: Weights,
    messages: Sequence[Mapping[str, Any]],
) -> str:
    try:
        template = _compile_template(weights.chat_template)
        return str(
            template.render(
                messages=messages,
                add_generation_prompt=True,
                **weights.specials,
            )
        )
    except Exception as error:  # noqa: BLE001 - a template is a program of whoever made the model
        raise ModelError(
            f"{weights.path}: its chat template refuses the prompt: {describe(error)}; use template='raw'"
        ) from None


def _fixed_date(form: str) -> str:
    """The date that never changes, in English whatever the locale."""
    for code, word in _ENGLISH.items():
        form = form.replace(code, word)
    return TEMPLATE_DATE.strftime(form)


@cache
def _compile_template(source: str) -> Any:
    """A template as the Hugging Face convention compiles it, without access to anything
    around it.
    """
    from jinja2.exceptions import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols"],
    )
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = _fixed_date
    environment.filters["tojson"] = lambda value, **options: json.dumps(
        value,
        ensure_ascii=False,
        **options,
    )
    return environment.from_string(source)
