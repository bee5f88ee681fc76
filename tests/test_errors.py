"""The tree of exceptions, and the words they are put in."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import re

import flows
import tasks
import themis_lib
from themis_lib import errors
from themis_lib.errors import (
    ShardError,
    ThemisError,
    TransientError,
    describe,
    first_few,
    is_transient,
    nearest,
)
from themis_lib.identity.part import Part

#: What only training the bundled model needs.
TRAINING = ["gguf", "tokenizers", "torch"]
PART = Part(path="rows/score/f/p.parquet", rows=3)


def import_every_module() -> None:
    """Import all modules, so that every exception class of the project exists."""
    for package in (themis_lib, tasks, flows):
        modules = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        for module in modules:
            # To import it is to run the console command.
            if module.name.endswith(".__main__"):
                continue
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if error.name not in TRAINING:
                    raise


def parents_below(kind: type[ThemisError]) -> dict[str, str]:
    """Return each of the project's exceptions below one, and the name of its parent."""
    found = {}
    for child in kind.__subclasses__():
        # Other tests of the session may have defined exceptions of their own.
        if child.__module__.split(".")[0] in ("themis_lib", "tasks", "flows"):
            found[child.__name__] = kind.__name__
            found.update(parents_below(child))
    return found


def parents_drawn(text: str) -> dict[str, str]:
    """Return each name of the tree in a docstring, and the name that it hangs from."""
    path: list[str] = []
    found = {}
    for line in text.splitlines():
        drawn = re.match(r"([│ ]*(?:[├└]── )?)(\w+Error)\b", line)
        if drawn:
            depth = len(drawn[1]) // 4
            path[depth:] = [drawn[2]]
            if depth:
                found[drawn[2]] = path[depth - 1]
    return found


def test_every_exception_is_in_the_tree() -> None:
    """The docstring draws each exception of the project, below its parent."""
    import_every_module()

    drawn = parents_drawn(errors.__doc__ or "")

    assert parents_below(ThemisError) == drawn


def test_exception_that_is_not_drawn_is_noticed() -> None:
    """A tree that lacks a line differs from the classes: the check above can fail."""
    import_every_module()
    text = (errors.__doc__ or "").splitlines()

    drawn = parents_drawn("\n".join(line for line in text if "ModelError" not in line))

    assert {"ModelError": "InputError"}.items() == (
        parents_below(ThemisError).items() - drawn.items()
    )


def test_exception_defined_elsewhere_says_where() -> None:
    """The line of an exception outside `themis_lib.errors` names its module."""
    import_every_module()
    lines = (errors.__doc__ or "").splitlines()

    elsewhere = {
        child.__name__: child.__module__
        for child in ThemisError.__subclasses__()
        if child.__module__ != "themis_lib.errors"
        and child.__module__.split(".")[0] in ("themis_lib", "tasks", "flows")
    }

    assert {
        "GitHubError": "flows.pull_request_comment",
        "LostWorkerError": "tasks.submit",
        "ServerGoneError": "flows.local",
    } == (elsewhere)
    for name, module in elsewhere.items():
        assert [True] == [
            f"`{module}`" in line for line in lines if f" {name} " in line
        ]


def test_shard_error_survives_pickling() -> None:
    """A worker process hands its `ShardError` back with all it carries."""
    error = ShardError("2 of 3 rows failed", part=PART, transient=True, waiting=True)

    copy = pickle.loads(pickle.dumps(error))

    assert ("2 of 3 rows failed", PART) == (str(copy), copy.part)
    assert copy.transient
    assert copy.waiting
    assert "ShardError('2 of 3 rows failed')" == repr(copy)


def test_mark_is_on_one_exception_alone() -> None:
    """Marking an exception as free leaves others of its class as they are."""
    free = TransientError("429").marked(is_free=True)

    assert (True, False) == (free.is_free, TransientError("429").is_free)


def test_timeouts_and_lost_connections_are_transient() -> None:
    """What might pass is transient, in our words and in the standard library's."""
    found = [
        is_transient(error)
        for error in (TransientError(), TimeoutError(), ConnectionResetError())
    ]

    assert [True, True, True] == found
    assert not is_transient(ValueError())


def test_description_is_one_line_that_can_be_stored() -> None:
    """Line breaks become spaces, and half a surrogate pair its escape."""
    assert "ValueError: a b \\ud800" == describe(ValueError("a\n  b \ud800"))
    assert "ValueError" == describe(ValueError())


def test_hint_names_all_choices_when_none_is_close() -> None:
    """A name far from every choice gets the whole list, in order."""
    assert "choose one of 'bleu', 'f1'" == nearest("exact_match", ["f1", "bleu"])
    assert "there is no valid choice" == nearest("exact_match", [])


def test_list_of_names_is_cut_after_three() -> None:
    """Three distinct names are a whole list; a fourth one is an ellipsis."""
    assert "a, b, c" == first_few(["a", "b", "c", "a"])
    assert "a, b, c, …" == first_few(["a", "b", "c", "d"])
