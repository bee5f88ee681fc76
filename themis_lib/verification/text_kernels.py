"""How alike two outputs of a model are, as kernels of two-sample tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from themis_lib.identity.digests import load_json_or_null
from themis_lib.stats.clusters import Floats

#: The first characters of a text that count (Gao, Liang and Guestrin 2025, section 4,
#: who take 1,000).
FIRST_CHARACTERS = 1000


def hamming_kernel(texts: Sequence[str]) -> Floats:
    """Return the share of places at which two texts have the same character.

    Of the first `FIRST_CHARACTERS` (Gao, Liang and Guestrin 2025), and of those only as
    many as the longest text has; a place that one text does not reach is no match.

    >>> hamming_kernel(["abcd", "abxd", "ab"]).tolist()
    [[1.0, 0.75, 0.5], [0.75, 1.0, 0.5], [0.5, 0.5, 1.0]]
    """
    cut = [text[:FIRST_CHARACTERS] for text in texts]
    longest = max(map(len, cut), default=0)
    if not longest:
        return np.ones((len(cut), len(cut)))
    # Ends of different texts match each other, as padding does.
    codes = np.zeros((len(cut), longest), dtype=np.int64)
    for row, text in enumerate(cut):
        codes[row, : len(text)] = [ord(character) + 1 for character in text]
    return np.asarray((codes[:, None, :] == codes[None, :, :]).mean(axis=2))


def first_token_kernel(tokens: Sequence[Mapping[str, float]]) -> Floats:
    """Return minus the distance between the probabilities of first tokens, two by two.

    It is the sum of absolute differences over the tokens that either names: with it, the
    discrepancy is the energy distance (Székely and Rizzo 2013).

    >>> first_token_kernel([{"a": 0.5}, {"a": 0.25, "b": 0.25}]).tolist()
    [[0.0, -0.5], [-0.5, 0.0]]
    """
    names = sorted({name for token in tokens for name in token})
    table = np.array([[token.get(name, 0.0) for name in names] for token in tokens])
    distances = np.abs(table[:, None, :] - table[None, :, :]).sum(axis=2)
    return np.asarray(0.0 - distances)


def first_token(artifacts: str | None) -> dict[str, float] | None:
    """Return the probabilities that a row's artifacts give for its first token.

    By token, of the likely ones and the one that was written; `None` where the row has
    no log-probabilities.

    >>> first_token('{"logprobs":[{"token":"4","logprob":0.0,"top_logprobs":[]}]}')
    {'4': 1.0}
    """
    if artifacts is None or '"logprobs":' not in artifacts:
        return None
    tokens = (load_json_or_null(artifacts) or {}).get("logprobs")
    if not isinstance(tokens, list) or not tokens:
        return None
    first: Any = tokens[0]
    found = {}
    for token in [*(first.get("top_logprobs") or ()), first]:
        if token.get("logprob") is not None:
            found[str(token.get("token"))] = math.exp(token["logprob"])
    return found or None
