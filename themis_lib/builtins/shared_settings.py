"""Settings that parsers and metrics have in common."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from themis_lib.components.builtin import Builtin
from themis_lib.errors import ComponentError

#: What `45%` is read as: the number 45, or the fraction 0.45.
Percent: TypeAlias = Literal["number", "fraction"]


def check_choices(
    component: Builtin,
    choices: str,
) -> None:
    """Raise `ComponentError` unless `choices` are two or more distinct options.

    Each option is one ASCII letter or digit; `A` and `a` are the same option.
    """
    # Options are matched without regard to case.
    distinct = set(choices.upper())
    is_ambiguous = len(distinct) < len(choices)
    # They go into character classes unescaped, where `-` and `]` have a meaning.
    are_plain = re.fullmatch("[A-Za-z0-9]+", choices)
    if len(choices) < 2 or is_ambiguous or not are_plain:
        raise ComponentError(
            f"{component.component_id}: choices={choices!r}: "
            "give two or more different letters or digits"
        )
