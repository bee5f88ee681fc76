"""The forms of a text: what each of them takes for the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.builtins.text_forms import composed, folded, plain


@given(st.text())
@pytest.mark.parametrize("form", [composed, plain, folded])
def test_form_of_a_form_is_itself(form, text):
    """Comparing forms is an equivalence."""
    assert form(text) == form(form(text))


@given(st.text(st.characters(max_codepoint=127, exclude_characters="`")))
def test_ascii_is_plain(text):
    """But for the backtick, which many write for a quote."""
    assert text == plain(text)
    assert text.lower() == folded(text)


@given(st.text())
def test_each_form_takes_more_for_the_same(text):
    """What is composed alike is plain alike, and folded alike."""
    assert plain(text) == plain(composed(text))
    assert folded(text) == folded(plain(text))
