"""JSON Schema as it can be decoded: what is kept, what is narrowed, what is refused.

A keyword that llguidance ignored would let a text through that the schema forbids.
Therefore every keyword is listed here: as enforced, as irrelevant, or as refused.
"""

from __future__ import annotations

from typing import Any, NoReturn

from themis_lib.engine.constraints.refusals import refuse
from themis_lib.engine.constraints.rules import RULES
from themis_lib.engine.constraints.sites import Site
from themis_lib.errors import nearest

# Keywords whose values hold no schemas; the rules check and change them.
_VALUES = frozenset(
    [
        "type",
        "enum",
        "const",
        "$ref",
        "required",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minProperties",
        "maxProperties",
        "pattern",
        "format",
        "uniqueItems",
    ]
)
# Keywords that hold schemas, by the form in which they hold them.
_ONE_SCHEMA = frozenset({"items", "additionalProperties"})
_SCHEMA_LISTS = frozenset(
    {
        "anyOf",
        "allOf",
        "oneOf",
        "prefixItems",
    }
)
_SCHEMA_MAPS = frozenset(
    {
        "properties",
        "patternProperties",
        "$defs",
        "definitions",
    }
)
_SCHEMAS = _ONE_SCHEMA | _SCHEMA_LISTS | _SCHEMA_MAPS
# Keywords that no value can violate. Those of others begin with `x-`.
_ANNOTATIONS = frozenset(
    [
        "$schema",
        "$id",
        "$comment",
        "$anchor",
        "title",
        "description",
        "default",
        "examples",
        "example",
        "deprecated",
        "readOnly",
        "writeOnly",
        "discriminator",
    ]
)
# Keywords that cannot be enforced, with what to write in place of each.
_REFUSED = {
    "not": "list what is allowed",
    "if": "write the cases as an anyOf",
    "then": "write the cases as an anyOf",
    "else": "write the cases as an anyOf",
    "contains": "describe every item with items",
    "minContains": "describe every item with items",
    "maxContains": "describe every item with items",
    "additionalItems": "write prefixItems and items",
    "propertyNames": "list the names in properties, or use one patternProperties",
    "dependentRequired": "write the cases as an anyOf",
    "dependentSchemas": "write the cases as an anyOf",
    "dependencies": "write the cases as an anyOf",
    "unevaluatedItems": "write items",
    "unevaluatedProperties": "write additionalProperties",
    "$dynamicRef": "write $ref",
    "$recursiveRef": "write $ref",
    "contentEncoding": "remove it, nothing checks it",
    "contentMediaType": "remove it, nothing checks it",
    "contentSchema": "remove it, nothing checks it",
}
_COMPOSERS = frozenset({"anyOf", "oneOf", "$ref"})
_OBJECT_KEYWORDS = frozenset(
    {
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
    }
)


class Narrowing:
    """One schema, rewritten so that llguidance enforces each of its keywords.

    Raises `ConfigError` for a schema that has no such form.
    """

    def __init__(
        self,
        argument: str,
        root: Any,
    ) -> None:
        self._argument = argument
        self._root = root
        self._is_closed = not _composes_objects(root)

    def schema(self) -> Any:
        """Return the narrowed schema; the given one is not changed."""
        return self._narrow_node(self._root, "#")

    def _narrow_node(
        self,
        node: Any,
        place: str,
    ) -> Any:
        # `true` allows every value and `false` none.
        if isinstance(node, bool):
            return node
        if not isinstance(node, dict):
            self._refuse_at(
                place,
                node,
                "is no schema",
                "write a mapping",
            )
        kept: dict[str, Any] = {}
        for keyword, value in node.items():
            if keyword in _VALUES:
                kept[keyword] = value
            elif keyword in _SCHEMAS:
                inner_place = f"{place}/{keyword}"
                kept[keyword] = self._narrow_children(keyword, value, inner_place)
            elif keyword not in _ANNOTATIONS and not keyword.startswith("x-"):
                self._refuse_keyword(
                    keyword,
                    value,
                    f"{place}/{keyword}",
                )
        site = Site(
            argument=self._argument,
            root=self._root,
            node=node,
            place=place,
            is_closed=self._is_closed,
        )
        for rule in RULES:
            rule(site, kept)
        return kept

    def _narrow_children(
        self,
        keyword: str,
        value: Any,
        place: str,
    ) -> Any:
        if keyword in _ONE_SCHEMA:
            # Before draft 2020-12, a list of `items` was what `prefixItems` is now.
            if isinstance(value, list):
                self._refuse_at(
                    place,
                    value,
                    "is a list",
                    "write prefixItems",
                )
            return self._narrow_node(value, place)
        if keyword in _SCHEMA_LISTS:
            if not isinstance(value, list):
                self._refuse_at(
                    place,
                    value,
                    "is not a list",
                    "write a list of schemas",
                )
            narrowed: list[Any] = []
            for index, item in enumerate(value):
                narrowed.append(self._narrow_node(item, f"{place}/{index}"))
            return narrowed
        if not isinstance(value, dict):
            self._refuse_at(
                place,
                value,
                "is not a mapping",
                "write a mapping of schemas",
            )
        # The order of the properties is the order in which they are written.
        return {
            name: self._narrow_node(item, f"{place}/{name}")
            for name, item in value.items()
        }

    def _refuse_keyword(
        self,
        keyword: str,
        value: Any,
        place: str,
    ) -> NoReturn:
        if keyword in _REFUSED:
            problem = "cannot be enforced while decoding"
            self._refuse_at(
                place,
                value,
                problem,
                _REFUSED[keyword],
            )
        fix = nearest(keyword, _VALUES | _SCHEMAS)
        # Without a near name `nearest` lists them all, which is too long here.
        if not fix.startswith("did"):
            fix = "remove it"
        self._refuse_at(
            place,
            value,
            "is no keyword of JSON Schema",
            fix,
        )

    def _refuse_at(
        self,
        place: str,
        value: Any,
        problem: str,
        fix: str,
    ) -> NoReturn:
        refuse(
            f"{self._argument} at {place}",
            value,
            problem,
            fix,
        )


def _composes_objects(node: Any) -> bool:
    """Return whether a schema anywhere combines several schemas of one object.

    Then no object may be closed, as it would refuse the properties of another part.
    """
    if isinstance(node, list):
        return any(map(_composes_objects, node))
    if not isinstance(node, dict):
        return False
    composers = node.keys() & _COMPOSERS
    beside = node.keys() & _OBJECT_KEYWORDS
    # A lone `anyOf` or `$ref` stands for one schema at a time; `allOf` never does.
    if "allOf" in node or (composers and len(composers) + len(beside) > 1):
        return True
    return any(map(_composes_objects, node.values()))
