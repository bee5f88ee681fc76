"""The tokens of a prompt, by the model's chat template or as plain text.

A prompt that is too long for the window is cut in its middle.
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

#: Whether a prompt goes through the model's chat template: if it has one, always, or
#: never.
Template = Literal["auto", "chat", "raw"]

#: What templates print as today's date: the text must not change with the calendar.
TEMPLATE_DATE = datetime.date(2024, 1, 1)
#: The date's names in English: `strftime` writes those of the process's locale.
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
    """A prompt as tokens.

    `dropped` counts those left out of its middle to fit the window.
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
    """Return the tokens of a conversation of turns, each with `role` and `content`.

    Without a template the contents follow each other, with a blank line between. Raises
    `ModelError` for `chat` if the model has no template, and if its template refuses
    the conversation.
    """
    if uses_chat_template(weights, template):
        text = _render_template(weights, messages)
        begins = weights.specials["bos_token"]
        # Some templates write the beginning of a sequence themselves: it must be there
        # once.
        add_special = not (begins and text.startswith(begins))
        tokens = weights.tokenize(
            text,
            add_special=add_special,
            parse_special=True,
        )
    else:
        contents = [message["content"] for message in messages]
        text = "\n\n".join(filter(None, contents))
        # What a prompt says is text, also if it looks like a control token.
        tokens = weights.tokenize(
            text,
            add_special=True,
            parse_special=False,
        )
    # A model cannot continue nothing at all.
    return fit(tokens or [weights.first_token], window)


def fit(
    tokens: Sequence[int],
    window: int,
) -> PromptTokens:
    """Return tokens that leave room for a text in the window.

    Of too many the head and the tail are kept, half of each.

    >>> fit(range(20), window=16)
    PromptTokens(tokens=(0, 1, 2, 3, 16, 17, 18, 19), dropped=12)
    """
    limit = window - min(ROOM_FOR_TEXT, window // 2)
    dropped = max(len(tokens) - limit, 0)
    if not dropped:
        return PromptTokens(tuple(tokens))
    # Instructions are at the beginning of a prompt, questions at its end.
    head = limit // 2
    kept = (*tokens[:head], *tokens[head + dropped :])
    return PromptTokens(kept, dropped)


def uses_chat_template(
    weights: Weights,
    template: Template,
) -> bool:
    """Return whether prompts go through a chat template.

    Raises `ModelError` for `chat` if the model has none.
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
        rendered = template.render(
            messages=messages,
            add_generation_prompt=True,
            **weights.specials,
        )
        return str(rendered)
    except Exception as error:  # noqa: BLE001 - a template is a program from the model's file
        raise ModelError(
            f"{weights.path}: its chat template refuses the prompt: "
            f"{describe(error)}; use template='raw'"
        ) from None


@cache
def _compile_template(source: str) -> Any:
    """Compile a template as the Hugging Face convention says."""
    from jinja2.exceptions import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    def format_fixed_date(form: str) -> str:
        for code, word in _ENGLISH.items():
            form = form.replace(code, word)
        return TEMPLATE_DATE.strftime(form)

    # Jinja's own filter escapes for HTML, which a model would read.
    def to_json(
        value: Any,
        **options: Any,
    ) -> str:
        return json.dumps(
            value,
            ensure_ascii=False,
            **options,
        )

    # A sandbox: a model file is data, and must not reach the Python around it.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols"],
    )
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = format_fixed_date
    environment.filters["tojson"] = to_json
    return environment.from_string(source)
