"""Built-ins that need a library: its presence and its version."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import ClassVar

import pytest

from themis_lib.builtins.libraries import LibraryBuiltin, installed_version
from themis_lib.builtins.text_metrics import Bleu
from themis_lib.errors import ComponentError


def test_missing_library_is_named_with_the_command_that_installs_it():
    """When the experiment is read, before anything is generated."""

    @dataclass(frozen=True)
    class Lacking(Bleu):
        libraries: ClassVar[tuple[str, ...]] = ("themis-no-such-package",)

    with pytest.raises(ComponentError) as raised:
        Lacking()

    expected = (
        "builtin/bleu: themis-no-such-package is not installed: "
        "pip install 'themis-flows[metrics]'"
    )
    assert expected == str(raised.value)


def test_installed_version_is_that_of_the_package() -> None:
    """As its metadata has it."""
    assert version("pytest") == installed_version("pytest", where="here")


def test_missing_package_is_named_where_it_is_needed() -> None:
    """The place comes first, so that a user knows which component to change."""
    with pytest.raises(
        ComponentError, match=r"^here: no-such-package is not installed"
    ):
        installed_version("no-such-package", where="here")


def test_versions_stand_beside_the_settings() -> None:
    """They are part of the fingerprint, so another version is another computation."""

    @dataclass(frozen=True)
    class Tested(LibraryBuiltin):
        component_id: ClassVar[str] = "builtin/tested"
        libraries: ClassVar[tuple[str, ...]] = ("pytest", "hypothesis")
        limit: int = 3

    assert {
        "limit": 3,
        "libraries": {
            "pytest": version("pytest"),
            "hypothesis": version("hypothesis"),
        },
    } == Tested().settings()
