"""JSON Schema as it can be decoded: what is kept, what is narrowed and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction
from typing import Any, NoReturn

from themis_lib.engine.constraints.patterns import translated
from themis_lib.engine.constraints.refusals import refuse
from themis_lib.errors import nearest

_KEPT = frozenset(
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
_COUNTS = frozenset(
    {
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "minProperties",
        "maxProperties",
    }
)
_NUMBERS = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
    }
)
_COMPOSERS = frozenset({"anyOf", "oneOf", "$ref"})
_TYPES = frozenset(
    {
        "null",
        "boolean",
        "number",
        "integer",
        "string",
        "array",
        "object",
    }
)

_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})"
_FOURTH = "(?:0[48]|[2468][048]|[13579][26])"
_DATE = (
    rf"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    rf"|02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:[0-9]{{2}}{_FOURTH}|{_FOURTH}00)-02-29)"
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
#: RFC 3339, and only days and seconds that exist; llguidance's own patterns know no
#: leap years.
_CALENDAR = {
    "date": f"^{_DATE}$",
    "time": f"^{_TIME}$",
    "date-time": f"^{_DATE}T{_TIME}$",
}
_FORMATS = frozenset(
    {
        *_CALENDAR,
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uuid",
    }
)

#: The integers a double holds exactly; llguidance computes with doubles.
_EXACT = 2**53
#: The significant digits, and those after the point, for which llguidance's number
#: ranges are right.
_DIGITS = 15


class Narrowing:
    """One schema made into one whose every keyword llguidance enforces; refuses what
    has no such form.
    """

    def __init__(
        self,
        argument: str,
        root: Any,
    ) -> None:
        self._argument = argument
        self._root = root
        self._closed = not _composes_objects(root)

    def schema(self) -> Any:
        return self._narrow_node(self._root, "#")

    def _narrow_node(
        self,
        node: Any,
        place: str,
    ) -> Any:
        if isinstance(node, bool):
            return node
        if not isinstance(node, dict):
            self._refuse_value(
                place,
                node,
                "is no schema",
                "write a mapping",
            )
        kept: dict[str, Any] = {}
        for keyword, value in node.items():
            if keyword in _KEPT:
                kept[keyword] = value
            elif keyword in _ONE_SCHEMA | _SCHEMA_LISTS | _SCHEMA_MAPS:
                kept[keyword] = self._narrow_children(
                    keyword, value, f"{place}/{keyword}"
                )
            elif keyword not in _ANNOTATIONS and not keyword.startswith("x-"):
                self._refuse_keyword(keyword, value, place)
        for rule in _RULES:
            rule(
                self,
                kept,
                node,
                place,
            )
        return kept

    def _narrow_children(
        self,
        keyword: str,
        value: Any,
        place: str,
    ) -> Any:
        if keyword in _ONE_SCHEMA:
            if isinstance(value, list):
                self._refuse_value(
                    place,
                    value,
                    "is a list",
                    "write prefixItems",
                )
            return self._narrow_node(value, place)
        if keyword in _SCHEMA_LISTS:
            if not isinstance(value, list):
                self._refuse_value(
                    place,
                    value,
                    "is not a list",
                    "write a list of schemas",
                )
            return [
                self._narrow_node(item, f"{place}/{index}")
                for index, item in enumerate(value)
            ]
        if not isinstance(value, dict):
            self._refuse_value(
                place,
                value,
                "is not a mapping",
                "write a mapping of schemas",
            )
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
            self._refuse_value(
                f"{place}/{keyword}",
                value,
                "cannot be enforced while decoding",
                _REFUSED[keyword],
            )
        known = _KEPT | _ONE_SCHEMA | _SCHEMA_LISTS | _SCHEMA_MAPS
        hint = nearest(keyword, known)
        fix = hint if hint.startswith("did") else "remove it"
        self._refuse_value(
            f"{place}/{keyword}",
            value,
            "is no keyword of JSON Schema",
            fix,
        )

    def _refuse_value(
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

    def _narrow_reference(
        self,
        kept: dict[str, Any],
        node: Any,
        place: str,
    ) -> None:
        if "$ref" in kept and self._resolve_reference(node) is None:
            self._refuse_value(
                f"{place}/$ref",
                kept["$ref"],
                "leads nowhere in this schema",
                "write #/$defs/<name>",
            )

    def _check_values(
        self,
        kept: dict[str, Any],
        node: Any,
        place: str,
    ) -> None:
        for keyword in _COUNTS & kept.keys():
            value = kept[keyword]
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                self._refuse_value(
                    f"{place}/{keyword}",
                    value,
                    "is no count",
                    "write 0 or more",
                )
        for keyword in _NUMBERS & kept.keys():
            if not isinstance(kept[keyword], int | float) or isinstance(
                kept[keyword], bool
            ):
                self._refuse_value(
                    f"{place}/{keyword}",
                    kept[keyword],
                    "is not a number",
                    "write the bound itself",
                )
        for keyword in ("required", "enum"):
            if not isinstance(kept.get(keyword, []), list):
                self._refuse_value(
                    f"{place}/{keyword}",
                    kept[keyword],
                    "is not a list",
                    "write a list",
                )

    def _narrow_types(
        self,
        kept: dict[str, Any],
        node: Any,
        place: str,
    ) -> None:
        types = kept.get("type", [])
        for name in types if isinstance(types, list) else [types]:
            if name not in _TYPES:
                self._refuse_value(
                    f"{place}/type",
                    name,
                    "is no type of JSON",
                    nearest(str(name), _TYPES),
                )

    def _narrow_literals(
        self,
        kept: dict[str, Any],
        node: Any,
        place: str,
    ) -> None:
        for keyword in (
            "const",
            "enum",
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
        ):
            for leaf in _iter_leaves(kept.get(keyword)):
                self._check_leaf(leaf, f"{place}/{keyword}")

    def _check_leaf(
        self,
        leaf: Any,
        place: str,
    ) -> None:
        if isinstance(leaf, int | float) and abs(leaf) > _EXACT:
            self._refuse_value(
                place,
                leaf,
                "is beyond 2**53, where numbers are not exact",
                "write it as a string",
            )
        if isinstance(leaf, float):
            _, digits, exponent = Decimal(repr(leaf)).normalize().as_tuple()
            if len(digits) > _DIGITS or int(exponent) < -_DIGITS:
                self._refuse_value(
                    place,
                    leaf,
                    f"has more than {_DIGITS} digits, where numbers are not exact",
                    "round it",
                )
        if isinstance(leaf, str) and re.search(r"[\x00-\x07\x0b\x0e-\x1f\x7f]", leaf):
            self._refuse_value(
                place,
                leaf,
                "has a control character, which cannot be written",
                "remove it",
            )

    def _narrow_bounds(
        self,
        kept: dict[str, Any],
        node: Any,
        place: str,
    ) -> None:
        """Make exclusive bounds of fractions inclusive: 4.99999999999999999 is below 5
        and reads as 5.
        """
        for side, sign in (("Minimum", 1), ("Maximum", -1)):
            bound = kept.get(f"exclusive{side}")
            if bound is None or kept.get("type") == "integer":
                continue
            del kept[f"exclusive{side}"]
            inside = _just_inside(bound, sign)
            other = kept.get(side.lower(), inside)
            kept[side.lower()] = max(inside, other) if sign > 0 else min(inside, other)

    def _narrow_multiple(
        self,
        kept: dict[str, Any],
        node: Any,
        place: str,
    ) -> None:
        factor = kept.get("multipleOf")
        if factor is None:
            return
        if factor <= 0 or Fraction(factor).denominator > 1024:
            fix = "use an integer, or a fraction such as 0.5 or 0.25"
            self._refuse_value(
                f"{place}/multipleOf",
                factor,
                "is not exact in binary, so no check agrees with it",
                fix,
            )
        if Fraction(factor).denominator == 1:
            types = kept.get("type", sorted(_TYPES - {"integer"}))
            names = types if isinstance(types, list) else [types]
            kept["type"] = sorted(
                {"integer" if name == "number" else name for name in names}
            )

    def _narrow_text(
        self,
        kept: dict[str, Any],
        node: Any,
        place: str,
    ) -> None:
        if "pattern" in kept:
            kept["pattern"] = self._narrow_pattern(kept["pattern"], f"{place}/pattern")
        name = kept.get("format")
        if name is None:
            return
        if name not in _FORMATS:
            self._refuse_value(
                f"{place}/format",
                name,
                "is not enforced",
                f"use one of {', '.join(sorted(_FORMATS))}",
            )
        if "pattern" in kept:
            self._refuse_value(
                f"{place}/format",
                name,
                "has a pattern beside it",
                "keep one of them",
            )
        if name in _CALENDAR:
            del kept["format"]
            kept["pattern"] = self._narrow_pattern(_CALENDAR[name], place)

    def _narrow_pattern(
        self,
        pattern: Any,
        place: str,
    ) -> str:
        if not isinstance(pattern, str):
            self._refuse_value(
                place,
                pattern,
                "is not a text",
                "write the pattern in quotes",
            )
        return f"^{translated(pattern, argument=f'{self._argument} at {place}', search=True).text}$"

    def _pattern_properties(
        self,
        kept: dict[str, Any],
        node: Any,
        place: str,
    ) -> None:
        patterns = kept.get("patternProperties")
        if patterns is None:
            return
        if (
            len(patterns) != 1
            or kept.get("properties")
            or kept.get("additionalProperties")
        ):
            fix = "use one pattern, and neither properties nor additionalProperties"
            self._refuse_value(
                f"{place}/patternProperties",
                patterns,
                "cannot be told apart from other keys",
                fix,
            )
        kept["patternProperties"] = {
            self._narrow_pattern(pattern, f"{place}/patternProperties"): value
            for pattern, value in patterns.items()
        }
        kept["additionalProperties"] = False

    def _narrow_counts(
        self,
        kept: dict[str, Any],
        node: Any,
        place: str,
    ) -> None:
        if kept.pop("uniqueItems", False) and kept.get("maxItems", 2) > 1:
            self._refuse_value(
                f"{place}/uniqueItems",
                True,
                "cannot be enforced while decoding",
                "remove it, or use properties",
            )
        least = kept.get("minProperties", 0)
        if least <= len(set(kept.get("required", []))):
            kept.pop("minProperties", None)
        elif least > 1:
            # A key may be written twice, and two that are one would count as two.
            self._refuse_value(
                f"{place}/minProperties",
                least,
                "cannot be enforced while decoding",
                "list the keys as required",
            )

    def _narrow_alternatives(
        self,
        kept: dict[str, Any],
        node: Any,
        place: str,
    ) -> None:
        options = kept.pop("oneOf", None)
        if options is None:
            return
        asked = node["oneOf"]
        for index, option in enumerate(asked):
            if not all(
                self._are_disjoint(option, other) for other in asked[index + 1 :]
            ):
                fix = "write anyOf, or give each a required property with its own const"
                self._refuse_value(
                    f"{place}/oneOf",
                    asked,
                    "has options that may hold together",
                    fix,
                )
        if "anyOf" in kept:
            self._refuse_value(
                f"{place}/oneOf",
                asked,
                "stands beside anyOf",
                "keep one of them",
            )
        kept["anyOf"] = options

    def _close_object(
        self,
        kept: dict[str, Any],
        node: Any,
        place: str,
    ) -> None:
        about_others = {
            "additionalProperties",
            "patternProperties",
            "minProperties",
            "maxProperties",
        }
        if self._closed and "properties" in kept and not about_others & kept.keys():
            required = kept.get("required", [])
            if set(required) <= kept["properties"].keys():
                kept["additionalProperties"] = False

    def _are_disjoint(
        self,
        one: Any,
        other: Any,
        depth: int = 0,
    ) -> bool:
        """Whether no value satisfies both, as far as types, constants and required
        properties tell.
        """
        one, other = self._resolve_reference(one), self._resolve_reference(other)
        if not isinstance(one, dict) or not isinstance(other, dict) or depth > 8:
            return False
        if not _type_names(one) & _type_names(other):
            return True
        mine, others = _allowed_strings(one), _allowed_strings(other)
        if mine is not None and others is not None:
            return not mine & others
        shared = set(one.get("required", [])) & set(other.get("required", []))
        if _type_names(one) != {"object"} or _type_names(other) != {"object"}:
            return False
        properties, further = one.get("properties", {}), other.get("properties", {})
        names = shared & properties.keys() & further.keys()
        return any(
            self._are_disjoint(properties[name], further[name], depth + 1)
            for name in sorted(names)
        )

    def _resolve_reference(self, node: Any) -> Any:
        """What a node's reference leads to, None where it leads nowhere."""
        for _ in range(32):
            if not isinstance(node, dict) or "$ref" not in node:
                return node
            node = pointed(self._root, node["$ref"])
        return None


