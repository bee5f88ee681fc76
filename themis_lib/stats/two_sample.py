"""Whether two samples of each group are from one distribution: MMD, by permutation.

The maximum mean discrepancy compares how alike two items of the same sample are with how
alike two of different samples are, by a kernel (Gretton et al. 2012, "A kernel
two-sample test"). Where the items are texts that a model wrote to prompts, each prompt is
a group of its own, and labels are permuted within it: so no difference between prompts
counts (Gao, Liang and Guestrin 2025, "Model equality testing: which model is this API
serving?"). Items that were drawn with one seed are a block of their group, and labels
are permuted within blocks: seeds may be shared by all groups, whose items are then not
independent of each other, but for given seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from themis_lib.stats.clusters import Floats

#: Statistics that differ by less are the same, added in another order.
_SAME = 1e-12


@dataclass(frozen=True)
class KernelGroup:
    """The items of one group: how alike each two are, the first `first` of one sample.

    `kernel` is square and symmetric, with a row for each item, the first sample's before
    the second's. `blocks` has a number for each item: only items of one block could as
    well be of the other sample. Without it, all are one block.
    """

    kernel: Floats
    first: int
    blocks: Sequence[int] | None = None

    @property
    def own_labels(self) -> npt.NDArray[np.bool_]:
        """Which items are of the first sample."""
        return np.arange(len(self.kernel)) < self.first

    @property
    def is_of_block(self) -> npt.NDArray[np.bool_]:
        """Which items are in each block, a row for each block."""
        blocks = np.zeros(len(self.kernel)) if self.blocks is None else self.blocks
        names, block = np.unique(blocks, return_inverse=True)
        return np.asarray(block[None, :] == np.arange(len(names))[:, None])


@dataclass(frozen=True)
class TwoSampleTest:
    """The mean discrepancy of all groups, each group's own, and how rare it is by chance.

    A discrepancy is given less its mean over all labellings, so that it is 0 on average
    if both samples are from one distribution. Without a group that says anything, the
    p-value is 1.
    """

    effect: float
    p_value: float
    of_groups: list[float]


def mmd_test(
    groups: Sequence[KernelGroup],
    *,
    resamples: int = 9_999,
    seed: int = 0,
) -> TwoSampleTest:
    """Return the permutation test of the hypothesis that no group's samples differ.

    A group's discrepancy is the unbiased MMD² (Gretton et al. 2012, equation 3). Where
    one sample has a single item, how alike those of the other are stands for both: so
    each group needs a second item on one side. That falls short where the other sample
    is the more varied one, so that with such groups both tails count. Of the drawn
    labellings the observed one is one more (Phipson and Smyth 2010), so that the level
    is kept for any sizes. Raise `ValueError` for a group that is too small.
    """
    random = np.random.default_rng(seed)
    observed = []
    permuted = np.zeros(resamples)
    for group in groups:
        size = len(group.kernel)
        if size < 3 or not 0 < group.first < size:
            raise ValueError(
                f"a group has {group.first} of {size} items in its first sample; each "
                "sample needs one, and one of them two"
            )
        own = group.own_labels[None, :]
        expected = _expected_discrepancy(group)
        observed.append(float(_discrepancies(group, own)[0]) - expected)
        # Items that are all alike say nothing, whatever their labels.
        if np.ptp(group.kernel[~np.eye(size, dtype=bool)]) > _SAME:
            drawn = np.repeat(own, resamples, axis=0)
            for of_block in group.is_of_block:
                drawn[:, of_block] = random.permuted(drawn[:, of_block], axis=1)
            permuted += _discrepancies(group, drawn) - expected
    if not observed:
        return TwoSampleTest(0.0, 1.0, [])
    total, same = sum(observed), _SAME * len(groups)
    above = 1 + int((permuted >= total - same).sum())
    below = 1 + int((permuted <= total + same).sum())
    as_far = above
    if any(
        group.first == 1 or group.first == len(group.kernel) - 1 for group in groups
    ):
        as_far = min(2 * min(above, below), 1 + resamples)
    return TwoSampleTest(
        effect=total / len(observed),
        p_value=as_far / (1 + resamples),
        of_groups=observed,
    )


def _discrepancies(
    group: KernelGroup,
    is_first: npt.NDArray[np.bool_],
) -> Floats:
    """Return the discrepancy of a group under each labelling, a row for each."""
    kernel = group.kernel - np.diag(np.diag(group.kernel))
    first = is_first.astype(np.float64)
    second = 1 - first
    return _discrepancy(
        group,
        ((first @ kernel) * first).sum(axis=1),
        ((second @ kernel) * second).sum(axis=1),
        ((first @ kernel) * second).sum(axis=1),
    )


def _expected_discrepancy(group: KernelGroup) -> float:
    """Return the mean discrepancy of a group over all labellings within its blocks."""
    kernel = group.kernel - np.diag(np.diag(group.kernel))
    of_block = group.is_of_block.astype(np.float64)
    sizes = of_block.sum(axis=1) @ of_block
    firsts = (of_block @ group.own_labels) @ of_block
    is_same = (of_block.T @ of_block).astype(bool)
    chance = firsts / sizes
    pairs = sizes * np.maximum(sizes - 1, 1)
    # The chances that of two items both are first, and that only the one is.
    both = np.where(is_same, firsts * (firsts - 1) / pairs, np.outer(chance, chance))
    one = chance[:, None] - both
    neither = 1 - chance[:, None] - chance[None, :] + both
    sums = [(kernel * chances).sum() for chances in (both, neither, one)]
    return float(_discrepancy(group, *sums))


def _discrepancy(
    group: KernelGroup,
    first: Floats,
    second: Floats,
    across: Floats,
) -> Floats:
    """Return the discrepancy from sums of the kernel: within both samples, and across."""
    sizes = group.first, len(group.kernel) - group.first
    within = []
    for total, size in zip((first, second), sizes, strict=True):
        if size > 1:
            within.append(total / (size * (size - 1)))
    mean_across = across / (sizes[0] * sizes[1])
    return 2 * (np.mean(within, axis=0) - mean_across)  # type: ignore[no-any-return]
