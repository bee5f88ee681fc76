"""The form of a request that a server takes, found out by what it refuses.

A field is left out or written otherwise only where the request stays the same or the
row can say so; any other refusal is one error that names the setting.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Hashable
from typing import TypeAlias

from themis_lib.adapters.clients import Reply
from themis_lib.adapters.faults import words_of
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.refusals import Refusal, refusal_of
from themis_lib.errors import FatalError

_Post: TypeAlias = Callable[[JsonObject], Awaitable[Reply]]
_FindRefusal: TypeAlias = Callable[[Exception, Collection[str]], Refusal | None]

#: The two names of the token limit in Chat Completions, each by the other.
_OTHER_NAME = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
_SCHEMA_FIELD = "response_format"
#: How a server says that it cannot hold a text to a schema.
_BAD_SCHEMA = re.compile(
    r"(invalid|unsupported)\W+(json\W+)?schema|\bschema\W+is\W+(invalid|not)",
    re.IGNORECASE,
)
#: The settings of fields that have another name.
_SETTINGS = {
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "top_logprobs": "logprobs",
    "include": "logprobs",
    "reasoning": "reasoning_effort",
    "response_format": "schema or response_format",
    "text": "schema or response_format",
    "stop_sequences": "stop",
    "output_config": "schema or reasoning_effort",
    "extra_headers": "betas",
}


class ServerForms:
    """What one model's server has refused so far in this process.

    `find_refusal` says which of the fields sent an exception of a client refuses.
    """

    def __init__(self, find_refusal: _FindRefusal = refusal_of) -> None:
        self._find_refusal = find_refusal
        self._refused: set[str] = set()

    async def send(
        self,
        request: JsonObject,
        post: _Post,
    ) -> tuple[Reply, JsonObject]:
        """Post a request as the server takes it; return the reply and what was posted.

        Raises `FatalError` if the server refuses a field that cannot be left out.
        """
        tried: list[JsonObject] = []
        # The first error of each field: a later one may be of the form that it led to.
        errors: dict[str, Exception] = {}
        while True:
            form = self.form_of(request)
            tried.append(form)
            try:
                return await post(form), form
            except Exception as error:
                refusal = self._find_refusal(
                    error, {*form, *form.get("extra_body", ())}
                )
                if refusal is None and _SCHEMA_FIELD in errors and _is_refused(error):
                    refusal = Refusal(_SCHEMA_FIELD, is_unknown=False)
                if refusal is None:
                    raise
                field = refusal.field
                errors.setdefault(field, error)
                self._note(refusal, error)
                if self.form_of(request) in tried:
                    # What did not help says nothing of the server.
                    self._refused -= errors.keys()
                    said = _described(field, form, errors[field])
                    raise FatalError(said).marked(is_free=True) from None

    def form_of(self, request: JsonObject) -> JsonObject:
        """Return a request as the server takes it, as far as it is known."""
        form = dict(request)
        for name, other in _OTHER_NAME.items():
            if name in self._refused and other not in self._refused and name in form:
                form[other] = form.pop(name)
        if "seed" in self._refused:
            form.pop("seed", None)
        schema = _schema_of(form)
        if _SCHEMA_FIELD in self._refused and schema is not None:
            # That of llama.cpp, Together and others, which holds to a schema too.
            form["response_format"] = {"type": "json_object", "schema": schema}
        return form

    def _note(
        self,
        refusal: Refusal,
        error: Exception,
    ) -> None:
        # A server that knows the field may take it with another value.
        is_other_value = not refusal.is_unknown
        if refusal.field == _SCHEMA_FIELD:
            is_other_value = _is_about_schema(error)
        if not is_other_value:
            self._refused.add(refusal.field)


def changes(
    request: JsonObject,
    form: JsonObject,
) -> JsonObject:
    """Return what a row has to say of the form in which its request was sent."""
    # Another name of the token limit says the same, and is not worth telling.
    found: JsonObject = {}
    if "seed" in request and "seed" not in form:
        found["seed"] = "not sent"
    if _schema_of(request) is not None and _schema_of(form) is None:
        found["response_format"] = "json_object with schema"
    return found


_FORMS: dict[Hashable, ServerForms] = {}


def forms_of(server: Hashable) -> ServerForms:
    """Return what this process knows of a server and model."""
    return _FORMS.setdefault(server, ServerForms())


def _is_refused(error: Exception) -> bool:
    return getattr(error, "status_code", None) in (400, 422)


def _is_about_schema(error: Exception) -> bool:
    """Return whether a server refuses a schema, and not the form in which it is."""
    code = getattr(error, "code", None)
    return code == "invalid_json_schema" or bool(_BAD_SCHEMA.search(words_of(error)))


def _schema_of(form: JsonObject) -> JsonObject | None:
    """Return the JSON Schema that a request's response format has in OpenAI's form."""
    given = form.get("response_format") or {}
    inner = given.get("json_schema")
    if given.get("type") != "json_schema" or not isinstance(inner, dict):
        return None
    return inner.get("schema")


def _described(
    field: str,
    form: JsonObject,
    error: Exception,
) -> str:
    """Return the error for a field that is refused, with its place in a file."""
    setting = _SETTINGS.get(field, field)
    advice = "remove it, or give a value that the server takes"
    if field in form.get("extra_body", ()):
        setting = f"extra_body.{field}"
    elif field == "seed" and "seed" in form:
        setting = "seeds"
        advice = "give others, or write extra_body: {seed: null} to send none"
    elif field not in form:
        return (
            f"the server refuses {field!r}, which was not sent, and so every request "
            f"like this one: {words_of(error)}"
        )
    place = f"generation.generator.{setting}, or the same of a judge"
    if setting == "seeds":
        place = "seeds, at the top of the experiment"
    return (
        f"the server refuses the setting {setting!r} ({place}), and so every request "
        f"like this one; {advice}: {words_of(error)}"
    )
