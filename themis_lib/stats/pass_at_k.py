"""Unbiased estimates of pass@k and pass^k for one case, from n samples of which c
pass.
"""

from __future__ import annotations

import math


def pass_at_k(
    n: int,
    c: int,
    k: int,
) -> float | None:
    """Return the unbiased estimate of pass@k; `None` for n < k (Chen et al. 2021).

    >>> round(pass_at_k(10, 3, 5), 7), round(pass_at_k(200, 13, 10), 12), pass_at_k(4, 4, 5)
    (0.9166667, 0.497551114731, None)
    """
    if n < k:
        return None
    # Too few samples fail to fill a choice of k.
    if n - c < k:
        return 1.0
    # 1 - C(n-c, k) / C(n, k) as a product: the paper's form that does not overflow.
    none_passes = math.prod(1.0 - k / size for size in range(n - c + 1, n + 1))
    return 1.0 - none_passes


def all_pass(
    n: int,
    c: int,
    k: int,
) -> float | None:
    """Return the unbiased estimate of pass^k; `None` for n < k (Yao et al. 2024).

    >>> all_pass(4, 2, 2) == 1 / 6, all_pass(4, 4, 4), all_pass(4, 4, 5)
    (True, 1.0, None)
    """
    if n < k:
        return None
    return math.comb(c, k) / math.comb(n, k)
