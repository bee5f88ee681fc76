"""The process of the code: it runs what a model wrote, and calls it as it is asked to.

Nothing here is trusted: the code can change all of it. What it can answer is plain
values, and those are judged in another process. Imports nothing but the standard
library: it runs in the sandbox.
"""

from __future__ import annotations

import builtins
import operator
import sys
import types
from collections.abc import Callable
from typing import Any

from themis_lib.sandbox.wire import (
    Frame,
    UnusableFrameError,
    decode,
    encode,
    read_frame,
    write_frame,
)

#: The name of the module that the code is.
_MODULE = "answer"
_FILE = f"<{_MODULE}>"
_MESSAGE_CHARS = 300
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda function, args, named: function(*args, **named),
    "getattr": getattr,
    "setattr": setattr,
    "getitem": operator.getitem,
    "len": len,
    "list": list,
}


class _Objects:
    """What is not plain data, by the number that the other side has for it."""

    def __init__(self) -> None:
        self._objects: list[Any] = []

    def refer(self, value: Any) -> int:
        self._objects.append(value)
        return len(self._objects) - 1

    def resolve(self, number: int) -> Any:
        return self._objects[number]


def serve(file: int) -> None:
    """Answer requests until the other side ends: the code first, then operations."""
    objects = _Objects()
    write_frame(file, {"ready": True})
    while (request := read_frame(file)) is not None:
        try:
            reply = {"value": _answer(request, objects)}
        # Before any other: there may be no memory to describe it.
        except MemoryError:
            reply = {"memory": True}
        except BaseException as error:  # noqa: BLE001 - code may raise anything
            reply = {"raised": _describe(error)}
        try:
            write_frame(file, reply)
        except UnusableFrameError as error:
            write_frame(file, {"too_large": str(error)})


def _answer(
    request: Frame,
    objects: _Objects,
) -> Any:
    if "code" in request:
        return _run(request["code"], objects)
    operands = decode(request["operands"], objects.resolve)
    result = _OPERATIONS[request["operation"]](*operands)
    return encode(result, objects.refer)


def _run(
    code: str,
    objects: _Objects,
) -> Frame:
    """Run the code as a module. Return the numbers of what it defines, by name."""
    module = types.ModuleType(_MODULE)
    # Dataclasses look their module up.
    sys.modules[_MODULE] = module
    # `dont_inherit`: the future statements of this file are not the code's.
    compiled = compile(code, _FILE, "exec", dont_inherit=True)
    exec(compiled, module.__dict__)
    defined: Frame = {}
    for name, value in list(vars(module).items()):
        if callable(value):
            defined[name] = objects.refer(value)
    return defined


def _describe(error: BaseException) -> Frame:
    known = "Exception"
    for kind in type(error).__mro__:
        if getattr(builtins, kind.__name__, None) is kind:
            known = kind.__name__
            break
    message = str(error)
    return {
        "type": type(error).__name__,
        # The built-in class by which a test would catch it.
        "known": known,
        "message": message[:_MESSAGE_CHARS],
        "errno": getattr(error, "errno", None),
        "line": _line_of(error),
    }


def _line_of(error: BaseException) -> int | None:
    """Return the line of the code that was running when an exception was raised."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
