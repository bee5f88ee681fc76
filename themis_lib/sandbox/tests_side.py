"""The process of the tests: it calls the code, which is in another one, and judges.

What the code returns arrives here as plain data of built-in types. So the code sees no
expected value, and can change nothing here: not the tests, not `==`, not the verdict.
Imports nothing but the standard library: it runs in the sandbox.
"""

from __future__ import annotations

import ast
import errno
import re
import traceback
from typing import Any

from themis_lib.sandbox.names import names_of_code, standard_modules, undefined_names
from themis_lib.sandbox.remote import Remote, RowEnd
from themis_lib.sandbox.wire import Frame, read_frame, write_frame

_TESTS_FILE = "<tests>"
_MESSAGE_CHARS = 300
#: What a refusal of the sandbox looks like to the code.
_REFUSED = {errno.EPERM, errno.EACCES, errno.EROFS}
_FULL = {errno.EFBIG, errno.ENOSPC}
# Where an object is differs from run to run.
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")


def judge(
    row_file: int,
    code_file: int,
) -> None:
    """Read a row, run its tests on its code, and write the verdict."""
    row = read_frame(row_file)
    # The process that asks has ended.
    if row is None:
        return
    try:
        _run_tests(row, Remote(code_file))
        outcome, message = "passed", ""
    except RowEnd as end:
        outcome, message = end.outcome, end.message
    except MemoryError:
        outcome, message = "memory", "the tests ran out of memory"
    except BaseException as error:  # noqa: BLE001 - tests may raise anything
        outcome, message = _outcome_of(error, row)
    message = _ADDRESS.sub("0x…", message)[:_MESSAGE_CHARS]
    write_frame(row_file, {"outcome": outcome, "message": message})


def _run_tests(
    row: Frame,
    remote: Remote,
) -> None:
    prompt = row["prompt"]
    if prompt:
        prompt = _as_module(prompt)
        row["code"] = _join(row["prompt"], prompt, row["code"])
        # The data set's helpers, which its tests may call.
        row["parts"].insert(0, prompt)
    trees = list(map(_parse_part, row["parts"]))
    functions = remote.load(row["code"])
    # Not `__main__`: a test file's own call of its runner would run.
    namespace: dict[str, Any] = {"__name__": "tests"}
    name = row["function"]
    if name is None:
        undefined = undefined_names(trees)
        wanted = names_of_code(undefined)
        namespace.update(standard_modules(undefined - wanted))
    else:
        wanted = {name}
        if name not in functions:
            raise RowEnd("missing", f"the code defines no {name!r}")
    taken = {key: functions[key] for key in wanted & functions.keys()}
    namespace.update(taken)
    for position, tree in enumerate(trees):
        row["current"] = position
        exec(compile(tree, _TESTS_FILE, "exec", dont_inherit=True), namespace)
        # A prompt defines the function that it asks for, too, without a body.
        namespace.update(taken)
    if row["check"] is not None:
        namespace[row["check"]](functions[name])


def _parse_part(source: str) -> ast.Module:
    try:
        tree = ast.parse(source, _TESTS_FILE)
        compile(tree, _TESTS_FILE, "exec", dont_inherit=True)
    except (RecursionError, SyntaxError, ValueError) as error:
        raise RowEnd("unusable tests", f"{error}: {_first_line(source)}") from None
    return tree


def _as_module(prompt: str) -> str:
    """Return a prompt that may end in a function without a body as a module."""
    try:
        compile(prompt, _TESTS_FILE, "exec", dont_inherit=True)
    except SyntaxError:
        return f"{prompt.rstrip()}\n    pass\n"
    return prompt


def _join(
    prompt: str,
    module: str,
    code: str,
) -> str:
    """Return a program of a prompt and the code behind it."""
    # An indented line continues the function that the prompt ends in.
    if code.lstrip("\n")[:1].isspace():
        separator = "" if "\n" in (prompt[-1:], code[:1]) else "\n"
        return f"{prompt}{separator}{code}"
    # A function of its own needs the prompt's imports and helpers.
    return f"{module}\n{code}"


def _outcome_of(
    error: BaseException,
    row: Frame,
) -> tuple[str, str]:
    """Return what an exception in the tests says of the code."""
    told = getattr(error, "raised_by_code", None)
    if told is None:
        line = _test_line(error, row)
        if isinstance(error, AssertionError):
            return "wrong", line
        if isinstance(error, NameError):
            return "missing", f"the code defines no {error.name!r}, in the test: {line}"
        # Such as a comparison of what the code returned with a number.
        return "raised", f"{type(error).__name__}: {error}, in the test: {line}"
    message = f"{told['type']}: {told['message']}".removesuffix(": ")
    # Errors of the system do not say which call was refused.
    lines = row["code"].splitlines()
    if told["line"] is not None and 0 < told["line"] <= len(lines):
        message += f", at: {lines[told['line'] - 1].strip()}"
    if told["known"] == "SystemExit":
        return "exited", message
    if told["errno"] in _REFUSED:
        return "refused", message
    if told["errno"] in _FULL:
        return "file size", message
    return "raised", message


def _test_line(
    error: BaseException,
    row: Frame,
) -> str:
    """Return the line of the tests that raised."""
    lines = row["parts"][row["current"]].splitlines()
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == _TESTS_FILE and frame.lineno:
            if frame.lineno <= len(lines):
                return str(lines[frame.lineno - 1]).strip()
            break
    return "?"


def _first_line(source: str) -> str:
    return source.strip().partition("\n")[0]
