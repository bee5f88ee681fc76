"""Prompt templates: Jinja over the fields of an input, sandboxed and strict."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from themis_lib.core.template_parts import (
    MarkedParts,
    MediaPart,
    check_json,
    printed,
)
from themis_lib.errors import ConfigError, RowError
from themis_lib.identity.digests import canonical_json, digest

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

#: The whole input, by name; a field of this name takes precedence.
WHOLE_INPUT = "input"
_PLACE = "generation.prompt_spec.template"


class PromptTemplate:
    r"""A template of a user's turn, or a list of role and content of a conversation.

    Names in it are the fields of the input; `input` is the whole. What prints a null, or
    anything else that is no JSON value, or uses a name that is not there is an error,
    never an empty text. Beside Jinja's own, the filters are `letter` (0 becomes A),
    `lettered` (a list becomes `A. …`, `B. …`), `json` and `shuffled`; what differs from
    call to call (`random`, `lipsum`) is left out.

    Raise `ConfigError` for a template that is empty, for one that Jinja cannot read, with
    its line, and for one that needs another template.

    >>> PromptTemplate("{{ q }}\n{{ options | lettered | join('\n') }}").render(
    ...     {"q": "Red?", "options": ["yes", "no"]}
    ... )
    'Red?\nA. yes\nB. no'
    """

    def __init__(self, source: str | Sequence[Mapping[str, str]]) -> None:
        if not source:
            raise ConfigError(f"{_PLACE}: it is empty, and so would be every prompt")
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
        """Return the input as it is sent: a text, a list of parts, or one of messages.

        Where the template prints an image, audio or a file of the input, a part goes.
        Raise `RowError` if the template cannot be rendered for this input.
        """
        try:
            contents = self._contents(value)
        # Filters and methods of values raise whatever Python raises.
        except Exception as error:  # noqa: BLE001 - Jinja passes on any exception
            raise RowError(f"the prompt's template: {error}") from None
        if self._is_text:
            return contents[0]
        roles = [role for role, _ in self._turns]
        messages: list[JsonValue] = []
        for role, content in zip(roles, contents, strict=True):
            messages.append({"role": role, "content": content})
        return messages

    def _contents(self, value: JsonValue) -> list[JsonValue]:
        """Return the rendered content of each turn: a text, or parts."""
        marked = MarkedParts(value)
        held = with_nulls(marked.value)
        fields = {WHOLE_INPUT: held}
        if isinstance(held, dict):
            fields.update(held)
        texts = [compiled.render(fields) for _, compiled in self._turns]
        for text in texts:
            # Raises for half a surrogate pair, which an escape in a template can print.
            text.encode()
        return list(map(marked.cut, texts))


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


def shuffled(
    options: Sequence[Any],
    seed: int = 0,
) -> list[Any]:
    """Return a list in an order drawn by a seed and by what is in the list.

    >>> shuffled(["a", "b", "c"], 0), shuffled(["a", "b", "c"], 1)
    (['b', 'c', 'a'], ['a', 'c', 'b'])
    """
    if not isinstance(options, (list, tuple)):
        raise ValueError(f"`shuffled` takes a list, not {_kind(options)}")
    plain = without_nulls(options)

    def rank(position: int) -> str:
        return digest("shuffle", [seed, plain, position])

    return [options[position] for position in sorted(range(len(options)), key=rank)]


class _Null:
    """A null of an input: false, equal to `None`, and an error where it is printed.

    `None` itself would be the word None behind `~`, `join`, `trim` and the like.
    """

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return _is_null(other)

    def __hash__(self) -> int:
        return hash(None)

    def __str__(self) -> str:
        raise ValueError(
            "it prints a null; write what to print instead, `{{ x or '' }}`"
        )

    # Of a list as Python's text, too.
    __repr__ = __str__


_NULL = _Null()
#: What Jinja's messages call a null.
NULL_CLASS = f"{_Null.__module__}.{_Null.__name__} object"


def _is_null(value: object) -> bool:
    return value is None or isinstance(value, _Null)


def with_nulls(value: Any) -> Any:
    """Return a JSON value whose nulls cannot be printed."""
    if isinstance(value, MediaPart):
        return value
    if isinstance(value, dict):
        return {name: with_nulls(item) for name, item in value.items()}
    if isinstance(value, list):
        return list(map(with_nulls, value))
    return _NULL if value is None else value


def without_nulls(value: Any) -> Any:
    """Return a value as `with_nulls` was given it."""
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return list(map(without_nulls, value))
    return None if isinstance(value, _Null) else value


def _lettered(options: Any) -> list[str]:
    if not isinstance(options, list):
        raise ValueError(f"`lettered` takes a list, not {_kind(options)}")
    return [
        f"{letter(index)}. {_shown(option)}" for index, option in enumerate(options)
    ]


def _json(value: Any) -> str:
    # Jinja's own `tojson` writes `<` as an escape, for HTML.
    return _dumps(value, ensure_ascii=False)


def _dumps(
    value: Any,
    **options: Any,
) -> str:
    check_json(value)
    return json.dumps(value, default=_json_default, **options)


def _json_default(value: Any) -> None:
    if not _is_null(value):
        # Of a name that is not there, it is an error that says which.
        str(value)
        raise ValueError(f"{_kind(value)} is no JSON value")


def _shown(value: Any) -> Any:
    """Return what a value looks like in a prompt."""
    from jinja2 import Undefined

    if _is_null(value):
        return str(_NULL)
    mark = printed(value)
    if mark is not None:
        return mark
    if isinstance(value, (dict, list, tuple)):
        check_json(value)
        return canonical_json(without_nulls(value))
    # An undefined name raises where it is printed, and says which.
    if isinstance(value, (str, int, float, Undefined)):
        return value
    # The text of others holds where they are in memory: `{{ doc.items }}`, a method.
    raise ValueError(
        f"it prints {_kind(value)}, which is no JSON value; add `| list`, or "
        'write `x["name"]` for a field that has the name of a method'
    )


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"


def _compile(source: str, place: str) -> tuple[Template, set[str]]:
    """Return a compiled template, and the names that it reads."""
    from jinja2 import TemplateSyntaxError, meta

    jinja = environment()
    try:
        tree = jinja.parse(source)
        names = meta.find_undeclared_variables(tree)
        compiled = jinja.from_string(source)
    except TemplateSyntaxError as error:
        raise ConfigError(f"{place}, line {error.lineno}: {error.message}") from None
    # What Jinja reads and Python cannot: a macro with two parameters of one name.
    except (SyntaxError, RecursionError) as error:
        raise ConfigError(f"{place}: {error}") from None
    if list(meta.find_referenced_templates(tree)):
        raise ConfigError(f"{place}: it needs another template, and there is none")
    return compiled, names - set(jinja.globals)


@cache
def environment() -> SandboxedEnvironment:
    """Return the Jinja environment of every template and expression of an experiment."""
    # Late: only experiments with a template need Jinja.
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    jinja = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The same input must give the same prompt.
    del jinja.filters["random"], jinja.globals["lipsum"]
    jinja.filters.update(
        letter=letter, lettered=_lettered, json=_json, shuffled=shuffled
    )
    jinja.tests["none"] = _is_null
    jinja.policies["json.dumps_function"] = _dumps
    jinja.policies["json.dumps_kwargs"] = {"sort_keys": True}
    return jinja
