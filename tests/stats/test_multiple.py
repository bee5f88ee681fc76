"""Holm's adjustment against its definition, statsmodels and a published value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from themis_lib.stats.multiple import holm


def test_holm_is_as_published() -> None:
    """Four p-values come out as in every text."""
    assert [0.03, 0.06, 0.06, 0.02] == pytest.approx(holm([0.01, 0.04, 0.03, 0.005]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_its_definition(p_values: list[float]) -> None:
    """Each p-value, times how many are not below it, and never less than one before it;
    at most 1.
    """
    order = np.argsort(p_values, kind="stable")
    scaled = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    expected = np.empty(len(p_values))
    expected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)

    assert expected == pytest.approx(holm(p_values))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    """Each adjusted p-value is statsmodels' one to the bit."""
    assert multipletests(p_values, method="holm")[1].tolist() == holm(p_values)


def test_what_was_not_tested_does_not_count() -> None:
    """A null is no test: it stays null, and the others are adjusted without it."""
    assert [None, 0.02, None] == holm([None, 0.02, None])
    assert [] == holm([])
