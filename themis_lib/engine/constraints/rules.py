"""Rules for the keywords of one node of a JSON Schema.

Each rule reads the keywords it is about and leaves them in a form that llguidance
enforces, or refuses them. A rule may change `kept`, the node as it will be decoded;
the node as it was given is `site.node`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from themis_lib.engine.constraints.alternatives import TYPES, are_disjoint
from themis_lib.engine.constraints.bounds import (
    LARGEST_EXACT,
    MOST_DIGITS,
    has_exact_digits,
    step_inside,
)
from themis_lib.engine.constraints.formats import CALENDAR, FORMATS
from themis_lib.engine.constraints.pointers import resolve_node
from themis_lib.engine.constraints.sites import Site
from themis_lib.errors import nearest

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
_BOUNDS = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
)
# Keywords by which an object speaks of properties that it does not list.
_ABOUT_OTHERS = frozenset(
    {
        "additionalProperties",
        "patternProperties",
        "minProperties",
        "maxProperties",
    }
)
# Control characters without an escape of one letter: \u is not allowed in the text, see
# `json_allowed_escapes` in `constraint.py`.
_UNWRITABLE = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f]")
# Multiples of halves, quarters, … down to this are exact in binary.
_MOST_PARTS = 1024


def check_reference(
    site: Site,
    kept: dict[str, Any],
) -> None:
    """Refuse a `$ref` that leads nowhere, other documents included."""
    if "$ref" in kept and resolve_node(site.root, site.node) is None:
        site.refuse(
            "$ref",
            kept["$ref"],
            "leads nowhere in this schema",
            "write #/$defs/<name>",
        )


def check_values(
    site: Site,
    kept: dict[str, Any],
) -> None:
    """Refuse counts, numbers and lists that are none; later rules rely on it."""
    # `True` is an integer in Python but no number in JSON.
    for keyword in sorted(_COUNTS & kept.keys()):
        value = kept[keyword]
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            site.refuse(
                keyword,
                value,
                "is no count",
                "write 0 or more",
            )
    for keyword in (*_BOUNDS, "multipleOf"):
        value = kept.get(keyword, 0)
        if not isinstance(value, int | float) or isinstance(value, bool):
            # Draft 4 had `exclusiveMinimum: true` beside the bound.
            site.refuse(
                keyword,
                value,
                "is not a number",
                "write the bound itself",
            )
    for keyword in ("required", "enum"):
        value = kept.get(keyword, [])
        if not isinstance(value, list):
            site.refuse(
                keyword,
                value,
                "is not a list",
                "write a list",
            )


def check_types(
    site: Site,
    kept: dict[str, Any],
) -> None:
    """Refuse a type that JSON does not have."""
    types = kept.get("type", [])
    names = types if isinstance(types, list) else [types]
    for name in names:
        if name not in TYPES:
            site.refuse(
                "type",
                name,
                "is no type of JSON",
                nearest(str(name), TYPES),
            )


def check_literals(
    site: Site,
    kept: dict[str, Any],
) -> None:
    """Refuse numbers that are not exact, and text that cannot be written."""
    for keyword in ("const", "enum", *_BOUNDS):
        for leaf in _yield_leaves(kept.get(keyword)):
            if isinstance(leaf, int | float) and abs(leaf) > LARGEST_EXACT:
                site.refuse(
                    keyword,
                    leaf,
                    "is beyond 2**53, where numbers are not exact",
                    "write it as a string",
                )
            if isinstance(leaf, float) and not has_exact_digits(leaf):
                site.refuse(
                    keyword,
                    leaf,
                    f"has more than {MOST_DIGITS} digits, where numbers are not exact",
                    "round it",
                )
            if isinstance(leaf, str) and _UNWRITABLE.search(leaf):
                site.refuse(
                    keyword,
                    leaf,
                    "has a control character, which cannot be written",
                    "remove it",
                )


def include_bounds(
    _site: Site,
    kept: dict[str, Any],
) -> None:
    """Make exclusive bounds of fractions inclusive.

    4.99999999999999999 is below 5 when it is written, but reads as 5.
    """
    # An integer has no such neighbour: its exclusive bounds are kept.
    if kept.get("type") == "integer":
        return
    for side, sign in (("Minimum", 1), ("Maximum", -1)):
        exclusive = kept.pop(f"exclusive{side}", None)
        if exclusive is None:
            continue
        inclusive = side.lower()
        inside = step_inside(exclusive, sign)
        # Where both bounds are given, the stricter one holds.
        other = kept.get(inclusive, inside)
        kept[inclusive] = max(inside, other) if sign > 0 else min(inside, other)


def check_multiple(
    site: Site,
    kept: dict[str, Any],
) -> None:
    """Refuse a `multipleOf` that is not exact; write multiples of integers as such."""
    factor = kept.get("multipleOf")
    if factor is None:
        return
    # A double is a fraction over a power of two: 0.25 a small one, 0.1 a large one.
    if factor <= 0 or Fraction(factor).denominator > _MOST_PARTS:
        site.refuse(
            "multipleOf",
            factor,
            "is not exact in binary, so no check agrees with it",
            "use an integer, or a fraction such as 0.5 or 0.25",
        )
    if Fraction(factor).denominator == 1:
        types = kept.get("type", sorted(TYPES - {"integer"}))
        names = set(types) if isinstance(types, list) else {types}
        if "number" in names:
            names.remove("number")
            names.add("integer")
        kept["type"] = sorted(names)


def translate_text(
    site: Site,
    kept: dict[str, Any],
) -> None:
    """Translate a `pattern`, and a `format` of the calendar to one; refuse others."""
    if "pattern" in kept:
        kept["pattern"] = site.translate_pattern(
            kept["pattern"],
            "pattern",
        )
    name = kept.get("format")
    if name is None:
        return
    if name not in FORMATS:
        known = ", ".join(sorted(FORMATS))
        site.refuse(
            "format",
            name,
            "is not enforced",
            f"use one of {known}",
        )
    # A format of the calendar becomes a pattern, and a string has only one.
    if "pattern" in kept:
        site.refuse(
            "format",
            name,
            "has a pattern beside it",
            "keep one of them",
        )
    if name in CALENDAR:
        del kept["format"]
        kept["pattern"] = site.translate_pattern(
            CALENDAR[name],
            "format",
        )


def translate_pattern_properties(
    site: Site,
    kept: dict[str, Any],
) -> None:
    """Translate the pattern of `patternProperties`, and allow no other properties."""
    patterns = kept.get("patternProperties")
    if patterns is None:
        return
    # A key that two patterns match, or a pattern and a list, has two schemas at once.
    is_alone = not kept.get("properties") and not kept.get("additionalProperties")
    if len(patterns) != 1 or not is_alone:
        site.refuse(
            "patternProperties",
            patterns,
            "cannot be told apart from other keys",
            "use one pattern, and neither properties nor additionalProperties",
        )
    [(pattern, value)] = patterns.items()
    translated = site.translate_pattern(
        pattern,
        "patternProperties",
    )
    kept["patternProperties"] = {translated: value}
    kept["additionalProperties"] = False


def check_counts(
    site: Site,
    kept: dict[str, Any],
) -> None:
    """Drop counts that hold anyway; refuse those a decoder cannot keep track of."""
    # Whether items differ is known only once they are written.
    if kept.pop("uniqueItems", False) and kept.get("maxItems", 2) > 1:
        site.refuse(
            "uniqueItems",
            True,
            "cannot be enforced while decoding",
            "remove it, or use properties",
        )
    least = kept.get("minProperties", 0)
    if least <= len(set(kept.get("required", []))):
        kept.pop("minProperties", None)
    elif least > 1:
        # A key may be written twice, and two that are one would count as two.
        site.refuse(
            "minProperties",
            least,
            "cannot be enforced while decoding",
            "list the keys as required",
        )


def merge_alternatives(
    site: Site,
    kept: dict[str, Any],
) -> None:
    """Write `oneOf` as `anyOf` where no two options can hold together."""
    options = kept.pop("oneOf", None)
    if options is None:
        return
    # Compared as they were given, like what their references lead to in the root.
    given = site.node["oneOf"]
    for index, option in enumerate(given):
        for other in given[index + 1 :]:
            if not are_disjoint(site.root, option, other):
                site.refuse(
                    "oneOf",
                    given,
                    "has options that may hold together",
                    "write anyOf, or give each a required property with its own const",
                )
    if "anyOf" in kept:
        site.refuse(
            "oneOf",
            given,
            "stands beside anyOf",
            "keep one of them",
        )
    kept["anyOf"] = options


def close_object(
    site: Site,
    kept: dict[str, Any],
) -> None:
    """Allow no further properties where an object lists some and mentions no others."""
    if not site.is_closed or "properties" not in kept or _ABOUT_OTHERS & kept.keys():
        return
    # A required property that is not listed would make a closed object impossible.
    if set(kept.get("required", [])) <= kept["properties"].keys():
        kept["additionalProperties"] = False


#: The rules in order: the later ones read what the earlier ones left.
RULES: tuple[Callable[[Site, dict[str, Any]], None], ...] = (
    check_reference,
    check_values,
    check_types,
    check_literals,
    include_bounds,
    check_multiple,
    translate_text,
    translate_pattern_properties,
    check_counts,
    merge_alternatives,
    close_object,
)


def _yield_leaves(value: Any) -> Iterator[Any]:
    """Yield the scalars of a JSON value, the keys of its objects included."""
    if isinstance(value, list):
        for item in value:
            yield from _yield_leaves(item)
    elif isinstance(value, dict):
        yield from value
        yield from _yield_leaves(list(value.values()))
    else:
        yield value
