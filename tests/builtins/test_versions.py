"""A built-in's identity is its version, so behaviour may not change without one."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest

from tests.support import golden_builtins as golden
from themis_lib.builtins.parsers import Number
from themis_lib.components.build import build
from themis_lib.components.builtin import Builtin
from themis_lib.components.registry import BUILTINS
from themis_lib.core.models import ParsedOutput
from themis_lib.identity.digests import digest

NAMES = [(kind, name) for kind, names in BUILTINS.items() for name in names]


def test_behaviour_is_the_one_on_record_for_each_version():
    """Every built-in does today what it did when its version was recorded."""
    assert [] == golden.changes(golden.digests(), golden.recorded())


def test_record_holds_no_built_in_that_is_gone():
    """A built-in that was renamed or removed leaves the record too."""
    assert {name for _, name in NAMES} == set(golden.recorded())


def test_changed_behaviour_without_a_new_version_is_caught():
    """A parser that reads one text of the battery differently under its old version has
    another digest.
    """

    class Careless(Number):
        def _parse_output(self, output: Any) -> ParsedOutput:
            return super()._parse_output("19" if output == "#### 18" else output)

    components = [Careless(), Careless(percent="fraction")]
    behaviour = [golden.behaviour("parser", component) for component in components]
    present = {"builtin/number": {Number.version: digest("behaviour", behaviour)}}

    changes = golden.changes(present, golden.recorded())

    assert [f"builtin/number {Number.version}: {golden.ADVICE}"] == changes


def test_unchanged_behaviour_is_not_taken_for_a_change():
    """The same parser in a subclass that changes nothing has the digest on record."""

    class Careful(Number):
        pass

    components = [Careful(), Careful(percent="fraction")]
    behaviour = [golden.behaviour("parser", component) for component in components]

    present = {"builtin/number": {Number.version: digest("behaviour", behaviour)}}

    assert [] == golden.changes(present, golden.recorded())


def test_new_setting_without_a_new_version_is_caught():
    """A setting more changes every fingerprint, so it needs a new version even if it
    changes no output.
    """

    @dataclasses.dataclass(frozen=True)
    class Wider(Number):
        rounded: bool = False

    assert golden.behaviour("parser", Number()) != golden.behaviour("parser", Wider())


def test_recording_keeps_what_is_on_record():
    """Recording adds new versions; it never replaces the digest of an old one, so it
    cannot hide a change.
    """
    on_record = {"builtin/a": {"1": "old"}}

    recorded = golden.additions(
        {"builtin/a": {"1": "new", "2": "newer"}, "builtin/b": {"1": "b"}}, on_record
    )

    assert {
        "builtin/a": {"1": "old", "2": "newer"},
        "builtin/b": {"1": "b"},
    } == recorded


def test_version_that_is_not_on_record_is_caught():
    """A new version fails until it is recorded."""
    assert 1 == len(
        golden.changes({"builtin/a": {"2": "digest"}}, {"builtin/a": {"1": "digest"}})
    )


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_name_leads_to_the_component_that_bears_it(kind, name):
    """The name in an experiment is the component's id, and its settings are all that is
    fingerprinted.
    """
    component = build(
        kind, {"use": name, **golden._settings(name)[0]}, where="test"
    ).component

    assert name == component.component_id
    assert isinstance(component, Builtin)
    assert (
        component.fingerprint()
        == build(kind, component, where="test").component.fingerprint()
    )


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_settings_are_frozen(kind, name):
    """A component cannot change after it was fingerprinted."""
    component = build(
        kind, {"use": name, **golden._settings(name)[0]}, where="test"
    ).component

    with pytest.raises(dataclasses.FrozenInstanceError):
        component.component_id = "another"


def test_built_in_without_settings_is_equal_to_another():
    """Built-ins are values: the same settings make equal components."""

    @dataclasses.dataclass(frozen=True)
    class Plain(Builtin):
        component_id: ClassVar[str] = "builtin/plain"

    assert Plain() == Plain()
    assert Number() == Number()
    assert Number() != Number(percent="fraction")
