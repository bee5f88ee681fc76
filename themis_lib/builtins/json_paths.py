"""JSON documents in running text, and paths into them.

A path is written as `answer`, `$.items[0].name`, `$["a key"]` or `[-1]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from themis_lib.errors import ComponentError

#: The keys and indices to follow, from the outermost.
Steps: TypeAlias = tuple[str | int, ...]

_Match: TypeAlias = re.Match[str]

_PATH_STEP = re.compile(
    r"""
      \.(?P<name>[^.\[\]"'\s$]+)
    | \[(?P<index>-?\d+)\]
    | \[(?P<key>"(?:[^"\\]|\\.)*")\]
    | \['(?P<plain>[^']*)'\]
    """,
    re.VERBOSE,
)


def path_steps(
    path: str,
    *,
    where: str,
) -> Steps:
    """Return the steps of a path.

    Raise `ComponentError`, naming the path and the part that cannot be read. `where`
    begins the message.
    """
    rest = path
    if path.startswith("$"):
        rest = path[1:]
    elif not path.startswith((".", "[")):
        # `answer` is short for `.answer`, so that one pattern reads every step. The
        # empty path becomes `.` and is refused.
        rest = f".{path}"
    steps: list[str | int] = []
    while rest:
        step = _PATH_STEP.match(rest)
        if step is None:
            raise ComponentError(
                f"{where}: path {path!r}: "
                f'no .key, [index] or ["key"] at {rest!r}; as in $.items[0].name'
            )
        value = _read_step(
            step,
            where=f"{where}: path {path!r}",
        )
        steps.append(value)
        end = step.end()
        rest = rest[end:]
    return tuple(steps)


def _read_step(
    step: _Match,
    *,
    where: str,
) -> str | int:
    if step["index"]:
        return int(step["index"])
    if step["name"] is not None:
        return step["name"]
    # `['']` is a key too, the empty one.
    if step["plain"] is not None:
        return step["plain"]
    try:
        # Double quotes hold a JSON text, with its escapes.
        return str(json.loads(step["key"]))
    except ValueError as error:
        raise ComponentError(
            f"{where}: {step['key']} is no JSON text: {error}"
        ) from None


def value_at(
    document: Any,
    steps: Steps,
) -> Any:
    """Return the value at a path. Raise `LookupError` if there is none."""
    for step in steps:
        # Python would also index a string by a number.
        container = dict if isinstance(step, str) else list
        if not isinstance(document, container):
            raise LookupError(step)
        document = document[step]  # type: ignore[index]
    return document


_FENCE = re.compile(r"```\w*[ \t]*\n(.*?)```", re.DOTALL)
_DECODER = json.JSONDecoder()
# Only a bracket that JSON can follow: `{2}` of LaTeX and `[sic]` are skipped at once.
_BRACKET = re.compile(
    r"\{(?=\s*[\"}])"
    r"|\[(?=\s*[\[{\"\d\-tfn\]])"
)


def documents(text: str) -> Iterator[Any]:
    """Yield the JSON documents in a text, the likeliest answer first.

    First the whole text, then fenced blocks, then documents in running text; within
    each kind, later ones come first.
    """
    blocks = [text]
    # The search for fences is the slow part of a text without any.
    if "```" in text:
        fenced = _FENCE.findall(text)
        blocks.extend(reversed(fenced))
    for block in blocks:
        try:
            yield json.loads(block)
        # Brackets nested too deeply exhaust the decoder's stack.
        except (ValueError, RecursionError):
            continue
    embedded = list(_embedded_documents(text))
    yield from reversed(embedded)


#: How many brackets that are open at one fault are tried: each of them costs the text
#: up to the fault.
_MOST_OPEN = 64


def _embedded_documents(text: str) -> Iterator[Any]:
    bracket = _BRACKET.search(text)
    fault = -1
    count = 0
    while bracket:
        end = bracket.end()
        try:
            document, end = _DECODER.raw_decode(
                text,
                bracket.start(),
            )
            yield document
        except json.JSONDecodeError as error:
            # A document is cut off at the end: what is inside it is not the answer.
            is_at_end = error.pos >= len(text)
            if is_at_end or error.msg.startswith("Unterminated"):
                return
            count = count + 1 if error.pos == fault else 0
            fault = error.pos
            if count > _MOST_OPEN:
                end = max(end, fault)
        except (ValueError, RecursionError):
            return
        # Behind a document, or just behind a bracket that began none.
        bracket = _BRACKET.search(text, end)
