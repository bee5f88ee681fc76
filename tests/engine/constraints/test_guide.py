"""A guided text satisfies its constraint, however a model would have written it and
however little room it has.
"""

from __future__ import annotations

import functools
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from themis_lib.engine.constraints.closing import Closing
from themis_lib.engine.constraints.constraint import Constraint, constraint
from themis_lib.engine.constraints.guide import Guide
from themis_lib.errors import ConfigError, InputError

jsonschema = pytest.importorskip("jsonschema")
llguidance = pytest.importorskip("llguidance")

FEW = settings(max_examples=30, derandomize=True, deadline=None)
TINY = Path(__file__).parents[3] / "themis_lib/engine/tiny/tiny.gguf"


class Vocabulary:
    """Every byte and some longer pieces, read greedily; the first tokens are two ends
    of sequence.
    """

    eos_token_id = 0
    bos_token_id = None
    special_token_ids = (0, 1)
    pieces = (
        b"ab",
        b"12",
        b'"}',
        b'":',
        b'",',
        b"},{",
        b"true",
        b"null",
        b"hello",
        b" w",
        "é".encode(),
        b"[]",
        b"aaaa",
    )
    tokens = (b"</s>", b"<end>", *(bytes([byte]) for byte in range(256)), *pieces)

    def __call__(self, text: bytes | str) -> list[int]:
        rest, found = text.encode() if isinstance(text, str) else text, []
        while rest:
            size = next(size for size in (5, 4, 3, 2, 1) if rest[:size] in self.known)
            found.append(self.known[rest[:size]])
            rest = rest[size:]
        return found

    @functools.cached_property
    def known(self) -> dict[bytes, int]:
        return {piece: token for token, piece in enumerate(self.tokens)}


class WithoutLetters(Vocabulary):
    """A vocabulary that can write `ab` but neither letter alone."""

    tokens = (b"</s>", b"<end>", b"ab", b"abab", b"1")


TOKENIZER = llguidance.LLTokenizer(
    llguidance.TokenizerWrapper(Vocabulary()), eos_token=[0, 1]
)
POOR = llguidance.LLTokenizer(
    llguidance.TokenizerWrapper(WithoutLetters()), eos_token=[0, 1]
)


def written(
    rule: Constraint, *, seed: int, max_tokens: int, tokenizer=TOKENIZER
) -> tuple[str, int]:
    """What a model of random taste writes, greedily, and in how many tokens."""
    guide, random = (
        Guide(rule, tokenizer, max_tokens=max_tokens),
        np.random.default_rng(seed),
    )
    taken: list[int] = []
    taste = random.standard_normal(tokenizer.vocab_size)
    while not guide.finished and len(taken) < max_tokens:
        logits = taste + random.standard_normal(tokenizer.vocab_size)
        best = int(np.argmax(logits))
        if not guide.allows(best):
            best = int(np.argmax(np.where(guide.mask(), logits, -np.inf)))
        token = guide.admit(best)
        if token in tokenizer.eos_tokens:
            break
        taken.append(token)
    return tokenizer.decode_bytes(taken).decode("utf-8"), len(taken)


def texts(
    rule: Constraint, tokenizer=TOKENIZER, budgets=(1, 3, 8, 20, 60)
) -> list[str]:
    """What was written for each budget, after checking that a budget is refused or
    kept.
    """
    found = []
    for max_tokens in budgets:
        for seed in range(2):
            problem = ""
            try:
                text, size = written(
                    rule, seed=seed, max_tokens=max_tokens, tokenizer=tokenizer
                )
            except ConfigError as error:
                problem = str(error)
            if problem:
                assert (
                    int(
                        re.search(
                            r"shortest text found that satisfies it takes (\d+) tokens",
                            problem,
                        )[1]
                    )
                    > max_tokens
                )
                continue
            assert size <= max_tokens
            found.append(text)
    return found


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


