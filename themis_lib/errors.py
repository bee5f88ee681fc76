"""Every exception of the project, as one tree.

ThemisError
├── InputError            bad input, found before anything is generated (exit code 2)
│   ├── ConfigError       an experiment file or a setting
│   ├── ComponentError    a generator, parser, metric or reducer that cannot be used
│   ├── DatasetError      a dataset, one of its lines or its columns
│   ├── ModelError        a local model, or its llama.cpp build, that cannot be used
│   └── StoreError        a store that cannot be read or written
│       └── DiskFullError the disk has no room for a file; finished rows are saved
├── RowError              a fact about one row: recorded in it and cached
├── TransientError        a failure that might not happen again: never cached, retried
├── FatalError            no row could succeed: the run stops at once
│   └── BudgetError       the next call could exceed the run's budget (exit code 4)
├── AwaitingBatchError    a row whose batch is open at the provider; the next run takes it up
├── ShardError            some rows of a shard failed; the rows that succeeded are saved
├── LostWorkerError       a worker process died in a shard; defined in `tasks.submit`
├── ServerGoneError       the Prefect server stopped answering; defined in `flows.local`
└── GitHubError           GitHub refused a request; in `flows.pull_request_comment`
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from themis_lib.identity.part import Part

#: How many names a message lists before it is cut short.
_LISTED_NAMES = 3


class ThemisError(Exception):
    """The root of every exception of the project."""

    #: Whether the failed call surely cost nothing: a provider that refuses a request
    #: does not charge for it.
    is_free: bool = False

    def marked(self, *, is_free: bool) -> Self:
        """Set `is_free` and return the exception itself, ready to be raised."""
        self.is_free = is_free
        return self


# `ValueError` too, so that code that knows nothing of this tree can catch bad input.
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


class DiskFullError(StoreError):
    """A disk, or a quota, that has no room for a file.

    Finished rows are saved, and the next run goes on with them.
    """


class RowError(ThemisError):
    """A fact about one row that would happen again.

    Raise it from a component to have it recorded in the row and cached.
    """


class TransientError(ThemisError):
    """A failure that might not happen again.

    Raise it from a component to have the row retried; it is never cached.
    """


class FatalError(ThemisError):
    """A failure that every row shares, such as a refused credential.

    It stops the run at once.
    """


class BudgetError(FatalError):
    """A budget that the next call could exceed.

    The rows that were paid for are saved.
    """


class AwaitingBatchError(ThemisError):
    """A row whose batch has not ended, in a run that does not wait for it.

    It is neither stored nor retried: the next run takes the batch up.
    """


class ShardError(ThemisError):
    """A shard of which some rows failed in this run.

    `part` names the table with all its rows, failures included. `transient` says
    whether another try might succeed, `waiting` that no row failed: those without an
    outcome are in batches which have not ended.
    """

    def __init__(
        self,
        message: str,
        *,
        part: Part,
        transient: bool,
        waiting: bool = False,
    ) -> None:
        super().__init__(message, part, transient, waiting)
        self.part = part
        self.transient = transient
        self.waiting = waiting

    # The arguments hold the part as well; a log is to show the message alone.
    def __str__(self) -> str:
        return str(self.args[0])

    def __repr__(self) -> str:
        return f"ShardError({str(self)!r})"

    # Pickle calls the class with positional arguments, and most of ours are keyword-only:
    # without this, the error would be lost on its way back from a worker process.
    def __reduce__(self) -> tuple[object, ...]:
        arguments = (self.args[0], self.part, self.transient, self.waiting)
        return (_rebuild_shard_error, arguments)


def _rebuild_shard_error(
    message: str,
    part: Part,
    transient: bool,
    waiting: bool,
) -> ShardError:
    return ShardError(
        message,
        part=part,
        transient=transient,
        waiting=waiting,
    )


#: Exceptions that mean the outside world was not ready, not that the input was wrong;
#: the last two come from the standard library.
TRANSIENT_TYPES: tuple[type[BaseException], ...] = (
    TransientError,
    TimeoutError,
    ConnectionError,
)


def is_transient(error: BaseException) -> bool:
    """Return whether trying again might succeed.

    True for a `TransientError`, a timeout or a lost connection.
    """
    return isinstance(error, TRANSIENT_TYPES)


def describe(error: BaseException) -> str:
    """Return one line for a row or a log: the type and the message, no traceback.

    >>> describe(KeyError("answer"))
    "KeyError: 'answer'"
    """
    name = type(error).__name__
    line = " ".join(str(error).split())
    text = escape_surrogates(line)
    return f"{name}: {text}" if text else name


def escape_surrogates(text: str) -> str:
    """Return a text that UTF-8 can store: half of a surrogate pair becomes an escape.

    >>> escape_surrogates("\\ud800")
    '\\\\ud800'
    """
    return text.encode("utf-8", "backslashreplace").decode()


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return a hint: the closest valid choice, or all of them when none is close.

    >>> nearest("exact_mach", ["exact_match", "f1"])
    "did you mean 'exact_match'?"
    """
    # Sorted, so that one mistake always gives one message, whatever the set's order.
    known = sorted(choices)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    if not known:
        return "there is no valid choice"
    return "choose one of " + ", ".join(map(repr, known))


def first_few(names: Iterable[str]) -> str:
    """Return the first three distinct names, with an ellipsis if there are more.

    >>> first_few(["a", "b", "a"]), first_few(["a", "b", "c", "d"])
    ('a, b', 'a, b, c, …')
    """
    # A dict keeps the order of arrival, which a set would lose.
    distinct = list(dict.fromkeys(names))
    shown = ", ".join(distinct[:_LISTED_NAMES])
    return f"{shown}, …" if len(distinct) > _LISTED_NAMES else shown
