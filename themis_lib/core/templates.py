"""Prompt templates: Jinja over the fields of an input, sandboxed and strict."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from themis_lib.errors import ConfigError, RowError
from themis_lib.identity.digests import canonical_json

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

#: The whole input, by name; a field of this name takes precedence.
WHOLE_INPUT = "input"
_PLACE = "generation.prompt_spec.template"


class PromptTemplate:
    r"""A template of a user's turn, or a list of role and content of a conversation.

    Names in it are the fields of the input; `input` is the whole. What prints a null or
    uses a name that is not there is an error, never an empty text. Beside Jinja's own,
    the filters are `letter` (0 becomes A), `lettered` (a list becomes `A. …`, `B. …`)
    and `json`; what differs from call to call (`random`, `lipsum`) is left out.

    Raise `ConfigError` for a template that Jinja cannot read, with its line.

    >>> PromptTemplate("{{ q }}\n{{ options | lettered | join('\n') }}").render(
    ...     {"q": "Red?", "options": ["yes", "no"]}
    ... )
    'Red?\nA. yes\nB. no'
    """

    def __init__(self, source: str | Sequence[Mapping[str, str]]) -> None:
        self._is_text = isinstance(source, str)
        turns: Sequence[Mapping[str, str]]
        turns = (
            [{"role": "user", "content": source}] if isinstance(source, str) else source
        )
        self._turns: list[tuple[str, Template]] = []
        names: set[str] = set()
        for index, turn in enumerate(turns):
            place = _PLACE if self._is_text else f"{_PLACE}[{index}]"
            compiled, used = _compile(turn["content"], place)
            self._turns.append((turn["role"], compiled))
            names |= used
        #: The names that the template reads, sorted.
        self.names = tuple(sorted(names))

    def render(self, value: JsonValue) -> JsonValue:
        """Return the input as it is sent: a text, or a list of messages.

        Raise `RowError` if the template cannot be rendered for this input.
        """
        fields: dict[str, Any] = {WHOLE_INPUT: value}
        if isinstance(value, dict):
            fields.update(value)
        texts = []
        for _, compiled in self._turns:
            try:
                texts.append(compiled.render(fields))
            # Filters and methods of values raise whatever Python raises.
            except Exception as error:  # noqa: BLE001 - Jinja passes on any exception
                raise RowError(f"the prompt's template: {error}") from None
        if self._is_text:
            return texts[0]
        roles = [role for role, _ in self._turns]
        messages: list[JsonValue] = []
        for role, text in zip(roles, texts, strict=True):
            messages.append({"role": role, "content": text})
        return messages


def letter(index: int) -> str:
    """Return the letter of an option by its position, counted from 0.

    Raise `ValueError` for what is no position of a letter.

    >>> letter(0), letter(25)
    ('A', 'Z')
    """
    is_position = isinstance(index, int) and not isinstance(index, bool)
    if not is_position or not 0 <= index < len(string.ascii_uppercase):
        raise ValueError(f"{index!r} is no position of a letter, 0 to 25")
    return string.ascii_uppercase[index]


def _lettered(options: Any) -> list[str]:
    if not isinstance(options, list):
        raise ValueError(f"`lettered` takes a list, not {options!r:.60}")
    return [
        f"{letter(index)}. {_shown(option)}" for index, option in enumerate(options)
    ]


def _json(value: Any) -> str:
    # Jinja's own `tojson` writes `<` as an escape, for HTML.
    return json.dumps(value, ensure_ascii=False)


def _shown(value: Any) -> Any:
    """Return what a value looks like in a prompt."""
    if value is None:
        raise ValueError(
            "it prints a null; write what to print instead, `{{ x or '' }}`"
        )
    return canonical_json(value) if isinstance(value, (dict, list)) else value


def _compile(source: str, place: str) -> tuple[Template, set[str]]:
    """Return a compiled template, and the names that it reads."""
    from jinja2 import TemplateSyntaxError, meta

    environment = _environment()
    try:
        names = meta.find_undeclared_variables(environment.parse(source))
        compiled = environment.from_string(source)
    except TemplateSyntaxError as error:
        raise ConfigError(f"{place}, line {error.lineno}: {error.message}") from None
    return compiled, names - set(environment.globals)


@cache
def _environment() -> SandboxedEnvironment:
    # Late: only experiments with a template need Jinja.
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The same input must give the same prompt.
    del environment.filters["random"], environment.globals["lipsum"]
    environment.filters.update(letter=letter, lettered=_lettered, json=_json)
    return environment
