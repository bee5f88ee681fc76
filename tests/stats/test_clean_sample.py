"""What a sample proves, against scipy and by the definition of the bound."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from themis_lib.stats.clean_sample import most_bad_rows


def test_clean_sample_of_299_proves_under_one_percent() -> None:
    """The textbook's 1 - 0.05^(1/n), of any large number of rows."""
    bound = most_bad_rows(10_000_000, sampled=299) / 10_000_000

    assert 1 - 0.05 ** (1 / 299) == pytest.approx(bound, abs=1e-4)
    assert bound < 0.01 < most_bad_rows(10_000_000, sampled=298) / 10_000_000


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_bound_is_the_last_that_the_sample_does_not_rule_out(
    data: st.DataObject,
) -> None:
    """One bad row more would show more bad ones with the confidence (scipy)."""
    rows = data.draw(st.integers(1, 400))
    sampled = data.draw(st.integers(0, rows))
    bad = data.draw(st.integers(0, sampled))

    most = most_bad_rows(rows, sampled=sampled, bad=bad)

    assert bad <= most <= rows - sampled + bad
    if most < rows - sampled + bad:
        assert hypergeom.cdf(bad, rows, most + 1, sampled) <= 0.05 + 1e-9
    if most > bad:
        assert hypergeom.cdf(bad, rows, most, sampled) > 0.05 - 1e-9


@pytest.mark.parametrize(("rows", "sampled", "bad"), [(5, 6, 0), (5, 3, 4), (5, 3, -1)])
def test_counts_of_no_sample_are_refused(rows: int, sampled: int, bad: int) -> None:
    with pytest.raises(ValueError, match="no sample"):
        most_bad_rows(rows, sampled=sampled, bad=bad)