def pointed(
    root: Any,
    pointer: Any,
) -> Any:
    """What a local JSON pointer such as `#/$defs/node` leads to through mappings, None
    where it leads nowhere.
    """
    if not isinstance(pointer, str) or not re.match(r"#(/|$)", pointer):
        return None
    for part in pointer.split("/")[1:]:
        root = (
            root.get(part.replace("~1", "/").replace("~0", "~"))
            if isinstance(root, dict)
            else None
        )
    return root


#: In this order: the later ones read what the earlier ones left.
_RULES: tuple[
    Callable[
        [
            Narrowing,
            dict[str, Any],
            Any,
            str,
        ],
        None,
    ],
    ...,
] = (
    Narrowing._narrow_reference,
    Narrowing._check_values,
    Narrowing._narrow_types,
    Narrowing._narrow_literals,
    Narrowing._narrow_bounds,
    Narrowing._narrow_multiple,
    Narrowing._narrow_text,
    Narrowing._pattern_properties,
    Narrowing._narrow_counts,
    Narrowing._narrow_alternatives,
    Narrowing._close_object,
)


def _composes_objects(node: Any) -> bool:
    """Whether a schema adds up several into one, so that closing one of them could
    contradict another.
    """
    if isinstance(node, list):
        return any(_composes_objects(item) for item in node)
    if not isinstance(node, dict):
        return False
    beside = node.keys() & (
        _COMPOSERS
        | {
            "properties",
            "required",
            "additionalProperties",
            "patternProperties",
        }
    )
    if "allOf" in node or (beside & _COMPOSERS and len(beside) > 1):
        return True
    return any(_composes_objects(value) for value in node.values())


