"""Credentials in settings: written as `${NAME}`, read from the environment when they
are needed.

A spec that holds only references can be digested, stored and shown as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from themis_lib.errors import ConfigError

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
#: A value without a secret of its own: references, with the scheme an HTTP header may
#: put before them.
_ONLY_REFERENCES = re.compile(
    rf"\s*(?:(?:basic|bearer|token|key)\s+)?(?:{_REFERENCE.pattern}[\s:]*)*",
    re.IGNORECASE,
)
#: The last words of a key that names a credential.
_CREDENTIAL = re.compile(
    r"(?:(?:api|access|account|private|secret|shared|subscription)_?keys?|passwords?|passwd|pwd|passphrases?|secrets?"
    r"|authorization|bearer|credentials?|cookies?|connection_?string)$"
)
_TOKEN = re.compile(r"(?:^|_)(?:access|auth)?token$")
#: Tokens of text, not of access: `eos_token`, `stop_token`.
_TEXT_TOKEN = re.compile(
    r"(?:^|_)(?:audio|begin|bos|cls|end|eos|eot|image|mask|pad|per|prefix|sep|special|start|stop|suffix|think|unk|video)"
    r"_token$"
)
#: Words that gcsfs takes for its `token`: where to find a credential, none of them one.
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
    """The value with every `${NAME}` in it replaced by that environment variable,
    through lists and mappings.

    Keys are left as they are, and so is the spec of a component (a mapping with `use`),
    whose references are replaced when it is built. Raises `ConfigError`, naming the
    variable and the place below `where`, when one is not set.
    """
    if isinstance(value, str):
        return _REFERENCE.sub(partial(_read_variable, where=where), value)
    if isinstance(value, Mapping):
        if "use" in value:
            return value
        return {
            key: resolve_references(item, where=f"{where}.{key}")
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            resolve_references(item, where=f"{where}[{at}]")
            for at, item in enumerate(value)
        ]
    return value


def resolve_public(
    value: Any,
    *,
    where: str,
) -> Any:
    """As `resolve_references`, but references to a variable whose name says that it
    holds a credential stay.
    """
    if isinstance(value, str):
        return _REFERENCE.sub(
            lambda reference: (
                reference[0]
                if may_be_credential(reference[1])
                else _read_variable(reference, where=where)
            ),
            value,
        )
    if isinstance(value, Mapping):
        return {
            key: resolve_public(item, where=f"{where}.{key}")
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            resolve_public(item, where=f"{where}[{at}]")
            for at, item in enumerate(value)
        ]
    return value


def referenced_values(
    spec: Any,
    *,
    only_credentials: bool = False,
) -> set[str]:
    """What the references of a spec stand for; where asked for, only those that may be
    credentials by the name of the variable or of a key above them.
    """
    return {
        os.environ.get(name, "")
        for name in _referenced_names(spec, wanted=not only_credentials)
    }


def _referenced_names(
    spec: Any,
    *,
    wanted: bool,
) -> Iterator[str]:
    if isinstance(spec, str):
        yield from (
            name
            for name in _REFERENCE.findall(spec)
            if wanted or may_be_credential(name)
        )
    elif isinstance(spec, Mapping):
        for key, item in spec.items():
            yield from _referenced_names(str(key), wanted=wanted)
            yield from _referenced_names(
                item, wanted=wanted or may_be_credential(str(key))
            )
    elif isinstance(spec, (list, tuple)):
        for item in spec:
            yield from _referenced_names(item, wanted=wanted)


def may_be_credential(name: str) -> bool:
    """Whether an environment variable, a header or a part of a URL may hold a
    credential, by its name.

    More do than keys of a spec, which `names_credential` knows: what is only hidden may
    be hidden too often.

    >>> may_be_credential("TEAM_KEY"), may_be_credential("X-Api-Key"), may_be_credential("TEAM_URL")
    (True, True, False)
    """
    return names_credential(name) or _snake_case(name).endswith("key")


def refuse_literal_secrets(
    spec: Any,
    *,
    where: str,
) -> None:
    """Raise `ConfigError` when a mapping inside the spec holds a credential as it is
    and not as `${NAME}`.

    A key names a credential by its last words (`api_key`, `X-Api-Key`, `hf_token`,
    `clientSecret`), so `max_tokens`, `tokenizer` and `api_key_env` do not. The message
    names the place, never the value.
    """
    if isinstance(spec, Mapping):
        for key, item in spec.items():
            if names_credential(str(key)) and any(map(is_literal, _texts_in(item))):
                raise ConfigError(
                    f"{where}.{key} holds a credential as it is; put it into an environment variable and "
                    f"write '${{{_snake_case(str(key)).upper()}}}'"
                )
            refuse_literal_secrets(item, where=f"{where}.{key}")
    elif isinstance(spec, (list, tuple)):
        for at, item in enumerate(spec):
            refuse_literal_secrets(item, where=f"{where}[{at}]")


def hide_values(
    text: str,
    *,
    spec: Any,
) -> str:
    """The text, as of an exception, in which the values of a spec's references are
    `${NAME}` again.
    """
    names = {
        name
        for reference in _nested_texts(spec)
        for name in _REFERENCE.findall(reference)
    }
    values = {name: os.environ.get(name, "") for name in names}
    for name in sorted(names, key=lambda name: (-len(values[name]), name)):
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


def names_credential(key: str) -> bool:
    """Whether a key, by its last words, names a credential: `X-Api-Key` does,
    `max_tokens` does not.
    """
    words = _snake_case(key)
    if _TOKEN.search(words):
        return not _TEXT_TOKEN.search(words)
    return bool(_CREDENTIAL.search(words))


def _snake_case(key: str) -> str:
    return re.sub(
        r"[^a-z0-9]+", "_", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", key).lower()
    )


def _texts_in(value: Any) -> list[str]:
    items = value if isinstance(value, (list, tuple)) else [value]
    return [item for item in items if isinstance(item, str)]


def is_literal(text: str) -> bool:
    """Whether a credential stands in a text as it is: not as references, nor as a word
    that names where to find it.
    """
    return text not in _TOKEN_SOURCES and not _ONLY_REFERENCES.fullmatch(text)


def _nested_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _nested_texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _nested_texts(item)