@FEW
@given(ANCHORED)
def test_a_text_matches_its_whole_pattern(pattern):
    for text in texts(constraint(regex=pattern)):
        assert re.fullmatch(pattern, text), (pattern, text)


@FEW
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
        min_size=1,
        max_size=5,
        unique=True,
    )
)
def test_a_text_is_one_of_the_choices(choices):
    for text in texts(constraint(choices=choices)):
        assert text in choices


def test_a_choice_may_be_empty_or_begin_another_and_hold_anything():
    choices = [
        "",
        "a",
        "ab",
        'quote"',
        "line\nbreak",
        "back\\slash",
        "nul\0",
        "😀",
        "/re/",
        "\x7f",
        "</s>",
    ]

    found = {
        written(constraint(choices=choices), seed=seed, max_tokens=40)[0]
        for seed in range(400)
    }

    assert found <= set(choices)
    assert len(found) > 6


def test_the_shortest_choice_is_the_one_of_fewest_tokens():
    rule = constraint(choices=["xyz", "hello"])

    assert written(rule, seed=0, max_tokens=1) == ("hello", 1)


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


@FEW
@given(SCHEMAS)
def test_a_text_is_valid_json_of_its_schema(schema):
    for text in texts(constraint(schema=schema), budgets=(2, 10, 40, 120)):
        jsonschema.validate(json.loads(text), schema)


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


@FEW
@given(
    st.one_of(
        ANCHORED.map(lambda pattern: {"regex": pattern}),
        (SCHEMAS | st.sampled_from(COMPOSED)).map(lambda schema: {"schema": schema}),
    )
)
def test_what_is_called_enough_is_enough_everywhere(asked):
    rule = constraint(**asked)
    closing, random = Closing(rule, TOKENIZER), np.random.default_rng(0)
    matcher, place = llguidance.LLMatcher(TOKENIZER, rule.grammar), closing.start()

    for _ in range(25):
        plan = closing.shortest(matcher, place, 200)
        assert plan is not None
        assert len(plan) <= closing.enough(place)
        bits = np.unpackbits(
            np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little"
        )
        allowed = [token for token in np.flatnonzero(bits) if token > 1]
        if matcher.is_stopped() or not allowed:
            break
        token = int(random.choice(allowed))
        matcher.consume_token(token)
        place = closing.after(place, token)


@pytest.mark.parametrize("schema", COMPOSED)
def test_a_text_is_valid_json_of_a_composed_schema(schema):
    written_texts = texts(constraint(schema=schema), budgets=(4, 12, 50, 90))

    assert written_texts
    for text in written_texts:
        jsonschema.validate(json.loads(text), schema)


def test_any_object_stays_an_object():
    for text in texts(constraint(response_format={"type": "json_object"})):
        assert isinstance(json.loads(text), dict)


def test_a_vocabulary_without_single_letters_is_written_in_its_pieces():
    for text in texts(constraint(regex="(?:ab)+1"), POOR):
        assert re.fullmatch("(?:ab)+1", text)


def test_a_budget_below_the_shortest_text_is_refused_before_decoding():
    rule = constraint(regex=r"\d{3}-\d{4}")

    with pytest.raises(ConfigError, match="takes 8 tokens; max_new_tokens is 7"):
        Guide(rule, TOKENIZER, max_tokens=7)
    assert Guide(rule, TOKENIZER, max_tokens=8)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"x": {"$ref": "#"}}, "required": ["x"]},
        {"type": "string", "pattern": "^\x01$"},
    ],
)
def test_a_schema_that_no_text_satisfies_is_refused_before_decoding(schema):
    with pytest.raises(ConfigError, match="no text that satisfies it was found"):
        Guide(constraint(schema=schema), TOKENIZER, max_tokens=20)


