"""The two-sample test by MMD: its statistic, its level, and its power."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import kstest

from themis_lib.stats.two_sample import KernelGroup, mmd_test


def group(items: np.ndarray, first: int) -> KernelGroup:
    """Numbers, as far apart as they are: the discrepancy is the energy distance."""
    return KernelGroup(-np.abs(items[:, None] - items[None, :]), first)


def test_statistic_is_unbiased_mmd() -> None:
    """Equation 3 of Gretton et al. (2012), pair by pair."""
    one, other = np.array([0.0, 1.0, 5.0]), np.array([2.0, 2.5])
    within = [
        -np.mean([abs(a - b) for a, b in combinations(x, 2)]) for x in (one, other)
    ]
    across = -np.mean([abs(a - b) for a in one for b in other])

    found = mmd_test([group(np.concatenate([one, other]), 3)], resamples=99)

    assert [pytest.approx(sum(within) - 2 * across)] == found.of_groups
    assert found.of_groups == [found.effect]


def test_p_value_is_that_of_all_labellings() -> None:
    """Of one stored and two new items, each is the odd one out in a third of them; both
    tails count.
    """
    found = mmd_test([group(np.array([9.0, 0.0, 0.1]), 1)], resamples=9_999)

    assert pytest.approx(2 / 3, abs=0.03) == found.p_value
    four = mmd_test([group(np.array([9.0, 0.0, 0.1]), 1)] * 4, resamples=9_999)
    assert pytest.approx(2 / 81, abs=0.006) == four.p_value
    pairs = mmd_test([group(np.array([9.0, 9.1, 0.0, 0.1]), 2)], resamples=9_999)
    assert pytest.approx(2 / 6, abs=0.02) == pairs.p_value


def test_model_that_became_more_varied_is_seen_with_one_stored_item_each() -> None:
    """The stored item then lies in the middle of the new ones too often."""
    wide = [group(np.array([0.0, -2.0 - at, 3.0 + at]), 1) for at in range(30)]

    found = mmd_test(wide)

    assert found.effect < 0
    assert found.p_value < 0.01


def test_groups_that_are_all_alike_say_nothing() -> None:
    """Temperature 0, and the same model: the p-value is 1."""
    alike = KernelGroup(np.ones((3, 3)), 1)

    assert 1.0 == mmd_test([alike, alike]).p_value
    assert (0.0, 1.0, []) == (
        (empty := mmd_test([])).effect,
        empty.p_value,
        empty.of_groups,
    )


def test_labels_are_permuted_within_blocks() -> None:
    """Two pairs have four labellings; the effect is 0 on average over them."""
    items = [0.0, 4.0, 1.0, 7.0]
    effects = []
    for order in ((0, 1, 2, 3), (2, 1, 0, 3), (0, 3, 2, 1), (2, 3, 0, 1)):
        numbers = group(np.array([items[at] for at in order]), 2)
        found = mmd_test([KernelGroup(numbers.kernel, 2, blocks=[0, 1, 0, 1])])
        effects.append(found.effect)
    best = KernelGroup(group(np.array(items), 2).kernel, 2, blocks=[0, 1, 0, 1])

    assert pytest.approx(0) == sum(effects)
    # The two samples are as far apart whichever is called the first.
    rank = sum(effect >= effects[0] - 1e-9 for effect in effects)
    assert pytest.approx(rank / 4, abs=0.03) == mmd_test([best]).p_value


def test_items_without_a_partner_keep_their_label() -> None:
    alone = KernelGroup(group(np.arange(4.0), 2).kernel, 2, blocks=[0, 1, 2, 3])

    assert (0.0, 1.0) == (mmd_test([alone]).effect, mmd_test([alone]).p_value)


@pytest.mark.parametrize(("size", "first"), [(2, 1), (3, 0), (3, 3)])
def test_groups_that_are_too_small_are_refused(size: int, first: int) -> None:
    with pytest.raises(ValueError, match="each sample needs one"):
        mmd_test([group(np.arange(float(size)), first)])


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 2), (3, 3), (10, 10)])
def test_p_values_are_uniform_if_nothing_changed(shape: tuple[int, int]) -> None:
    """1,000 pairs of equal samples, groups of different kinds: at 5 %, 5 % alarms."""
    random = np.random.default_rng(7)
    p_values = []
    for seed in range(1_000):
        groups = [
            group(random.normal(centre, 1 + centre, sum(shape)), shape[0])
            for centre in range(6)
        ]
        p_values.append(mmd_test(groups, resamples=199, seed=seed).p_value)

    # A p-value is one of 200: uniform on them, up to the chance of 1,000 draws.
    assert kstest(p_values, "uniform").pvalue > 0.001
    assert 0.03 < np.mean(np.array(p_values) <= 0.05) < 0.07


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 3])
def test_level_is_kept_where_groups_share_their_seeds(samples: int) -> None:
    """What a seed draws is the same in all groups: within blocks, 5 % alarms; without
    them, and with other seeds for the second sample, many more.
    """
    random = np.random.default_rng(9)
    alarms = np.zeros(2)
    for seed in range(300):
        stored, drawn = random.normal(size=samples), random.normal(size=2 * samples)
        blocked, free = [], []
        for _ in range(20):
            noise = random.normal(scale=0.3, size=3 * samples)
            same = np.concatenate([stored, np.repeat(stored, 2)])
            other = np.concatenate([stored, drawn])
            blocks = [*range(samples), *np.repeat(range(samples), 2)]
            blocked.append(
                KernelGroup(group(same + noise, samples).kernel, samples, blocks)
            )
            free.append(group(other + noise, samples))
        for at, groups in enumerate((blocked, free)):
            alarms[at] += mmd_test(groups, resamples=199, seed=seed).p_value <= 0.05

    assert alarms[0] / 300 < 0.09
    assert alarms[1] / 300 > 0.2


@pytest.mark.slow
def test_more_rows_see_smaller_changes() -> None:
    """Power grows with the groups and with the items of each."""
    random = np.random.default_rng(8)

    def power(shape: tuple[int, int], count: int) -> float:
        alarms = 0
        for seed in range(100):
            groups = [
                group(
                    np.concatenate(
                        [random.normal(0, 1, shape[0]), random.normal(1, 1, shape[1])]
                    ),
                    shape[0],
                )
                for _ in range(count)
            ]
            alarms += mmd_test(groups, resamples=199, seed=seed).p_value < 0.05
        return alarms / 100

    assert power((1, 2), 10) < power((1, 2), 40) < power((3, 3), 40)
    assert power((3, 3), 40) > 0.95
