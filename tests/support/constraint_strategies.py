"""Hypothesis strategies of patterns and schemas, and schemas that compose others."""

from __future__ import annotations

import re

from hypothesis import strategies as st

LITERALS = st.text(
    st.sampled_from("ab1 .*+?()[]{}|^$\\/-\"'#é日😀\n"), min_size=1, max_size=3
).map(re.escape)
CLASSES = st.sampled_from(
    [
        r".",
        r"\d",
        r"\w",
        r"\s",
        r"\D",
        r"\W",
        r"\S",
        r"[a-c]",
        r"[^a-z]",
        r"[\d_]",
        r"[^\d]",
        r"[\w.-]",
        r"[^\s\"]",
        r"[é-ü]",
        r"[日-本a]",
        r"[\]\\^-]",
        r"\x41",
        r"\t",
        r"[\S\n]",
        r"(?i:k)",
        r"(?s:.)",
    ]
)
QUANTIFIERS = st.sampled_from(
    ["?", "*", "+", "{2}", "{1,3}", "{2,}", "{0,2}", "*?", "+?", "??", "{1,2}?", "{0}"]
)


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join).map("(?:{})".format),
        inner.map("({})".format),
        st.tuples(inner, QUANTIFIERS).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    )


PATTERNS = st.recursive(LITERALS | CLASSES, combined, max_leaves=8)
ANCHORED = st.tuples(
    st.sampled_from(["", "^", r"\A"]), PATTERNS, st.sampled_from(["", "$", r"\Z"])
).map("".join)


SCALARS = st.one_of(
    st.sampled_from(
        [
            {"type": "null"},
            {"type": "boolean"},
            {"type": "number"},
            {"type": "integer"},
            {"type": "string"},
        ]
    ),
    st.builds(
        lambda kind, low, size: {"type": kind, "minimum": low, "maximum": low + size},
        st.sampled_from(["integer", "number"]),
        st.integers(-200, 200),
        st.integers(0, 300),
    ),
    st.builds(
        lambda low, size: {
            "type": "number",
            "exclusiveMinimum": low,
            "exclusiveMaximum": low + size,
        },
        st.sampled_from([0, -1.5, 3, 0.1]),
        st.sampled_from([1, 0.25, 100]),
    ),
    st.sampled_from(
        [
            {"type": "integer", "multipleOf": 7},
            {"type": "number", "multipleOf": 0.25, "minimum": 1},
        ]
    ),
    st.builds(
        lambda low, size: {"type": "string", "minLength": low, "maxLength": low + size},
        st.integers(0, 5),
        st.integers(0, 4),
    ),
    st.sampled_from(
        [
            {"type": "string", "pattern": r"^[a-z]+\d$"},
            {"type": "string", "pattern": r"\d-\d"},
            {"type": "string", "pattern": "^a|b$"},
            {"type": "string", "pattern": r"^\w+@\w+\.(com|org)$", "maxLength": 12},
            {"type": "string", "format": "date"},
            {"type": "string", "format": "email"},
        ]
    ),
    st.lists(
        st.sampled_from(
            ["x", 'q"', "back\\", "é", 1, 2.5, True, None, [1, "a"], {"k": 1}]
        ),
        min_size=1,
        max_size=3,
    ).map(lambda values: {"enum": values}),
    st.sampled_from(["x", 7, None, {"k": ["v"]}]).map(lambda value: {"const": value}),
    st.just({"$ref": "#/$defs/node"}),
)


def nested(inner: st.SearchStrategy[dict]) -> st.SearchStrategy[dict]:
    names = st.sampled_from(["a", "b", 'c"', "dé", "a longer name"])
    return st.one_of(
        st.builds(
            lambda members, required, others: {
                "type": "object",
                "properties": members,
                "required": [name for name in members if name in required],
                **others,
            },
            st.dictionaries(names, inner, max_size=4),
            st.sets(names),
            st.sampled_from(
                [
                    {},
                    {"additionalProperties": False},
                    {"additionalProperties": {"type": "integer"}},
                ]
            ),
        ),
        st.builds(
            lambda items, low, size: {
                "type": "array",
                "items": items,
                "minItems": low,
                "maxItems": low + size,
            },
            inner,
            st.integers(0, 3),
            st.integers(0, 3),
        ),
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
        st.lists(inner, min_size=1, max_size=2).map(
            lambda items: {
                "type": "array",
                "prefixItems": items,
                "minItems": len(items),
                "items": False,
            }
        ),
    )


NODE = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "below": {"type": "array", "items": {"$ref": "#/$defs/node"}},
    },
    "required": ["value"],
}
SCHEMAS = st.recursive(SCALARS, nested, max_leaves=6).map(
    lambda schema: {"$defs": {"node": NODE}, **schema}
)


PART = {"type": "object", "properties": {"a": {"type": "integer"}}}
LONG = {"properties": {"b": {"type": "string", "minLength": 30}}, "required": ["b"]}
COMPOSED = [
    {"allOf": [PART, LONG]},
    {
        "allOf": [
            {"type": "string", "pattern": "^a"},
            {"type": "string", "pattern": "z$", "maxLength": 6},
        ]
    },
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#"}}]},
    {
        "oneOf": [
            {**PART, "required": ["a"]},
            {"type": "array", "items": PART, "minItems": 2},
        ]
    },
    {
        "type": "object",
        "patternProperties": {r"^n_\w+$": {"type": "integer"}},
        "minProperties": 1,
    },
    {
        "type": "object",
        "properties": {"q": False, "b\n": {}},
        "additionalProperties": {"type": "boolean"},
    },
    {"type": "object", "required": ["z", "y"], "maxProperties": 3},
    {"type": ["string", "integer", "null"], "minLength": 2, "minimum": 5},
    {
        "$defs": {"p": {"type": "integer", "maximum": 9}},
        "$ref": "#/$defs/p",
        "minimum": 3,
    },
    {
        "$defs": {"node": NODE},
        "type": "object",
        "properties": {"n": {"$ref": "#/$defs/node"}},
        "required": ["n"],
    },
    {"type": "integer", "exclusiveMinimum": 3, "maximum": 17, "multipleOf": 5},
    {"type": "string", "pattern": "(?i)^yes|no$", "minLength": 4},
    True,
]
