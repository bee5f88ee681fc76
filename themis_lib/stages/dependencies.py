"""What a user's components read beside their rows: files and environment variables.

They are found while components compute, recorded beside the stage's rows, and checked
before the rows are used again. Where one has changed, the rows of the stage are others:
they are kept under a fingerprint that covers what the dependencies are now.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from themis_lib.core.secrets import names_credential
from themis_lib.errors import FatalError, escape_surrogates
from themis_lib.identity.contents import content_digest
from themis_lib.identity.digests import digest
from themis_lib.identity.file_state import state_or_none
from themis_lib.identity.watch import VARIABLE, Watch, watching
from themis_lib.stages.file_digests import file_digest
from themis_lib.stages.stage import Stage
from themis_lib.storage.store import RunStore
from themis_lib.storage.traces import read_traces, write_trace

AnyStage = TypeVar("AnyStage", bound=Stage)

# Process-wide: what this process read of each file, for code that reads it once and
# keeps what it read.
_READ: dict[str, str] = {}


class Dependencies:
    """Finds and records what the components of one stage depend on, for one shard."""

    def __init__(
        self,
        stage: Stage,
        store: RunStore,
        *,
        is_computing: bool = True,
    ) -> None:
        self._stage = stage
        self._store = store
        self._watch: Watch | None = None
        self._known: dict[str, str] = {}
        self._must_reopen: set[str] = set()
        if not stage.has_user_code or not is_computing:
            return
        root = store.root if store.local else None
        self._watch = Watch(lambda path: root is not None and _is_below(path, root))
        for name in _declared(stage):
            self._known[name] = _digest_for(stage, name)
        for name, now in stage.depends_on.items():
            before = _READ.get(name)
            if before is not None and before != _unsalted(name) and now:
                self._must_reopen.add(name)
        if self._known:
            self._record(self._known)

    @contextmanager
    def watched(self, *, is_inner: bool = False) -> Iterator[None]:
        """Watch the components for a block; with `is_inner`, the block around does too."""
        context: AbstractContextManager[None] = nullcontext()
        if self._watch is not None:
            context = watching(self._watch, is_inner=is_inner)
        with context:
            yield

    def record_new(self) -> None:
        """Record what was found since the last call; called before rows are kept.

        A file that is opened in another state than before is recorded again: rows that
        depend on two contents are those of neither. Raise `FatalError` if a file has
        changed since this process read it and it was not read again: the components
        compute with what they kept of it.
        """
        if self._watch is None:
            return
        new = {}
        for path, opened in self._watch.take_new():
            now = dependency_digest(path, self._stage.own_fingerprint)
            if path.startswith(VARIABLE):
                if not names_credential(path.removeprefix(VARIABLE)):
                    new[path] = now
                continue
            name = escape_surrogates(path)
            if name != path:
                # A trace is text: the file is found again under no name.
                new[name] = digest("no text", name)
                continue
            if not path.endswith("/") and state_or_none(path) != opened:
                # Nobody knows which content was read: no row may be used again.
                now = digest("changed while it was read", path)
            if self._known.get(path) != now:
                new[path] = now
            self._must_reopen.discard(path)
            _READ[path] = _unsalted(path)
        if self._must_reopen:
            path = min(self._must_reopen)
            raise FatalError(
                f"{self._stage.label}: {path} has changed since this process read it, "
                "and what was read is still in use; reload the module that keeps it, "
                "or start a new process"
            )
        if new:
            self._known.update(new)
            self._record(new)

    def _record(self, found: Mapping[str, str]) -> None:
        write_trace(self._store, self._stage.directory, found)


def resolve(
    stage: AnyStage,
    store: RunStore,
) -> AnyStage:
    """Return a stage whose fingerprint covers what its rows depend on now.

    That is the stage itself while its dependencies are as its rows saw them.
    """
    if not stage.has_user_code:
        return stage
    tried: dict[str, str] = {}
    while True:
        if stage.fingerprint in tried:
            # A dependency changed in the middle of the run that recorded it.
            changed = {**stage.depends_on, "(changed in a run)": str(len(tried))}
            stage = depending_on(stage, changed)
        seen = read_traces(store, stage.directory)
        now = {name: _digest_for(stage, name) for name in seen}
        if all(seen[name] == {now[name]} for name in seen):
            if tried:
                stage.traced_in = tuple(tried.values())
            return stage
        tried[stage.fingerprint] = stage.directory
        # What `lru_cache` holds was computed from the files as they were.
        for component in stage.components:
            if component.code is not None:
                component.code.clear_caches()
        stage = depending_on(stage, {**stage.depends_on, **now})


def dependencies_of(
    stage: Stage,
    store: RunStore,
) -> dict[str, str]:
    """Return what the rows of a stage in a store depend on, by digest."""
    if not stage.has_user_code:
        return {}
    found = dict(stage.depends_on)
    for name, seen in read_traces(store, stage.directory).items():
        # Several: it changed in the middle of a run.
        found[name] = min(seen)
    return dict(sorted(found.items()))


def depending_on(
    stage: AnyStage,
    dependencies: Mapping[str, str],
) -> AnyStage:
    """Return a copy of a stage whose fingerprint covers these dependencies."""
    if dict(dependencies) == dict(stage.depends_on):
        return stage
    resolved = copy.copy(stage)
    resolved.__dict__.pop("fingerprint", None)
    resolved.depends_on = dict(sorted(dependencies.items()))
    return resolved


def dependency_digest(
    name: str,
    salt: str,
) -> str:
    """Return the digest of a dependency as it is now: a file, or `env:NAME`.

    A name that ends in `_` is also the beginning of others, as in code that takes all
    variables that begin so.
    """
    if name.startswith(VARIABLE):
        variable = name.removeprefix(VARIABLE)
        if variable.endswith("_"):
            return digest("variables", [salt, _variables_named(variable)])
        value = os.environ.get(variable)
        shown = None if value is None else escape_surrogates(value)
        return digest("variable", [salt, shown])
    return file_digest(name, salt)


def _digest_for(stage: Stage, name: str) -> str:
    """Return the digest of what a stage's components compute with.

    Of a file that was read to make them, that is what was read.
    """
    salt = stage.own_fingerprint
    for component in stage.components:
        if name in component.files:
            return content_digest(component.files[name], salt)
    return dependency_digest(name, salt)


def _declared(stage: Stage) -> list[str]:
    """Return the dependencies that were found before anything was computed.

    Code shows them, a component declares them, or was made from them.
    """
    names = set()
    for component in stage.components:
        if component.code is None:
            continue
        for variable in component.code.variables:
            if not names_credential(variable):
                names.add(f"{VARIABLE}{variable}")
        names.update(component.files)
        declared: Any = getattr(component.component, "depends_on", ())
        for item in declared:
            is_variable = isinstance(item, str) and item.startswith(VARIABLE)
            names.add(item if is_variable else str(Path(item).resolve()))
    return sorted(names)


def _variables_named(beginning: str) -> list[list[str]]:
    return [
        [escape_surrogates(name), escape_surrogates(value)]
        for name, value in sorted(os.environ.items())
        if name.startswith(beginning) and not names_credential(name)
    ]


def _unsalted(name: str) -> str:
    return dependency_digest(name, "")


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
