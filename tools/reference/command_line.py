"""The page of the commands, from the programs themselves."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from flows import exit_codes
from flows.cli import VERBS
from tools.reference.markdown import code, docstring, escape, page, table

#: What stands for a value, by what its type has in its name.
_VALUE_NAMES = {"int": "INTEGER", "float": "NUMBER", "Path": "FILE", "datetime": "DATE"}
_INTRODUCTION = """\
`themis VERB …` and `python -m flows.VERB …` are the same programs; for `serve`, the
module is `deployments.serve`. `themis VERB --help` prints what is below. Where a
command takes a RUN, that is a run's id, the beginning of one, `last`, or an
experiment's name for its latest run."""


def command_line_page() -> str:
    """Return the page."""
    parts = [_INTRODUCTION, "## Exit codes", _exit_codes()]
    for name, verb in VERBS.items():
        # A verb may be there before its module.
        if importlib.util.find_spec(verb.module):
            app = importlib.import_module(verb.module).app
            parts += _sections(f"themis {name}", app, example=f"themis {verb.example}")
    return page("Command line", *parts)


def _exit_codes() -> str:
    rows = [(str(number), text) for number, text in exit_codes.MEANINGS.items()]
    return table(("code", "meaning"), rows)


def _sections(name: str, app: Any, *, example: str) -> Iterator[str]:
    """Yield the texts on a program, and on each of its subcommands."""
    yield f"## `{name}`"
    shown = f"For example: {code(example)}."
    commands = app.registered_commands
    if len(commands) == 1:
        yield from _command(name, commands[0].callback)
        yield shown
        return
    yield shown
    for command in commands:
        verb = command.name or command.callback.__name__.replace("_", "-")
        yield f"### `{name} {verb}`"
        yield from _command(f"{name} {verb}", command.callback)


def _command(name: str, function: Callable[..., Any]) -> Iterator[str]:
    """Yield the texts on a command: what it does, how it is called, its options."""
    parameters = list(_parameters(function))
    arguments = [one for one in parameters if not one.is_option]
    options = [one for one in parameters if one.is_option]
    usage = "".join(f" {one.usage}" for one in arguments)
    yield docstring(function)
    yield f"```text\n{name}{usage}{' [OPTIONS]' if options else ''}\n```"
    rows = [(code(one.usage), escape(one.help)) for one in arguments]
    yield table(("argument", "meaning"), rows)
    rows = [(code(one.usage), code(one.default), escape(one.help)) for one in options]
    yield table(("option", "default", "meaning"), rows)


@dataclass(frozen=True)
class _Parameter:
    """An argument or an option, as it is written and explained."""

    usage: str
    default: str
    help: str
    is_option: bool


def _parameters(function: Callable[..., Any]) -> Iterator[_Parameter]:
    """Yield what a command takes, as its annotations declare it."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        annotation, info = get_args(hints[name])[:2]
        is_many = "list[" in str(annotation)
        if isinstance(info, ArgumentInfo):
            usage = (info.metavar or name).upper()
            is_needed = parameter.default is inspect.Parameter.empty
            usage = usage if is_needed else f"[{usage}]"
            yield _Parameter(usage + " …" * is_many, "", info.help or "", False)
            continue
        flags = ", ".join(_flags(name, info))
        is_flag = annotation is bool
        usage = flags if is_flag else f"{flags} {_value_name(annotation)}"
        default = parameter.default
        shown = "" if default in (None, False) else str(default)
        yield _Parameter(usage + " …" * is_many, shown, info.help or "", True)


def _flags(name: str, info: OptionInfo) -> list[str]:
    """Return what an option is called on the command line."""
    # In `Annotated`, Typer takes the first name for a default.
    declared = [info.default, *(info.param_decls or ())]
    names = [one for one in declared if isinstance(one, str) and one.startswith("-")]
    return names or [f"--{name.replace('_', '-')}"]


def _value_name(annotation: Any) -> str:
    """Return what a value of an option is called.

    >>> _value_name(int | None), _value_name(Literal["a", "b"])
    ('INTEGER', 'a|b')
    """
    if get_origin(annotation) is Literal:
        return "|".join(map(str, get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "|".join(item.value for item in annotation)
    text = str(annotation)
    for part, value_name in _VALUE_NAMES.items():
        if part in text:
            return value_name
    return "TEXT"
