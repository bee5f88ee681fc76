"""What the identity of a component's code covers, and what it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from themis_lib.identity.digests import digest


@dataclass(frozen=True)
class CodeIdentity:
    """What a component's code covers.

    `definitions` and `values` are digests by name (`helpers.normalise`); `places` says
    in which file and line a definition is. `libraries` are the versions of the
    distributions that it uses. `variables` are the environment variables that it reads.
    `uncovered` are values that no digest covers, with the reason, `chance` is what the
    code uses that is not the same every time, and `caches` are functions that keep their
    results. `modules` are those of user code whose definitions are reached.
    """

    definitions: Mapping[str, str]
    values: Mapping[str, str]
    libraries: Mapping[str, str]
    variables: tuple[str, ...]
    places: Mapping[str, str]
    uncovered: Mapping[str, str]
    opaque: Mapping[str, str]
    chance: tuple[str, ...]
    caches: tuple[Any, ...] = ()
    modules: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """The one digest of definitions and values."""
        return digest("code", self.to_json())

    def clear_caches(self) -> None:
        """Have every cached function that is reached compute anew."""
        for cache in self.caches:
            cache.cache_clear()

    def to_json(self) -> dict[str, Any]:
        """Return what decides whether rows are computed again, libraries apart."""
        return {
            "definitions": dict(sorted(self.definitions.items())),
            "values": dict(sorted(self.values.items())),
        }
