"""The metrics of SQuAD's evaluation script, to the letter.

They know the punctuation of ASCII and English articles alone. For other scripts there
is `builtin/f1`.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

from themis_lib.builtins.expected import ExpectedMetric, accepted_texts
from themis_lib.builtins.parsers import as_text
from themis_lib.builtins.token_overlap import token_f1
from themis_lib.core.models import Score, ScoreError


class _SquadMetric(ExpectedMetric):
    """A metric of normalised texts, the best of the accepted answers.

    Subclasses implement `_compare_texts`.
    """

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        accepted = accepted_texts(expected)
        if not accepted:
            return ScoreError(reason="the expected output is empty")
        text = normalize_answer(as_text(value))
        scores = []
        for wanted in accepted:
            scores.append(self._compare_texts(text, normalize_answer(wanted)))
        return Score(value=max(scores))

    def _compare_texts(
        self,
        text: str,
        wanted: str,
    ) -> float:
        raise NotImplementedError


@dataclass(frozen=True)
class SquadExactMatch(_SquadMetric):
    """1 where the normalised texts are equal, else 0 (Rajpurkar et al. 2016).

    Of a list of accepted answers any counts. Values other than text count as their
    canonical JSON.
    """

    component_id: ClassVar[str] = "builtin/squad_em"
    version: ClassVar[str] = "1"

    def _compare_texts(
        self,
        text: str,
        wanted: str,
    ) -> float:
        return float(text == wanted)


@dataclass(frozen=True)
class SquadF1(_SquadMetric):
    """The F1 of the tokens in the normalised texts (Rajpurkar et al. 2016).

    Where either has none, both must be empty (SQuAD 2.0: Rajpurkar et al. 2018). Of a
    list of accepted answers the best counts. Values other than text count as their
    canonical JSON.
    """

    component_id: ClassVar[str] = "builtin/squad_f1"
    version: ClassVar[str] = "1"

    def _compare_texts(
        self,
        text: str,
        wanted: str,
    ) -> float:
        said = Counter(text.split())
        expected = Counter(wanted.split())
        if not said or not expected:
            return float(said == expected)
        return token_f1(said, expected)


_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Return a text as the function of this name in SQuAD's script does.

    >>> normalize_answer("The U.S.A., it's said")
    'usa its said'
    """
    text = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLE.sub(" ", text).split())
