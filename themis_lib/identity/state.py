"""State: values that code keeps between runs of one process, such as a memo.

A value that only the runs themselves have changed counts as what it was before the
first of them: what a component remembers is no new component. Changed by anything else,
it counts as what it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from themis_lib.identity.code import CodeIdentity

#: Stands for a value that has become one without a description, such as a client that
#: is made at the first call.
_OPAQUE = "opaque"


@dataclass(frozen=True)
class _Left:
    """How a run left a value, and what it counted as; `owner` keeps its id taken."""

    digest: str
    counts_as: str
    owner: Any


# Process-wide, like the values: what runs left in modules, classes and objects.
_LEFT: dict[tuple[str, int], _Left] = {}


def without_state(
    owner: Any,
    code: CodeIdentity,
) -> CodeIdentity:
    """Return what code counts as, where `owner` is the component it was reached from."""
    values = dict(code.values)
    opaque = dict(code.opaque)
    for label, value in code.values.items():
        left = _LEFT.get(_key(label, owner))
        if left is not None and left.digest == value:
            values[label] = left.counts_as
    for label in code.opaque:
        left = _LEFT.get(_key(label, owner))
        if left is not None and left.digest == _OPAQUE:
            values[label] = left.counts_as
            del opaque[label]
    return replace(code, values=values, opaque=opaque)


def note_state(
    owner: Any,
    before: CodeIdentity,
    after: CodeIdentity,
) -> None:
    """Note how a run left the values of a component.

    `before` is what they counted as when the run was compiled, `after` what they are.
    """
    for label, counts_as in before.values.items():
        now = after.values.get(label)
        if label in after.opaque:
            now = _OPAQUE
        if now is not None and now != counts_as:
            _LEFT[_key(label, owner)] = _Left(now, counts_as, owner)


def _key(label: str, owner: Any) -> tuple[str, int]:
    # A module or class is one in the process; objects and closures share their names.
    is_of_owner = "(" in label or " " in label or "." not in label
    return label, id(owner) if is_of_owner else 0
