"""Reserves: how many single bytes complete a text under a constraint, from anywhere.

A guide compares the tokens left with the reserve first, which costs nothing, and looks
for an actual completion only where the reserve does not suffice.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

from themis_lib.engine.constraints.constraint import Constraint
from themis_lib.engine.constraints.patterns import translate
from themis_lib.engine.constraints.pointers import resolve_pointer


class Reserve(NamedTuple):
    """Bytes that complete any unfinished text of a constraint.

    They are `fixed` and `a_level` for each open bracket and one more.
    """

    fixed: int
    a_level: int


class _UnknownError(Exception):
    """A schema without a known reserve; its texts are checked token by token."""


def reserve_of(constraint: Constraint) -> Reserve | None:
    """Return the reserve of a constraint, or `None` if none is known."""
    value = constraint.source["value"]
    if constraint.kind == "choices":
        sizes = [len(choice.encode()) for choice in value]
        return Reserve(max(sizes), 0)
    if constraint.kind == "regex":
        return Reserve(translate(value).farthest, 0)
    # The narrowed schema, not the source: it is what llguidance decodes.
    schema = json.loads(constraint.grammar)["grammars"][0]["json_schema"]
    try:
        return _Sizes(schema).reserve()
    except _UnknownError:
        return None


_LITERALS = frozenset({"type", "const", "enum"})
_BOUNDS = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
    }
)
# Keywords that say nothing about the texts of the node that has them.
_ASIDE = frozenset(
    {
        "$defs",
        "definitions",
        "x-guidance",
    }
)
_TYPES = (
    "null",
    "boolean",
    "number",
    "string",
    "array",
    "object",
)

# The longest literal of a scalar is `false`.
_LITERAL_BYTES = 5
# No format of llguidance's needs more, nor a number between bounds of at most 20
# places.
_FORMAT_BYTES = 64
_NUMBER_BYTES = 48
# A number without bounds ends after a sign, a digit or an exponent; a multiple of a
# factor also needs digits that make it divisible.
_FREE_NUMBER_BYTES = 3
_MULTIPLE_BYTES = 12
# Bounds outside of these are written with exponents, whose texts may be longer.
_LEAST_BOUND, _MOST_BOUND = 1e-15, 1e15
# An unfinished string needs a quote and the rest of an escape or of a character.
_STRING_END_BYTES = 6
# A value of any kind: the longest end of a scalar, and an object with an empty member.
_ANY_LEAF_BYTES, _ANY_LEVEL_BYTES = 8, 16
# Brackets or quotes around a value, or the colon and comma beside a key.
_PAIR_BYTES = 2
# An additional property of an open object has a short key, quotes, colon and comma.
_OTHER_KEY_BYTES = 8


class _Sizes:
    """Upper bounds in bytes for the texts of one narrowed schema.

    Raises `_UnknownError` where the schema composes others. A size of infinity means
    that no text exists, or that none was found yet.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        # Sizes of the nodes that references lead to, by pointer.
        self._referred: dict[str, float] = {}
        # The most that is missing inside of one bracket, and of one scalar.
        self._level: float = 0
        self._leaf: float = 0

    def reserve(self) -> Reserve:
        """Return what completes any text of the schema."""
        # A schema may refer to itself. Every reference begins at infinity, and the
        # sizes are computed again until they no longer shrink.
        self.size(self._root)
        before: dict[str, float] | None = None
        while before != self._referred:
            before = dict(self._referred)
            for pointer in before:
                self._referred[pointer] = self.referred_size(pointer)
        # What was noted on the way came from sizes that were still too large.
        self._level = 0
        self._leaf = 0
        whole = self.size(self._root)
        for pointer in list(self._referred):
            whole = max(whole, self.referred_size(pointer))
        if math.inf in (
            whole,
            self._level,
            self._leaf,
        ):
            raise _UnknownError
        return Reserve(int(max(self._leaf, whole)), int(self._level))

    def referred_size(self, pointer: str) -> float:
        """Return the size of the node that a reference leads to."""
        return self.size(resolve_pointer(self._root, pointer))

    def size(self, node: Any) -> float:
        """Return the bytes of a short text, and note the most that it may lack."""
        if node is False:
            return math.inf
        if node is True:
            node = {}
        keys = node.keys() - _ASIDE
        # Beside a reference or alternatives, a keyword would restrict all of them.
        is_combined = len(keys) > 1 and keys & {"$ref", "anyOf"}
        if "allOf" in keys or is_combined:
            raise _UnknownError
        if "anyOf" in keys:
            return min(map(self.size, node["anyOf"]))
        if "$ref" in keys:
            return self._referred.setdefault(node["$ref"], math.inf)
        if keys & {"const", "enum"}:
            return self.literal_size(node, keys)
        types = node.get("type", _TYPES)
        names = [types] if isinstance(types, str) else types
        # All types are sized, not only the shortest: each notes what it may lack.
        return min([self.type_size(name, node) for name in names])

    def literal_size(
        self,
        node: dict[str, Any],
        keys: set[str],
    ) -> float:
        """Return the size of the largest constant, as any may have been begun."""
        if not keys <= _LITERALS or ("const" in keys and "enum" in keys):
            raise _UnknownError
        values = [node["const"]] if "const" in keys else node["enum"]
        largest = 0
        for value in values:
            size = len(json.dumps(value, ensure_ascii=False).encode())
            if isinstance(value, float):
                # 1.0 may also be written as 1.000 or as 10e-1.
                size = max(size, _NUMBER_BYTES)
            largest = max(largest, size)
        self.note(leaf=largest)
        return float(largest)

    def type_size(
        self,
        name: str,
        node: dict[str, Any],
    ) -> float:
        """Return the size of a short text of one type."""
        if name in ("null", "boolean"):
            self.note(leaf=_LITERAL_BYTES)
            return _LITERAL_BYTES
        if name == "string":
            return self.string_size(node)
        if name == "array":
            return self.array_size(node)
        if name == "object":
            return self.object_size(node)
        return self.number_size(node)

    def number_size(self, node: dict[str, Any]) -> float:
        """Return the size of a number, finished from any of its digits."""
        bounds = [node[key] for key in _BOUNDS & node.keys()]
        factor = node.get("multipleOf")
        if bounds and factor:
            raise _UnknownError
        for bound in bounds:
            if bound and not _LEAST_BOUND <= abs(bound) <= _MOST_BOUND:
                raise _UnknownError
        size = _FREE_NUMBER_BYTES
        if bounds:
            size = _NUMBER_BYTES
        elif factor:
            size += len(repr(factor)) + _MULTIPLE_BYTES
        self.note(leaf=size)
        return size

    def string_size(self, node: dict[str, Any]) -> float:
        """Return the size of a short string with its quotes."""
        length = node.get("minLength", 0)
        is_limited = bool(length) or "maxLength" in node
        # How long the shortest text of both is, neither of them says.
        if is_limited and ("pattern" in node or "format" in node):
            raise _UnknownError
        if "pattern" in node:
            pattern = translate(node["pattern"], search=True)
            # In JSON a byte may become two: a quote is written as \".
            self.note(leaf=2 * pattern.farthest + _STRING_END_BYTES)
            return 2 * pattern.shortest + _PAIR_BYTES
        if "format" in node:
            length += _FORMAT_BYTES
        self.note(leaf=length + _STRING_END_BYTES)
        return float(length + _PAIR_BYTES)

    def array_size(self, node: dict[str, Any]) -> float:
        """Return the size of an array of as few items as it may have."""
        first = [self.size(item) for item in node.get("prefixItems", [])]
        other = self.size(node["items"]) if "items" in node else self.any_size()
        least = node.get("minItems", 0)
        sizes = first[:least] + [other] * (least - len(first))
        # Each item is followed by a comma or the closing bracket.
        whole = _PAIR_BYTES + sum(sizes) + len(sizes)
        self.note(level=whole + _largest_finite([*first, other]))
        return whole

    def object_size(self, node: dict[str, Any]) -> float:
        """Return the size of an object of its required properties alone."""
        if "patternProperties" in node or "minProperties" in node:
            raise _UnknownError
        members: dict[str, float] = {}
        for name, value in node.get("properties", {}).items():
            members[name] = _key_size(name) + self.size(value)
        others = node.get("additionalProperties", True)
        other = math.inf
        if others is True:
            other = _OTHER_KEY_BYTES + self.any_size()
        elif others is not False:
            other = _OTHER_KEY_BYTES + self.size(others)
        whole: float = _PAIR_BYTES
        for name in node.get("required", []):
            whole += members.get(name, other + _key_size(name))
        self.note(level=whole + _largest_finite([*members.values(), other]))
        return whole

    def any_size(self) -> float:
        """Return the size of a short value where every value is allowed."""
        self.note(
            leaf=_ANY_LEAF_BYTES,
            level=_ANY_LEVEL_BYTES,
        )
        # One digit is a value.
        return 1

    def note(
        self,
        *,
        leaf: float = 0,
        level: float = 0,
    ) -> None:
        """Keep the most that may be missing inside of a scalar or of a bracket."""
        self._leaf = max(self._leaf, leaf)
        self._level = max(self._level, level)


def _largest_finite(sizes: list[float]) -> float:
    """Return the most that a member already begun may add to what is required."""
    # A member without any text cannot have been begun.
    return max([size for size in sizes if size < math.inf], default=0)


def _key_size(name: str) -> int:
    """Return the bytes of a key with its quotes, colon and comma."""
    return len(json.dumps(name, ensure_ascii=False).encode()) + _PAIR_BYTES
