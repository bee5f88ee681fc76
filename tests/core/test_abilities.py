"""What a component may offer: an ability is had by having its attribute or method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from themis_lib.adapters import openai
from themis_lib.builtins.generators import DemoGenerator
from themis_lib.builtins.judges import JudgeCorrectness
from themis_lib.builtins.reducers import PassAtK
from themis_lib.core import abilities


@dataclass
class Plain:
    """A component without any optional ability."""

    component_id: str = "tests/plain"
    version: str = "1"

    def fingerprint(self) -> str:
        return ""


ABILITIES = [
    value
    for name, value in vars(abilities).items()
    if isinstance(value, type) and value.__module__ == abilities.__name__
]


@pytest.mark.parametrize("ability", ABILITIES, ids=lambda ability: ability.__name__)
def test_no_ability_is_needed(ability: Any) -> None:
    """A component that offers nothing beside its method has none of the abilities."""
    assert not isinstance(Plain(), ability)


@pytest.mark.parametrize("ability", ABILITIES, ids=lambda ability: ability.__name__)
def test_each_ability_is_documented(ability: Any) -> None:
    """Each ability says in its docstring what it means to have it."""
    assert ability.__doc__
    assert "Protocol" not in ability.__doc__


def test_adapters_have_their_abilities() -> None:
    """The `openai` adapter names its model, bounds its calls and its tokens."""
    generator = openai("gpt-4.1-nano", client=object())

    for ability in (
        abilities.NamesModel,
        abilities.BoundsCalls,
        abilities.BoundsUsage,
        abilities.ChargesListPrice,
        abilities.KeepsToSchema,
        abilities.SharesLimit,
    ):
        assert isinstance(generator, ability), ability.__name__


def test_builtins_have_theirs() -> None:
    """The demo generator is free, `pass_at_k` needs `k` samples, and metrics that ask
    judges read verdicts in any form.
    """
    assert isinstance(DemoGenerator(), abilities.IsFree)
    assert isinstance(PassAtK(k=2), abilities.NeedsSamples)
    assert isinstance(JudgeCorrectness(), abilities.ReadsUnfitVerdicts)
