"""JSON documents in running text, and paths into them: `answer`, `$.items[0].name`,
`$["a key"]`, `[-1]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from themis_lib.errors import ComponentError

#: The keys and indices to go through, from the outermost.
Steps: TypeAlias = tuple[str | int, ...]


def path_steps(
    path: str,
    *,
    where: str,
) -> Steps:
    """The steps of a path. Raises `ComponentError` naming the path and what is wrong in
    it.
    """
    rest = (
        path[1:]
        if path.startswith("$")
        else path
        if path.startswith((".", "["))
        else f".{path}"
    )
    steps: list[str | int] = []
    while rest:
        step = _PATH_STEP.match(rest)
        if step is None:
            raise ComponentError(
                f'{where}: path {path!r}: no .key, [index] or ["key"] at {rest!r}; as in $.items[0].name'
            )
        steps.append(_step_value(step, where=f"{where}: path {path!r}"))
        rest = rest[step.end() :]
    return tuple(steps)


def value_at(
    document: Any,
    steps: Steps,
) -> Any:
    """The value at a path. Raises `LookupError` where there is none."""
    for step in steps:
        if not isinstance(document, dict if isinstance(step, str) else list):
            raise LookupError(step)
        document = document[step]  # type: ignore[index]
    return document


def documents(text: str) -> Iterator[Any]:
    """The JSON documents in a text: all of it, fenced blocks, those in running text;
    the last ones first.
    """
    blocks = [text, *reversed(_FENCE.findall(text))] if "```" in text else [text]
    for block in blocks:
        try:
            yield json.loads(block)
        except (ValueError, RecursionError):
            continue
    yield from reversed(list(_embedded_documents(text)))


_PATH_STEP = re.compile(
    r"""
      \.(?P<name>[^.\[\]"'\s$]+)
    | \[(?P<index>-?\d+)\]
    | \[(?P<key>"(?:[^"\\]|\\.)*")\]
    | \['(?P<plain>[^']*)'\]
    """,
    re.VERBOSE,
)


def _step_value(
    step: re.Match[str],
    *,
    where: str,
) -> str | int:
    if step["index"]:
        return int(step["index"])
    if step["key"] is None:
        return step["plain"] if step["name"] is None else step["name"]
    try:
        return str(json.loads(step["key"]))
    except ValueError as error:
        raise ComponentError(
            f"{where}: {step['key']} is no JSON text: {error}"
        ) from None


_FENCE = re.compile(r"```\w*[ \t]*\n(.*?)```", re.DOTALL)
_DECODER = json.JSONDecoder()
_BRACKET = re.compile(r"\{(?=\s*[\"}])|\[(?=\s*[\[{\"\d\-tfn\]])")


def _embedded_documents(text: str) -> Iterator[Any]:
    bracket = _BRACKET.search(text)
    while bracket:
        end = bracket.end()
        try:
            document, end = _DECODER.raw_decode(text, bracket.start())
            yield document
        except json.JSONDecodeError as error:
            if error.pos >= len(text) or error.msg.startswith("Unterminated"):
                return  # a document cut off at the end: what is inside it is not the answer
        except (ValueError, RecursionError):
            return
        bracket = _BRACKET.search(text, end)
