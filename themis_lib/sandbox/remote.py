"""The code as the process of its tests sees it: functions and objects elsewhere.

Imports nothing but the standard library: it runs in the sandbox.
"""

from __future__ import annotations

import builtins
from typing import Any

from themis_lib.sandbox.wire import (
    Frame,
    UnusableFrameError,
    decode,
    encode,
    read_frame,
    write_frame,
)


# Not an `Exception`: a test that expects one must not catch it.
class RowEnd(BaseException):
    """The code cannot go on, or the tests cannot; says what the verdict is."""

    def __init__(self, outcome: str, message: str) -> None:
        super().__init__(outcome, message)
        self.outcome = outcome
        self.message = message


class Remote:
    """The process of the code, and the connection to it."""

    def __init__(self, file: int) -> None:
        self._file = file

    def load(self, code: str) -> dict[str, Any]:
        """Run the code. Return what stands for the functions and classes it defines."""
        # Its sandbox is closed from here on; before, nothing of the row is sent.
        if read_frame(self._file) is None:
            raise RowEnd("not closed", "the sandbox of the code could not be closed")
        reply = self._ask({"code": code})
        try:
            defined = dict(reply)
        except (TypeError, ValueError) as error:
            raise RowEnd("raised", f"the code sent no reply: {error}") from None
        functions = {}
        for name, number in defined.items():
            functions[name] = RemoteObject(self, number)
        return functions

    def operate(
        self,
        operation: str,
        *operands: Any,
    ) -> Any:
        """Return what an operation on objects of the code gives."""
        try:
            encoded = encode(list(operands), self._refer)
        # A function of the tests; the code's own values are data and objects of it.
        except UnusableFrameError as error:
            raise RowEnd("unusable tests", f"a value cannot be sent: {error}") from None
        except RecursionError:
            raise RowEnd("raised", "a value is nested too deeply") from None
        value = self._ask({"operation": operation, "operands": encoded})
        try:
            return decode(value, self._resolve)
        except UnusableFrameError as error:
            raise RowEnd("raised", f"the code sent no value: {error}") from None

    def _ask(self, request: Frame) -> Any:
        try:
            write_frame(self._file, request)
        except UnusableFrameError as error:
            raise RowEnd("too large", f"the code is called with {error}") from None
        except (BrokenPipeError, ConnectionResetError):
            raise RowEnd("ended", "the code's process ended") from None
        reply = self._receive()
        if "value" in reply:
            return reply["value"]
        if "memory" in reply:
            raise RowEnd("memory", "the code ran out of memory")
        if "too_large" in reply:
            raise RowEnd("too large", "the code returned more than can be sent")
        raise _exception_of(reply)

    def _receive(self) -> Frame:
        try:
            frame = read_frame(self._file)
        except UnusableFrameError as error:
            raise RowEnd("raised", f"the code sent no reply: {error}") from None
        if frame is None:
            raise RowEnd("ended", "the code's process ended")
        return frame

    def _refer(self, value: Any) -> int:
        if isinstance(value, RemoteObject):
            number: int = object.__getattribute__(value, "_number")
            return number
        raise UnusableFrameError(f"a {type(value).__name__} is no plain data")

    def _resolve(self, number: int) -> RemoteObject:
        return RemoteObject(self, number)


def _exception_of(reply: Frame) -> BaseException:
    """Return the exception that the code raised, as a built-in one that tests catch."""
    told: Frame = {"type": "?", "message": "", "known": "Exception"}
    raised = reply.get("raised")
    if not isinstance(raised, dict):
        raised = {}
    for name in ("type", "message", "known"):
        told[name] = str(raised.get(name))
    for name in ("errno", "line"):
        number = raised.get(name)
        told[name] = number if isinstance(number, int) else None
    kind = getattr(builtins, str(told["known"]), Exception)
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        kind = Exception
    # These would end an iteration of the tests, as of `all(map(f, inputs))`.
    if issubclass(kind, (StopIteration, StopAsyncIteration, GeneratorExit)):
        kind = RuntimeError
    try:
        error = kind(told["message"])
    # Some need more arguments.
    except TypeError:
        error = Exception(told["message"])
    error.raised_by_code = told  # type: ignore[attr-defined]
    return error


class RemoteObject:
    """An object of the code: to be called, indexed, counted, iterated, or handed back.

    It equals itself alone, so that the code cannot answer `==`.
    """

    def __init__(self, remote: Remote, number: int) -> None:
        object.__setattr__(self, "_remote", remote)
        object.__setattr__(self, "_number", number)

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._remote.operate("call", self, args, named)

    def __getattr__(self, name: str) -> Any:
        # `copy` and others look for methods that this class would have.
        if name.startswith("__"):
            raise AttributeError(name)
        return self._remote.operate("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._remote.operate("setattr", self, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._remote.operate("getitem", self, key)

    def __len__(self) -> int:
        length = self._remote.operate("len", self)
        if not isinstance(length, int):
            raise TypeError("the code sent no length")
        return length

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Any:
        return iter(self._remote.operate("list", self))
