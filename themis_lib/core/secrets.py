"""Credentials in settings: written as `${NAME}`, read from the environment when used.

A spec that holds only references can be digested, stored and shown as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from typing import Any

from themis_lib.errors import ConfigError

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
#: A value that holds no secret itself: references, perhaps behind the scheme of an HTTP
#: header.
_ONLY_REFERENCES = re.compile(
    rf"\s*(?:(?:basic|bearer|token|key)\s+)?(?:{_REFERENCE.pattern}[\s:]*)*",
    re.IGNORECASE,
)
#: The last words of a key that names a credential.
_CREDENTIAL = re.compile(
    r"(?:(?:api|access|account|private|secret|shared|subscription)_?keys?"
    r"|passwords?|passwd|pwd|passphrases?|secrets?"
    r"|authorization|bearer|credentials?|cookies?|connection_?string)$"
)
_TOKEN = re.compile(r"(?:^|_)(?:access|auth)?token$")
#: Tokens of text, not of access: `eos_token`, `stop_token`.
_TEXT_TOKEN = re.compile(
    r"(?:^|_)(?:audio|begin|bos|cls|end|eos|eot|image|mask|pad|per|prefix|sep"
    r"|special|start|stop|suffix|think|unk|video)_token$"
)
#: Words that gcsfs takes as `token`: where to find a credential, never one itself.
_TOKEN_SOURCES = frozenset(
    {
        "anon",
        "browser",
        "cache",
        "cloud",
        "google_default",
    }
)


def resolve_references(
    value: Any,
    *,
    where: str,
) -> Any:
    """Return a value with every `${NAME}` replaced by that environment variable.

    Lists and mappings are searched, too. Keys stay as they are, and so does the spec of
    a component (a mapping with `use`), whose references are replaced when it is built.
    Raise `ConfigError`, naming the variable and the place below `where`, for a variable
    that is not set.
    """
    if isinstance(value, str):
        return _REFERENCE.sub(partial(_read_variable, where=where), value)
    if isinstance(value, Mapping):
        # The component may read some references itself, at run time.
        if "use" in value:
            return value
        resolved = {}
        for key, item in value.items():
            resolved[key] = resolve_references(item, where=f"{where}.{key}")
        return resolved
    if isinstance(value, (list, tuple)):
        items = []
        for at, item in enumerate(value):
            items.append(resolve_references(item, where=f"{where}[{at}]"))
        return items
    return value


def resolve_public(
    value: Any,
    *,
    where: str,
) -> Any:
    """Return a value resolved as by `resolve_references`, credentials left out.

    References to a variable stay if its name says that it may hold a credential: the
    result can be digested, stored and shown.
    """

    def read_if_public(reference: re.Match[str]) -> str:
        if may_be_credential(reference[1]):
            return reference[0]
        return _read_variable(reference, where=where)

    if isinstance(value, str):
        return _REFERENCE.sub(read_if_public, value)
    if isinstance(value, Mapping):
        resolved = {}
        for key, item in value.items():
            resolved[key] = resolve_public(item, where=f"{where}.{key}")
        return resolved
    if isinstance(value, (list, tuple)):
        items = []
        for at, item in enumerate(value):
            items.append(resolve_public(item, where=f"{where}[{at}]"))
        return items
    return value


#: The password of a URL, and a value in its query.
_URL_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):([^/@\s]*)@")
_QUERY_VALUE = re.compile(r"(?<=[?&])([\w.-]+)=([^&\s#]*)")


def public_url(text: str) -> str:
    """Return a text without the literal passwords and query values of a URL in it.

    References stay: they hold no secret.

    >>> public_url("sftp://me:pw@host/a?sig=x"), public_url("s3://me:${PASSWORD}@b")
    ('sftp://me:…@host/a?sig=…', 's3://me:${PASSWORD}@b')
    """
    if "://" not in text:
        return text

    def hidden(found: re.Match[str]) -> str:
        if _ONLY_REFERENCES.fullmatch(found[2]):
            return found[0]
        start, end = found.start(2) - found.start(), found.end(2) - found.start()
        return f"{found[0][:start]}…{found[0][end:]}"

    return _QUERY_VALUE.sub(hidden, _URL_PASSWORD.sub(hidden, text))


def referenced_values(
    spec: Any,
    *,
    only_credentials: bool = False,
) -> set[str]:
    """Return the values of the references in a spec.

    With `only_credentials`, only those that may be one by the name of the variable or
    of a key above it.
    """
    names = _referenced_names(spec, is_wanted=not only_credentials)
    # A variable that is not set has no value to hide.
    return {os.environ.get(name, "") for name in names}


def _referenced_names(
    spec: Any,
    *,
    is_wanted: bool,
) -> Iterator[str]:
    """Yield the variables that a spec refers to: all if `is_wanted`, else credentials."""
    if isinstance(spec, str):
        for name in _REFERENCE.findall(spec):
            if is_wanted or may_be_credential(name):
                yield name
    elif isinstance(spec, Mapping):
        for key, item in spec.items():
            yield from _referenced_names(str(key), is_wanted=is_wanted)
            # Below a key that names a credential, everything may be one.
            is_below = is_wanted or may_be_credential(str(key))
            yield from _referenced_names(item, is_wanted=is_below)
    elif isinstance(spec, (list, tuple)):
        for item in spec:
            yield from _referenced_names(item, is_wanted=is_wanted)


def may_be_credential(name: str) -> bool:
    """Return whether a variable, header or part of a URL may hold a credential.

    It goes by the name, and more widely than `names_credential`: what is only hidden
    may be hidden too often.

    >>> may_be_credential("TEAM_KEY"), may_be_credential("X-Api-Key"), may_be_credential("TEAM_URL")
    (True, True, False)
    """
    return names_credential(name) or _snake_case(name).endswith("key")


def refuse_literal_secrets(
    spec: Any,
    *,
    where: str,
) -> None:
    """Raise `ConfigError` if a spec holds a credential itself and not as `${NAME}`.

    A key names a credential by its last words (`api_key`, `X-Api-Key`, `hf_token`,
    `clientSecret`), so `max_tokens`, `tokenizer` and `api_key_env` do not. The message
    names the place, never the value.
    """
    if isinstance(spec, Mapping):
        for key, item in spec.items():
            values: Any = ()
            if names_credential(str(key)):
                values = item if isinstance(item, (list, tuple)) else [item]
            if any(isinstance(value, str) and is_literal(value) for value in values):
                variable = _snake_case(str(key)).upper()
                raise ConfigError(
                    f"{where}.{key} holds a credential as it is; put it into an "
                    f"environment variable and write '${{{variable}}}'"
                )
            refuse_literal_secrets(item, where=f"{where}.{key}")
    elif isinstance(spec, (list, tuple)):
        for at, item in enumerate(spec):
            refuse_literal_secrets(item, where=f"{where}[{at}]")


def refuse_literal_url_secrets(
    url: str,
    *,
    where: str,
) -> None:
    """Raise `ConfigError` if a URL holds a credential itself and not as `${NAME}`.

    That is a password before the host, or a value in the query whose name is a
    credential's. The message names the place, never the value.
    """
    found = [("password", match[2]) for match in _URL_PASSWORD.finditer(url)]
    for match in _QUERY_VALUE.finditer(url):
        if names_credential(match[1]):
            found.append((match[1], match[2]))
    for name, value in found:
        if value and is_literal(value):
            raise ConfigError(
                f"{where} holds a credential ({name}) as it is; put it into an "
                f"environment variable and write '${{{_snake_case(name).upper()}}}'"
            )


def hide_values(
    text: str,
    *,
    spec: Any,
) -> str:
    """Return a text, such as an exception's, with `${NAME}` in place of its values.

    The names are those that `spec` refers to.
    """
    values: dict[str, str] = {}
    for reference in _nested_texts(spec):
        for name in _REFERENCE.findall(reference):
            values[name] = os.environ.get(name, "")
    # The longest first: it may contain a shorter one.
    for name in sorted(values, key=lambda name: (-len(values[name]), name)):
        if values[name]:
            text = text.replace(values[name], f"${{{name}}}")
    return text


def _read_variable(
    reference: re.Match[str],
    *,
    where: str,
) -> str:
    name = reference[1]
    if name not in os.environ:
        raise ConfigError(f"{where}: the environment variable {name!r} is not set")
    return os.environ[name]


@lru_cache(maxsize=4096)
def names_credential(key: str) -> bool:
    """Return whether a key names a credential by its last words.

    `X-Api-Key` does, `max_tokens` does not.
    """
    words = _snake_case(key)
    # Most keys that end in `token` are credentials, some are tokens of text.
    if _TOKEN.search(words):
        return not _TEXT_TOKEN.search(words)
    return bool(_CREDENTIAL.search(words))


def _snake_case(key: str) -> str:
    # `clientSecret` and `X-Api-Key` become `client_secret` and `x_api_key`.
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", key).lower()
    return re.sub(r"[^a-z0-9]+", "_", words)


def is_literal(text: str) -> bool:
    """Return whether a text is a credential itself.

    References are none, nor are words that say where to find one.
    """
    if text in _TOKEN_SOURCES:
        return False
    return not _ONLY_REFERENCES.fullmatch(text)


def _nested_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _nested_texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _nested_texts(item)
