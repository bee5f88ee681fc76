"""The tokenizer keeps every text, and its template is the one that is trained."""

from __future__ import annotations

import jinja2
import pytest

pytest.importorskip("tokenizers")

from themis_lib.engine.tiny.tokenizer import (
    CHAT_TEMPLATE,
    CONTROLS,
    END,
    VOCABULARY,
    Turn,
    learn_tokenizer,
    merges,
    render,
    render_request,
    vocabulary,
)

TEXTS = [f"The cat number {number} sat on mat {number * 7}." for number in range(300)]


@pytest.fixture(scope="module")
def tokenizer():
    """A tokenizer of a small corpus."""
    return learn_tokenizer(TEXTS)


@pytest.mark.parametrize(
    "text", ["The cat", "  a\n\n b", "日本 😀 é", "\x00\t", "12.5"]
)
def test_every_text_survives(tokenizer, text):
    """Bytes that the corpus does not have are tokens, too."""
    assert text == tokenizer.decode(tokenizer.encode(text).ids)


def test_each_digit_is_a_token(tokenizer):
    """Numbers that come up often are not merged."""
    assert ["1", "2", "3"] == tokenizer.encode("123").tokens


def test_the_controls_come_first(tokenizer):
    """Their ids begin at 0, in their order."""
    tokens = vocabulary(tokenizer)

    assert list(CONTROLS) == tokens[: len(CONTROLS)]
    assert len(tokens) <= VOCABULARY
    assert len(tokens) == len(CONTROLS) + 256 + len(merges(tokenizer))


def test_a_conversation_is_what_the_template_writes():
    """llama.cpp renders the template; training renders with `render`."""
    turns = [Turn("2 + 2 =", "4"), Turn("And 3?", "7")]
    messages = [{"role": "system", "content": "Be brief."}]
    for turn in turns:
        messages.append({"role": "user", "content": turn.prompt})
        messages.append({"role": "assistant", "content": turn.answer})

    written = jinja2.Template(CHAT_TEMPLATE).render(messages=messages)

    assert written == render(turns, "Be brief.")


def test_a_request_ends_where_the_answer_begins():
    """The answer and its end follow the request."""
    whole = render([Turn("2 + 2 =", "4")])

    assert whole == render_request("2 + 2 =") + "4" + END
