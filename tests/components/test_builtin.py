"""What built-in components share: settings that are checked and fingerprinted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from themis_lib import ComponentError
from themis_lib.components.builtin import Builtin


@dataclass(frozen=True)
class Sample(Builtin):
    component_id: ClassVar[str] = "tests/sample"

    count: int = 1
    key: str = field(default="", repr=False)


def test_settings_are_the_fingerprint() -> None:
    """Every field is a setting, and any other value another fingerprint."""
    assert {"count": 2, "key": ""} == json.loads(Sample(count=2).fingerprint())
    assert Sample(count=2).fingerprint() != Sample(count=3).fingerprint()


def test_setting_of_another_type_is_named() -> None:
    """The message names the component, the setting and its value."""
    with pytest.raises(ComponentError, match=r"^tests/sample: count='two': "):
        Sample(count="two")  # type: ignore[arg-type]


def test_hidden_setting_is_not_shown() -> None:
    """The value of a field without `repr` may be a credential."""
    with pytest.raises(ComponentError) as failure:
        Sample(key=1234567)  # type: ignore[arg-type]

    assert str(failure.value).startswith("tests/sample: key: ")
    assert "1234567" not in str(failure.value)
