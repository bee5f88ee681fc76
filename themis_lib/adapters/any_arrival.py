"""Whether what is asked for reaches a provider: any-llm leaves out what one cannot take.

What is left out would be paid for and stored under a key of its own, although the
request is the same. Each part of a request is therefore changed in turn, and has to
change the arguments that any-llm makes of it for the provider's SDK.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from pydantic import ValidationError

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.errors import FatalError, RowError, describe
from themis_lib.identity.digests import canonical_json

#: Makes the arguments of the provider's SDK, as text, of a request.
Convert: TypeAlias = Callable[[JsonObject], str]
_Path: TypeAlias = tuple[str | int, ...]

#: Fields of a request that are no settings.
_NOT_SETTINGS = {"model", "messages", "seed"}
#: Fields that say what their neighbours are, and have no meaning without them; a file's
#: name is nothing of its content.
_MARKS = {"role", "filename"}
_STRUCTURES = {"object", "function"}
_SAID = "any-llm leaves it out of what it sends to"


class Arrival:
    """The check of one generator's requests to one provider."""

    def __init__(
        self,
        provider: str,
        convert: Convert,
    ) -> None:
        self._provider = provider
        self._convert = convert
        self._is_checked = False
        self._takes_seed: bool | None = None
        self._seen: set[str] = set()

    def check(self, request: JsonObject) -> None:
        """Raise if a part of a request does not arrive.

        `FatalError` for a setting, which is the same in every request; `RowError` for a
        part of this row's messages.
        """
        if not self._is_checked:
            self._check_settings(request)
            self._is_checked = True
        self._check_messages(request)

    def takes_seed(self, request: JsonObject) -> bool:
        """Return whether a seed arrives."""
        if self._takes_seed is None:
            plain = _plain(request)
            converted = self._convert(plain)
            self._takes_seed = self._differs(converted, {**plain, "seed": 1})
        return self._takes_seed

    def _check_settings(self, request: JsonObject) -> None:
        whole = {**_plain(request), **_settings(request)}
        try:
            converted = self._convert(whole)
        except Exception as error:  # noqa: BLE001 - each provider raises what it likes
            raise FatalError(
                f"any-llm refuses the settings for {self._provider}: {_words_of(error)}"
            ).marked(is_free=True) from None
        for name in _settings(request):
            without = {key: item for key, item in whole.items() if key != name}
            missing: str | None = None
            if not self._differs(converted, without):
                missing = name
            elif isinstance(whole[name], (dict, list)):
                missing = self._missing_part(converted, whole, _start_of(name, whole))
            if missing:
                setting = missing.replace(
                    "response_format.json_schema.schema", "schema"
                )
                raise FatalError(
                    f"the setting {setting!r} (generation.generator.{setting}, or the "
                    f"same of a judge): {_SAID} {self._provider}; remove it"
                ).marked(is_free=True)

    def _check_messages(self, request: JsonObject) -> None:
        messages: Sequence[JsonObject] = request["messages"]
        new = []
        for at, message in enumerate(messages):
            form = canonical_json(_form_of(message))
            if form not in self._seen:
                new.append((at, form))
        if not new:
            return
        whole = {"model": request["model"], "messages": list(messages)}
        try:
            converted = self._convert(whole)
        except Exception as error:  # noqa: BLE001 - each provider raises what it likes
            raise RowError(
                f"any-llm refuses the messages for {self._provider}: {_words_of(error)}"
            ).marked(is_free=True) from None
        # Where the conversion leaves messages to the SDK, they are sent as they are.
        twice = {**whole, "messages": [*messages, *messages]}
        are_converted = self._differs(converted, twice)
        for at, form in new:
            missing = None
            if are_converted:
                missing = self._missing_part(converted, whole, ("messages", at))
            if missing:
                raise RowError(
                    f"{missing}: {_SAID} {self._provider}; remove it"
                ).marked(is_free=True)
            self._seen.add(form)

    def _missing_part(
        self,
        converted: str,
        whole: JsonObject,
        start: _Path,
    ) -> str | None:
        """Return the place of a value that can change without a trace."""
        for path in _leaves(_at(whole, start), start):
            changed = copy.deepcopy(whole)
            owner = _at(changed, path[:-1])
            owner[path[-1]] = _another(path[-1], owner[path[-1]])
            if not self._differs(converted, changed):
                # A kind of part is told; any other value may hold a secret.
                kind = f"={_at(whole, path)!r:.60}" if path[-1] == "type" else ""
                return f"{_written(path)}{kind}"
        return None

    def _differs(
        self,
        converted: str,
        request: JsonObject,
    ) -> bool:
        try:
            return self._convert(request) != converted
        except Exception:  # noqa: BLE001 - what is refused has been looked at
            return True


def _plain(request: JsonObject) -> JsonObject:
    return {
        "model": request["model"],
        "messages": [{"role": "user", "content": "x"}],
    }


def _settings(request: JsonObject) -> JsonObject:
    return {name: value for name, value in request.items() if name not in _NOT_SETTINGS}


def _start_of(
    name: str,
    whole: JsonObject,
) -> _Path:
    """Return the place of what the user wrote of a setting."""
    if name == "response_format" and "json_schema" in whole[name]:
        # Its name and whether it is strict are ours.
        return (name, "json_schema", "schema")
    return (name,)


def _leaves(
    value: Any,
    path: _Path,
) -> Iterator[_Path]:
    """Yield the place of each value that has a meaning of its own."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            is_mark = name in _MARKS or (name == "type" and item in _STRUCTURES)
            if not is_mark or not isinstance(item, str):
                yield from _leaves(item, (*path, name))
    elif isinstance(value, list) and value:
        for at, item in enumerate(value):
            yield from _leaves(item, (*path, at))
    elif value is not None:
        yield path


def _another(
    name: str | int,
    value: Any,
) -> Any:
    """Return another value of the same kind."""
    if name == "type":
        return "number" if value == "string" else "string"
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, list):
        return ["x"]
    return f"{value}x" if isinstance(value, str) else {"x": "x"}


def _at(
    value: Any,
    path: _Path,
) -> Any:
    for name in path:
        value = value[name]
    return value


def _form_of(value: Any) -> Any:
    """Return a message without its texts: messages of one form are converted alike."""
    if isinstance(value, dict):
        form = {}
        for name, item in value.items():
            is_kept = name in ("role", "type") and isinstance(item, str)
            form[name] = item if is_kept else _form_of(item)
        return form
    if isinstance(value, list):
        return [_form_of(item) for item in value]
    if isinstance(value, str):
        # A data URL goes another way than an address.
        return "data:" if value.startswith("data:") else ""
    return type(value).__name__


def _words_of(error: Exception) -> str:
    """Return why any-llm refuses a request, without the values that it is about."""
    if not isinstance(error, ValidationError):
        return describe(error)
    reasons = []
    for found in error.errors(include_input=False, include_url=False):
        place = ".".join(str(name) for name in found["loc"])
        reasons.append(f"{place}: {found['msg']}")
    return "; ".join(reasons)


def _written(path: _Path) -> str:
    """Return a place as it is written: `tools[0].function.strict`."""
    said = ""
    for name in path:
        said += f"[{name}]" if isinstance(name, int) else f".{name}"
    return said.removeprefix(".")
