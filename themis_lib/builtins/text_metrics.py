"""How close a text is to the expected one, from 0 to 1.

The numbers are those of the libraries that papers report. The expected output is a text
or a list of accepted texts. Values other than text count as their canonical JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from themis_lib.builtins.expected import ExpectedMetric, accepted_texts
from themis_lib.builtins.libraries import LibraryBuiltin, installed_version
from themis_lib.builtins.parsers import as_text
from themis_lib.core.models import Score, ScoreError


class _TextMetric(ExpectedMetric):
    """A metric of a text against one or more references.

    Subclasses implement `_compare_text`.
    """

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        references = accepted_texts(expected)
        # A blank reference says nothing about any text, even beside others.
        has_text = all(map(str.strip, references))
        if not references or not has_text:
            return ScoreError(reason="the expected output is empty")
        return self._compare_text(as_text(value), references)

    def _compare_text(
        self,
        text: str,
        references: Sequence[str],
    ) -> Score:
        raise NotImplementedError


@dataclass(frozen=True)
class Bleu(LibraryBuiltin, _TextMetric):
    """Sentence-level BLEU by sacrebleu (Post 2018), divided by 100.

    BLEU is of Papineni et al. 2002, here with effective order. All references of a case
    count together. The mean over cases is not corpus-level BLEU, which pools n-grams.
    `smooth_value` is that of the methods `floor` and `add-k`; it defaults to
    sacrebleu's own.
    """

    component_id: ClassVar[str] = "builtin/bleu"
    version: ClassVar[str] = "1"
    libraries: ClassVar[tuple[str, ...]] = ("sacrebleu",)

    tokenize: Literal[
        "13a",
        "intl",
        "zh",
        "char",
        "none",
    ] = "13a"
    lowercase: bool = False
    smooth_method: Literal[
        "exp",
        "floor",
        "add-k",
        "none",
    ] = "exp"
    smooth_value: NonNegativeFloat | None = None

    def _compare_text(
        self,
        text: str,
        references: Sequence[str],
    ) -> Score:
        from sacrebleu import sentence_bleu

        score = sentence_bleu(
            text,
            references,
            smooth_method=self.smooth_method,
            smooth_value=self.smooth_value,
            lowercase=self.lowercase,
            tokenize=self.tokenize,
            # Single sentences are often too short to have 4-grams.
            use_effective_order=True,
        )
        # Rounding in the library can leave 100.00000000000004.
        return Score(value=min(score.score / 100, 1.0))


@dataclass(frozen=True)
class Chrf(LibraryBuiltin, _TextMetric):
    """Sentence-level chrF (Popović 2015) by sacrebleu (Post 2018), divided by 100.

    Of several references the best counts. With `word_order` 2 it is chrF++ (Popović
    2017). The mean over cases is not corpus-level chrF, which pools n-grams.
    """

    component_id: ClassVar[str] = "builtin/chrf"
    version: ClassVar[str] = "1"
    libraries: ClassVar[tuple[str, ...]] = ("sacrebleu",)

    char_order: PositiveInt = 6
    word_order: NonNegativeInt = 0
    beta: PositiveInt = 2
    lowercase: bool = False
    whitespace: bool = False
    eps_smoothing: bool = False

    # The library is an optional extra, so it is imported where it is used.
    @cached_property
    def _library_scorer(self) -> Any:
        from sacrebleu.metrics.chrf import CHRF

        return CHRF(
            char_order=self.char_order,
            word_order=self.word_order,
            beta=self.beta,
            lowercase=self.lowercase,
            whitespace=self.whitespace,
            eps_smoothing=self.eps_smoothing,
        )

    def _compare_text(
        self,
        text: str,
        references: Sequence[str],
    ) -> Score:
        score = self._library_scorer.sentence_score(text, references)
        return Score(value=min(score.score / 100, 1.0))


@dataclass(frozen=True)
class Rouge(LibraryBuiltin, _TextMetric):
    """The F1 of ROUGE (Lin 2004) by rouge-score.

    `which` counts words (`rouge1`), pairs of words (`rouge2`) or the longest common
    subsequence (`rougeL`); `rougeLsum` takes each line for a sentence. Precision and
    recall are in the details. Of several references the one with the best F1 counts.
    Only `a` to `z` and digits make words: a text in another script scores 0.
    """

    component_id: ClassVar[str] = "builtin/rouge"
    version: ClassVar[str] = "1"
    # nltk has the stemmer, and can change a score as well.
    libraries: ClassVar[tuple[str, ...]] = (
        "rouge-score",
        "nltk",
    )

    which: Literal[
        "rouge1",
        "rouge2",
        "rougeL",
        "rougeLsum",
    ] = "rougeL"
    use_stemmer: bool = False

    @cached_property
    def _library_scorer(self) -> Any:
        from rouge_score.rouge_scorer import RougeScorer

        return RougeScorer(
            [self.which],
            use_stemmer=self.use_stemmer,
        )

    def _compare_text(
        self,
        text: str,
        references: Sequence[str],
    ) -> Score:
        scores = self._library_scorer.score_multi(references, text)
        best = scores[self.which]
        details = {
            "precision": best.precision,
            "recall": best.recall,
        }
        return Score(
            value=best.fmeasure,
            details=details,
        )


@dataclass(frozen=True)
class EditSimilarity(_TextMetric):
    """1 minus the Levenshtein distance over the length of the longer text.

    Both are in characters; by rapidfuzz. Of several references the closest counts.
    """

    # No `LibraryBuiltin`: the distance is defined exactly, in every version.
    component_id: ClassVar[str] = "builtin/edit_similarity"
    version: ClassVar[str] = "1"

    ignore_case: bool = False

    def check_settings(self) -> None:
        """Raise `ComponentError` for a mistyped setting, or if rapidfuzz is missing."""
        super().check_settings()
        installed_version(
            "rapidfuzz",
            where=self.component_id,
        )

    def _compare_text(
        self,
        text: str,
        references: Sequence[str],
    ) -> Score:
        from rapidfuzz.distance.Levenshtein import normalized_similarity

        fold = str.casefold if self.ignore_case else str
        text = fold(text)
        best = 0.0
        for reference in references:
            similarity = normalized_similarity(text, fold(reference))
            best = max(best, similarity)
        return Score(value=best)