def _just_inside(
    bound: float,
    sign: int,
) -> float:
    """The number next to an exclusive bound that is surely exact, upwards for a sign of
    1.

    >>> _just_inside(5, -1), _just_inside(0, 1)
    (4.999999999999, 1e-12)
    """
    places = max(0, min(12, _DIGITS - 1 - max(0, Decimal(repr(bound)).adjusted() + 1)))
    step = Decimal(1).scaleb(-places)
    rounding = ROUND_FLOOR if sign > 0 else ROUND_CEILING
    return float(Decimal(repr(bound)).quantize(step, rounding=rounding) + sign * step)


def _iter_leaves(value: Any) -> Iterable[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _iter_leaves(item)
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _iter_leaves(item)
    else:
        yield value


def _allowed_strings(node: dict[str, Any]) -> frozenset[str] | None:
    """The only strings a node allows, None where it allows anything else."""
    values = [node["const"]] if "const" in node else node.get("enum")
    if not isinstance(values, list) or not all(
        isinstance(value, str) for value in values
    ):
        return None
    return frozenset(values)


def _type_names(node: dict[str, Any]) -> frozenset[str]:
    if "type" in node:
        types = node["type"] if isinstance(node["type"], list) else [node["type"]]
        return frozenset("number" if name == "integer" else name for name in types)
    return (
        frozenset({"string"})
        if _allowed_strings(node) is not None
        else _TYPES - {"integer"}
    )
