"""How close a text is to the expected one, by the libraries whose numbers papers
report; all from 0 to 1.

The expected output is a text or a list of texts any of which is right. What is no text
counts as its canonical JSON.
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
    """A metric of a text against one or more references."""

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        references = accepted_texts(expected)
        if not references or not all(map(str.strip, references)):
            return ScoreError(reason="the expected output is empty")
        return self._compare_texts(as_text(value), references)

    def _compare_texts(
        self,
        text: str,
        references: Sequence[str],
    ) -> Score:
        raise NotImplementedError


@dataclass(frozen=True)
class Bleu(LibraryBuiltin, _TextMetric):
    """Sentence-level BLEU (Papineni et al. 2002) with effective order, by sacrebleu
    (Post 2018), divided by 100.

    All references of a case count together. The mean over cases is not corpus-level
    BLEU, which pools n-grams. `smooth_value` is that of the methods `floor` and
    `add-k`; without it sacrebleu's own.
    """

    component_id: ClassVar[str] = "builtin/bleu"
    version: ClassVar[str] = "1"
    libraries: ClassVar[tuple[str, ...]] = ("sacrebleu",)

    tokenize: Literal["13a", "intl", "zh", "char", "none"] = "13a"
    lowercase: bool = False
    smooth_method: Literal["exp", "floor", "add-k", "none"] = "exp"
    smooth_value: NonNegativeFloat | None = None

    def _compare_texts(
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
            use_effective_order=True,
        )
        return Score(value=min(score.score / 100, 1.0))


@dataclass(frozen=True)
class Chrf(LibraryBuiltin, _TextMetric):
    """Sentence-level chrF (Popović 2015) by sacrebleu (Post 2018), divided by 100; of
    several references the best.

    With `word_order` 2 it is chrF++ (Popović 2017). The mean over cases is not
    corpus-level chrF, which pools n-grams.
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

    def _compare_texts(
        self,
        text: str,
        references: Sequence[str],
    ) -> Score:
        return Score(
            value=min(
                self._library_scorer.sentence_score(text, references).score / 100, 1.0
            )
        )


@dataclass(frozen=True)
class Rouge(LibraryBuiltin, _TextMetric):
    """The F1 of ROUGE (Lin 2004) by rouge-score: of words, pairs of words or the
    longest common subsequence.

    `rougeLsum` takes each line for a sentence. Precision and recall are in the details;
    of several references the one with the best F1 counts. Only `a` to `z` and digits
    make words: a text in another script scores 0.
    """

    component_id: ClassVar[str] = "builtin/rouge"
    version: ClassVar[str] = "1"
    libraries: ClassVar[tuple[str, ...]] = ("rouge-score", "nltk")

    which: Literal["rouge1", "rouge2", "rougeL", "rougeLsum"] = "rougeL"
    use_stemmer: bool = False

    @cached_property
    def _library_scorer(self) -> Any:
        from rouge_score.rouge_scorer import RougeScorer

        return RougeScorer([self.which], use_stemmer=self.use_stemmer)

    def _compare_texts(
        self,
        text: str,
        references: Sequence[str],
    ) -> Score:
        best = self._library_scorer.score_multi(references, text)[self.which]
        return Score(
            value=best.fmeasure,
            details={"precision": best.precision, "recall": best.recall},
        )


@dataclass(frozen=True)
class EditSimilarity(_TextMetric):
    """1 minus the Levenshtein distance in characters over the length of the longer
    text, by rapidfuzz.

    Of several references the closest counts.
    """

    component_id: ClassVar[str] = "builtin/edit_similarity"
    version: ClassVar[str] = "1"

    ignore_case: bool = False

    def check_settings(self) -> None:
        """Raises `ComponentError` for a setting of another type, and where rapidfuzz is
        not installed.
        """
        super().check_settings()
        installed_version("rapidfuzz", where=self.component_id)

    def _compare_texts(
        self,
        text: str,
        references: Sequence[str],
    ) -> Score:
        from rapidfuzz.distance.Levenshtein import normalized_similarity

        fold = str.casefold if self.ignore_case else str
        return Score(
            value=max(
                normalized_similarity(fold(text), fold(reference))
                for reference in references
            )
        )
