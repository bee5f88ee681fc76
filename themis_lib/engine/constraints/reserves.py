"""How many single bytes complete a text under a constraint, wherever it stands."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

from themis_lib.engine.constraints.constraint import Constraint
from themis_lib.engine.constraints.patterns import translated
from themis_lib.engine.constraints.schemas import pointed


class Reserve(NamedTuple):
    """Bytes that complete any unfinished text: some, and some for every bracket open
    and one more.
    """

    fixed: int
    a_level: int


class _UnknownError(Exception):
    """A schema for which no reserve is known; its texts are checked token by token."""


def reserve_of(constraint: Constraint) -> Reserve | None:
    """The reserve of a constraint; None where none is known."""
    value = constraint.source["value"]
    if constraint.kind == "choices":
        return Reserve(max(len(choice.encode()) for choice in value), 0)
    if constraint.kind == "regex":
        return Reserve(translated(value).farthest, 0)
    try:
        return _Sizes(
            json.loads(constraint.grammar)["grammars"][0]["json_schema"]
        ).reserve()
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
_ASIDE = frozenset({"$defs", "definitions", "x-guidance"})
_TYPES = ("null", "boolean", "number", "string", "array", "object")

#: No format of llguidance's needs more, nor a number between bounds of at most 20
#: places.
_FORMAT_BYTES = 64
_NUMBER_BYTES = 48


class _Sizes:
    """Upper bounds for the texts of one narrowed schema; raises `_UnknownError` where
    it composes.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._referred: dict[str, float] = {}
        self._level: float = 0
        self._leaf: float = 0

    def reserve(self) -> Reserve:
        """What completes any text of the schema: for every open bracket the most its
        object or array may lack.
        """
        whole, before = self._text_size(self._root), None
        while before != self._referred:
            before = dict(self._referred)
            for pointer in before:
                self._referred[pointer] = self._text_size(pointed(self._root, pointer))
        self._level = self._leaf = 0
        whole = max(
            [
                self._text_size(self._root),
                *(
                    self._text_size(pointed(self._root, each))
                    for each in self._referred
                ),
            ]
        )
        if math.inf in (whole, self._level, self._leaf):
            raise _UnknownError
        return Reserve(int(max(self._leaf, whole)), int(self._level))

    def _text_size(self, node: Any) -> float:
        """The bytes of a short text; the most that is missing inside of it is noted on
        the way.
        """
        if node is False:
            return math.inf
        node = {} if node is True else node
        keys = node.keys() - _ASIDE
        if "allOf" in keys:
            raise _UnknownError
        if "$ref" in keys or "anyOf" in keys:
            if len(keys) > 1:
                raise _UnknownError
            if "anyOf" in keys:
                return min(map(self._text_size, node["anyOf"]))
            return self._referred.setdefault(node["$ref"], math.inf)
        if "const" in keys or "enum" in keys:
            return self._literal_size(node, keys)
        types = node.get("type", _TYPES)
        return min(
            self._type_size(name, node)
            for name in ([types] if isinstance(types, str) else types)
        )

    def _literal_size(
        self,
        node: dict[str, Any],
        keys: set[str],
    ) -> float:
        if not keys <= _LITERALS or ("const" in keys and "enum" in keys):
            raise _UnknownError
        values = [node["const"]] if "const" in keys else node["enum"]
        sizes = [
            len(json.dumps(value, ensure_ascii=False).encode()) for value in values
        ]
        if any(isinstance(value, float) for value in values):
            sizes.append(_NUMBER_BYTES)
        self._note_reserve(leaf=max(sizes))
        return float(max(sizes))

    def _type_size(
        self,
        name: str,
        node: dict[str, Any],
    ) -> float:
        if name in ("null", "boolean"):
            self._note_reserve(leaf=5)
            return 5
        if name == "string":
            return self._string_size(node)
        if name == "array":
            return self._array_size(node)
        return self._object_size(node) if name == "object" else self._number_size(node)

    def _number_size(self, node: dict[str, Any]) -> float:
        bounds = [node[key] for key in _BOUNDS & node.keys()]
        factor = node.get("multipleOf")
        if (bounds and factor) or any(
            bound and not 1e-15 <= abs(bound) <= 1e15 for bound in bounds
        ):
            raise _UnknownError
        size = (
            _NUMBER_BYTES if bounds else 3 + (len(repr(factor)) + 12 if factor else 0)
        )
        self._note_reserve(leaf=size)
        return size

    def _string_size(self, node: dict[str, Any]) -> float:
        length = node.get("minLength", 0)
        if "pattern" in node:
            if length or "maxLength" in node:
                raise _UnknownError
            pattern = translated(node["pattern"], search=True)
            self._note_reserve(leaf=2 * pattern.farthest + 6)
            return 2 * pattern.shortest + 2
        if "format" in node and (length or "maxLength" in node):
            raise _UnknownError
        self._note_reserve(leaf=length + 6 + (_FORMAT_BYTES if "format" in node else 0))
        return float(length + 2 + (_FORMAT_BYTES if "format" in node else 0))

    def _array_size(self, node: dict[str, Any]) -> float:
        first = [self._text_size(item) for item in node.get("prefixItems", [])]
        other = (
            self._text_size(node["items"])
            if "items" in node
            else self._any_value_size()
        )
        least = node.get("minItems", 0)
        sizes = first[:least] + [other] * (least - len(first))
        begun = max([size for size in [*first, other] if size < math.inf], default=0)
        self._note_reserve(level=2 + sum(sizes) + len(sizes) + begun)
        return 2 + sum(sizes) + len(sizes)

    def _object_size(self, node: dict[str, Any]) -> float:
        if "patternProperties" in node or "minProperties" in node:
            raise _UnknownError
        members = {
            name: _key_size(name) + self._text_size(value)
            for name, value in node.get("properties", {}).items()
        }
        others = node.get("additionalProperties", True)
        other = math.inf
        if others is not False:
            other = 8 + (
                self._any_value_size() if others is True else self._text_size(others)
            )
        required = [
            members.get(name, other + _key_size(name))
            for name in node.get("required", [])
        ]
        begun = max(
            [size for size in [*members.values(), other] if size < math.inf], default=0
        )
        self._note_reserve(level=2 + sum(required) + begun)
        return 2 + sum(required)

    def _any_value_size(self) -> float:
        self._note_reserve(
            leaf=8,
            level=16,
        )
        return 1

    def _note_reserve(
        self,
        *,
        leaf: float = 0,
        level: float = 0,
    ) -> None:
        self._leaf, self._level = max(self._leaf, leaf), max(self._level, level)


def _key_size(name: str) -> int:
    """The bytes of a key with its quotes, colon and comma."""
    return len(json.dumps(name, ensure_ascii=False).encode()) + 2