def test_a_token_that_does_not_fit_is_replaced_by_one_that_ends_the_text():
    guide = Guide(constraint(regex=r"[a-z]+\d"), TOKENIZER, max_tokens=3)
    letter, end = TOKENIZER.tokenize_str("z")[0], TOKENIZER.eos_tokens[0]

    taken = [guide.admit(letter), guide.admit(letter)]
    last = guide.admit(letter)

    assert taken == [letter, letter]
    assert TOKENIZER.decode_str([last]).isdigit()
    assert guide.finished
    assert guide.mask().nonzero()[0].tolist() == [0, 1]
    assert guide.admit(end) == end


def test_with_nothing_left_an_end_is_taken_and_ends_cost_nothing():
    guide = Guide(constraint(regex="z+"), TOKENIZER, max_tokens=1)
    letter = TOKENIZER.tokenize_str("z")[0]

    assert guide.admit(letter) == letter
    assert not guide.finished
    assert guide.admit(letter) in TOKENIZER.eos_tokens
    assert guide.finished


def test_whatever_the_mask_has_is_allowed_and_nothing_else_follows():
    """Where text is forced the mask has only its usual spelling; `allows` takes every
    one.
    """
    rule = constraint(schema=NODE | {"$defs": {"node": NODE}})
    guide, random = Guide(rule, TOKENIZER, max_tokens=60), np.random.default_rng(3)

    while not guide.finished:
        mask = guide.mask()
        allowed = [
            token for token in range(TOKENIZER.vocab_size) if guide.allows(token)
        ]
        assert set(mask.nonzero()[0]) <= set(allowed)
        guide.admit(int(random.choice(allowed)))


def test_a_token_that_may_not_come_is_refused():
    guide = Guide(constraint(regex="a"), TOKENIZER, max_tokens=3)

    with pytest.raises(InputError, match="may not come next"):
        guide.admit(TOKENIZER.tokenize_str("b")[0])
    with pytest.raises(InputError, match="may not come next"):
        guide.admit(TOKENIZER.eos_tokens[1])


def test_the_same_tokens_in_give_the_same_out():
    rule = constraint(
        schema={"type": "array", "items": {"type": "string"}, "minItems": 3}
    )

    assert written(rule, seed=5, max_tokens=25) == written(rule, seed=5, max_tokens=25)


def test_without_a_guide_for_the_budget_a_text_ends_unfinished():
    """The negative control: masks alone keep a text possible, but do not bring it to
    its end.
    """
    rule = constraint(regex=r"[a-z]+\d")
    matcher = llguidance.LLMatcher(TOKENIZER, rule.grammar)
    letter = TOKENIZER.tokenize_str("z")[0]

    for _ in range(3):
        assert matcher.consume_token(letter)

    assert not matcher.is_accepting()


@pytest.fixture(scope="module")
def tiny():
    """The bundled model's vocabulary."""
    llama_cpp = pytest.importorskip("llama_cpp")
    if not TINY.exists():
        pytest.skip("the bundled model is not there")
    from llguidance.llamacpp import lltokenizer_from_vocab

    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(TINY).encode(), params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tokenizer = lltokenizer_from_vocab(llama_cpp.llama_model_get_vocab(model))
    yield tokenizer
    llama_cpp.llama_model_free(model)


@pytest.mark.parametrize(
    "asked",
    [
        {"regex": r"[a-z]+\d"},
        {"regex": r"\w+ \w+\."},
        {"choices": ["yes", "no", "yes, but"]},
        {"schema": {"$defs": {"node": NODE}, "$ref": "#/$defs/node"}},
        {
            "schema": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "n": {"type": "integer"}},
                "required": ["n"],
            }
        },
        {"response_format": {"type": "json_object"}},
    ],
)
def test_the_bundled_vocabulary_is_guided_too(tiny, asked):
    for text in texts(constraint(**asked), tiny, budgets=(2, 6, 15, 50)):
        if "regex" in asked:
            assert re.fullmatch(asked["regex"], text)
        elif "choices" in asked:
            assert text in asked["choices"]
        else:
            jsonschema.validate(
                json.loads(text), asked.get("schema", {"type": "object"})
            )
