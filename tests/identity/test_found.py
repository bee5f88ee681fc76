"""What a walk has found, and the identity that it makes."""

from __future__ import annotations

import functools
from dataclasses import replace

from themis_lib.identity.found import Found, Slot
from themis_lib.identity.usage import Usage


def test_two_values_of_one_label_both_count() -> None:
    """The second gets a number; the same value again is one."""
    found = Found()
    for value in (1, 1, 2):
        found.add("a", Slot("a", value))

    assert ["a", "a~2"] == list(found.slots)


def test_written_values_are_uncovered_until_something_reads_them() -> None:
    """A counter counts once code hands the whole object on."""
    found = Found(usages=[Usage(changed={"calls"})])
    found.add("calls", Slot("calls", 1, may_be_left_out=True))
    before = found.identity()
    found.usages.append(Usage(reads_whole_objects=True))

    assert ["calls"] == list(before.uncovered)
    assert ["calls"] == list(found.identity().values)


def test_opaque_values_are_refused_unless_optional() -> None:
    """An optional one is listed as uncovered."""
    found = Found()
    found.add("client", Slot("client", None, "Client"))
    found.add("other", Slot("other", None, "Client", is_optional=True))
    identity = found.identity()

    assert {"client": "Client"} == identity.opaque
    assert ["other"] == list(identity.uncovered)


def test_libraries_are_named_with_their_versions() -> None:
    """A distribution counts; the standard library and missing modules do not."""
    found = Found(libraries={"numpy.linalg", "json", "no_such_module_at_all"})

    assert ["numpy"] == list(found.identity().libraries)


def test_digest_covers_definitions_and_values_in_any_order() -> None:
    """Libraries, places and the order of names are not in the digest."""
    found = Found(definitions={"a": 1, "b": 2})
    identity = found.identity()
    turned = Found(definitions={"b": 2, "a": 1}).identity()

    assert identity.digest == turned.digest
    assert identity.digest == replace(identity, libraries={"numpy": "1"}).digest
    assert identity.digest != replace(identity, values={"a": "1"}).digest


def test_caches_are_cleared() -> None:
    """A cached function computes anew."""
    calls = []
    cached = functools.cache(lambda: calls.append(1))
    cached()
    Found(caches=[cached]).identity().clear_caches()
    cached()

    assert [1, 1] == calls
