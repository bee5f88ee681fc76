"""What a walk has found: definitions by name, and the values that they read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from themis_lib.identity.covered import CodeIdentity
from themis_lib.identity.digests import digest
from themis_lib.identity.environment import Variables, texts_in
from themis_lib.identity.usage import Usage
from themis_lib.identity.user_code import distribution_of


@dataclass(frozen=True)
class Slot:
    """A value that code reads under a name.

    `opaque` is the type of a value that has no description. Without `may_be_left_out`
    it counts even if the code only writes it.
    """

    name: str
    described: Any
    opaque: str | None = None
    is_optional: bool = False
    may_be_left_out: bool = False


@dataclass
class Found:
    """Definitions and values by label, with what the code refers to."""

    definitions: dict[str, Any] = field(default_factory=dict)
    docstrings: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    uncovered: dict[str, str] = field(default_factory=dict)
    usages: list[Usage] = field(default_factory=list)
    chance: set[str] = field(default_factory=set)
    libraries: set[str] = field(default_factory=set)
    caches: list[Any] = field(default_factory=list)
    modules: set[str] = field(default_factory=set)
    #: Whether a value is the environment, under a name of the user's.
    has_environment: bool = False

    def add(self, label: str, slot: Slot) -> None:
        """Add a value. Another value under the same label gets a label of its own."""
        # Two namespaces may have one name, such as texts that were executed.
        number, numbered = 1, label
        while self.slots.get(numbered, slot) != slot:
            number += 1
            numbered = f"{label}~{number}"
        self.slots[numbered] = slot

    def identity(self) -> CodeIdentity:
        """Return what was found, without values that are only written."""
        only_written = self._only_written()
        values: dict[str, str] = {}
        opaque: dict[str, str] = {}
        uncovered = dict(self.uncovered)
        for label, slot in self.slots.items():
            if slot.may_be_left_out and slot.name in only_written:
                uncovered[label] = "written and never read, such as a counter"
            elif slot.opaque is None:
                values[label] = digest("value", slot.described)
            elif slot.is_optional:
                uncovered[label] = (
                    f"an object of {slot.opaque}, whose content is hidden"
                )
            else:
                opaque[label] = slot.opaque
        definitions = dict(self.definitions)
        if any(usage.reads_docstrings for usage in self.usages):
            definitions.update(self.docstrings)
        return CodeIdentity(
            definitions={
                name: digest("definition", item) for name, item in definitions.items()
            },
            values=values,
            libraries=_versions(self.libraries),
            variables=tuple(sorted(self._variables())),
            places=self.places,
            uncovered=uncovered,
            opaque=opaque,
            chance=tuple(sorted(self.chance)),
            caches=tuple(self.caches),
            modules=tuple(sorted(self.modules)),
        )

    def _variables(self) -> set[str]:
        names: set[str] = set()
        candidates: set[str] = set()
        for usage in self.usages:
            names |= usage.variables.names
            candidates |= usage.variables.candidates
        by_name = any(usage.variables.reads_by_name for usage in self.usages)
        if not (by_name or self.has_environment):
            return names
        values = Variables()
        for slot in self.slots.values():
            for text in texts_in(slot.described):
                values.add_text(text)
        return names | candidates | values.candidates

    def _only_written(self) -> set[str]:
        if any(usage.reads_whole_objects for usage in self.usages):
            return set()
        changed: set[str] = set()
        read: set[str] = set()
        for usage in self.usages:
            changed |= usage.changed
            read |= usage.read
        return changed - read


def _versions(modules: set[str]) -> dict[str, str]:
    versions = {}
    for module in modules:
        distribution = distribution_of(module)
        if distribution is not None:
            name, version = distribution
            versions[name] = version
    return dict(sorted(versions.items()))
