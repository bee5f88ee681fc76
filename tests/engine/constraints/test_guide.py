"""A guided text satisfies its constraint, however a model would have written it and
however little room it has.
"""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.constraint_strategies import ANCHORED, COMPOSED, NODE, SCHEMAS
from tests.support.vocabularies import POOR, TOKENIZER
from themis_lib.engine.constraints.constraint import Constraint, constraint
from themis_lib.engine.constraints.guide import Guide
from themis_lib.errors import ConfigError, InputError

jsonschema = pytest.importorskip("jsonschema")
llguidance = pytest.importorskip("llguidance")

FEW = settings(max_examples=30, derandomize=True)
TINY = Path(__file__).parents[3] / "themis_lib/engine/tiny/tiny.gguf"


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


@FEW
@given(SCHEMAS)
def test_a_text_is_valid_json_of_its_schema(schema):
    for text in texts(constraint(schema=schema), budgets=(2, 10, 40, 120)):
        jsonschema.validate(json.loads(text), schema)


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

    # `12` is one token, and so five of them write `120-1212`.
    with pytest.raises(ConfigError, match="takes 5 tokens; max_new_tokens is 4"):
        Guide(rule, TOKENIZER, max_tokens=4)
    assert Guide(rule, TOKENIZER, max_tokens=5)


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
