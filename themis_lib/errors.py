"""Every exception the library raises, as one tree.

ThemisError
├── InputError            bad input, found before anything is generated (exit code 2)
│   ├── ConfigError       an experiment file or a setting
│   ├── ComponentError    a generator, parser, metric or reducer that cannot be used
│   ├── DatasetError      a dataset, one of its lines or its columns
│   ├── ModelError        a local model, or the build that runs it, that cannot be used
│   └── StoreError        a store that cannot be read or written
├── RowError              a fact about one row: recorded in it and cached
├── TransientError        a failure that might not happen again: never cached, retried
├── FatalError            no row could succeed: the run stops at once
│   └── BudgetError       the next call could pass the run's budget (exit code 4)
└── ShardError            some rows of a shard failed; everything that succeeded is saved
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from themis_lib.identity.part import Part


class ThemisError(Exception):
    """The root of every exception of this library."""

    #: Whether the call that failed surely cost nothing: a provider that refuses a
    #: request does not charge for it.
    is_free: bool = False

    def marked(self, *, is_free: bool) -> Self:
        """The same exception, marked."""
        self.is_free = is_free
        return self


class InputError(ThemisError, ValueError):
    """Bad input: the message names the place, the value and the fix."""


class ConfigError(InputError):
    """A setting that is unknown, malformed or contradicts another."""


class ComponentError(InputError):
    """A component that is unknown, cannot be built or breaks its protocol."""


class DatasetError(InputError):
    """A dataset that cannot be read as cases."""


class ModelError(InputError):
    """A local model, or the build that runs it, that cannot be used."""


class StoreError(InputError):
    """A store that cannot be reached, read or written."""


class RowError(ThemisError):
    """A fact about one row that would happen again; raise it from a component to record
    and cache it.
    """


class TransientError(ThemisError):
    """A failure that might not happen again; raise it from a component to have the row
    retried, never cached.
    """


class FatalError(ThemisError):
    """A failure every other row would share, such as a refused credential; it stops the
    run at once.
    """


class BudgetError(FatalError):
    """The next call could cost more than is left of the run's budget; what was paid for
    is saved.
    """


class ShardError(ThemisError):
    """Some rows of a shard failed for this run; `part` names the table with all its
    rows, failures included.
    """

    def __init__(
        self,
        message: str,
        *,
        part: Part,
        transient: bool,
    ) -> None:
        super().__init__(message, part, transient)
        self.part = part
        self.transient = transient

    def __str__(self) -> str:
        return str(self.args[0])

    def __repr__(self) -> str:
        return f"ShardError({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_shard_error, (self.args[0], self.part, self.transient))


def _rebuild_shard_error(
    message: str,
    part: Part,
    transient: bool,
) -> ShardError:
    return ShardError(
        message,
        part=part,
        transient=transient,
    )


#: Exceptions of the standard library that say the world was not ready, not that the
#: input was wrong.
TRANSIENT_TYPES: tuple[type[BaseException], ...] = (
    TransientError,
    TimeoutError,
    ConnectionError,
)


def is_transient(error: BaseException) -> bool:
    """Whether trying again might succeed: a `TransientError`, a timeout or a lost
    connection.
    """
    return isinstance(error, TRANSIENT_TYPES)


def describe(error: BaseException) -> str:
    """One line for a row or a log: the type and the message, without a traceback, in
    text that can be stored.

    >>> describe(KeyError("answer"))
    "KeyError: 'answer'"
    """
    text = " ".join(str(error).split()).encode("utf-8", "backslashreplace").decode()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def nearest(
    name: str,
    choices: Iterable[str],
) -> str:
    """A hint naming the closest valid choice, or all of them when none is close.

    >>> nearest("exact_mach", ["exact_match", "f1"])
    "did you mean 'exact_match'?"
    """
    known = sorted(choices)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return (
        "choose one of " + ", ".join(repr(choice) for choice in known)
        if known
        else "there is no valid choice"
    )


def first_few(names: Iterable[str]) -> str:
    """The first three different names, and a sign where there are more.

    >>> first_few(["a", "b", "a"]), first_few(["a", "b", "c", "d"])
    ('a, b', 'a, b, c, …')
    """
    different = list(dict.fromkeys(names))
    return ", ".join(different[:3]) + (", …" if len(different) > 3 else "")
