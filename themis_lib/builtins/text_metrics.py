"""How close a text is to the expected one, from 0 to 1.

The numbers are those of the libraries that papers report, of texts in Unicode's normal
form C. The expected output is a text
or a list of accepted texts. Values other than text count as their canonical JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from themis_lib.builtins.expected import ExpectedMetric, accepted_texts, shown
from themis_lib.builtins.libraries import LibraryBuiltin, imported, installed_version
from themis_lib.builtins.parsers import as_text
from themis_lib.builtins.text_forms import composed, folded, plain
from themis_lib.builtins.word_tokens import (
    is_chinese,
    is_mostly_ascii,
    is_unspaced,
    word_tokens,
)
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
        references = list(map(composed, accepted_texts(expected)))
        # A blank reference says nothing about any text, even beside others.
        has_text = all(map(str.strip, references))
        if not references or not has_text:
            return ScoreError(reason="the expected output is empty")
        return self._compare_text(composed(as_text(value)), references)

    def _compare_text(
        self,
        text: str,
        references: Sequence[str],
    ) -> Score | ScoreError:
        raise NotImplementedError


@dataclass(frozen=True)
class Bleu(LibraryBuiltin, _TextMetric):
    """Sentence-level BLEU by sacrebleu (Post 2018), divided by 100.

    BLEU is of Papineni et al. 2002, here with effective order. All references of a case
    count together. The mean over cases is not corpus-level BLEU, which pools n-grams.
    `smooth_value` is that of the methods `floor` and `add-k`; it defaults to
    sacrebleu's own.

    In scripts without spaces between words, only the tokenizers `zh` (Chinese) and
    `char` find words; with another one there is no score. `auto` takes them there, and
    else sacrebleu's default, `13a`.
    """

    component_id: ClassVar[str] = "builtin/bleu"
    version: ClassVar[str] = "2"
    libraries: ClassVar[tuple[str, ...]] = ("sacrebleu",)

    tokenize: Literal[
        "auto",
        "13a",
        "intl",
        "zh",
        "char",
        "none",
    ] = "auto"
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
    ) -> Score | ScoreError:
        texts = (*references, text)
        unspaced = list(filter(is_unspaced, texts))
        needed = "13a"
        # All texts by one tokenizer: else equal words would differ.
        if unspaced:
            needed = "zh" if is_chinese(" ".join(texts)) else "char"
        tokenize = needed if self.tokenize == "auto" else self.tokenize
        if unspaced and tokenize not in (needed, "char"):
            return ScoreError(
                reason=f"tokenize={tokenize!r} finds no words in {shown(unspaced[0])}; "
                f"set tokenize to {needed!r} or 'auto'"
            )
        score = imported("sacrebleu").sentence_bleu(
            text,
            references,
            smooth_method=self.smooth_method,
            smooth_value=self.smooth_value,
            lowercase=self.lowercase,
            tokenize=tokenize,
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
    version: ClassVar[str] = "2"
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
        return imported("sacrebleu.metrics").CHRF(
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

    `tokenize` says what makes words: `rouge` the letters `a` to `z` and digits, as in
    the reference implementation; `unicode` the letters and digits of every script, and
    each character of scripts without spaces and of texts without words. `auto` is
    `rouge` for texts whose letters are mostly of ASCII, else `unicode`. The stemmer is
    for English words, by `rouge`.
    """

    component_id: ClassVar[str] = "builtin/rouge"
    version: ClassVar[str] = "2"
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
    tokenize: Literal[
        "auto",
        "rouge",
        "unicode",
    ] = "auto"

    @cached_property
    def _library_scorer(self) -> Any:
        from rouge_score.rouge_scorer import RougeScorer

        return RougeScorer(
            [self.which],
            use_stemmer=self.use_stemmer,
        )

    @cached_property
    def _unicode_scorer(self) -> Any:
        from rouge_score.rouge_scorer import RougeScorer

        return RougeScorer(
            [self.which],
            tokenizer=_UnicodeTokenizer(),
        )

    def _compare_text(
        self,
        text: str,
        references: Sequence[str],
    ) -> Score | ScoreError:
        foreign = [it for it in (*references, text) if not is_mostly_ascii(it)]
        if foreign and self.tokenize == "rouge":
            return ScoreError(
                reason="tokenize='rouge' reads the letters a to z and digits alone: "
                f"{shown(foreign[0])}; set tokenize to 'unicode'"
            )
        # Of punctuation the reference implementation sees nothing.
        has_words = all(map(word_tokens, references))
        if self.tokenize == "unicode" or foreign or not has_words:
            scorer = self._unicode_scorer
        else:
            scorer = self._library_scorer
        scores = scorer.score_multi(references, text)
        best = scores[self.which]
        details = {
            "precision": best.precision,
            "recall": best.recall,
        }
        return Score(
            value=best.fmeasure,
            details=details,
        )


class _UnicodeTokenizer:
    """The words of a text in any script, or its characters if it has no words."""

    def tokenize(self, text: str) -> list[str]:
        visible = folded(text)
        # A text of invisible characters alone is not empty.
        return word_tokens(visible) or list("".join((visible or text).split()))


@dataclass(frozen=True)
class EditSimilarity(_TextMetric):
    """1 minus the Levenshtein distance over the length of the longer text.

    Both are in characters; by rapidfuzz. Of several references the closest counts. How
    accents are composed, invisible characters, typographic quotes and dashes, and wide
    letters make no difference.
    """

    # No `LibraryBuiltin`: the distance is defined exactly, in every version.
    component_id: ClassVar[str] = "builtin/edit_similarity"
    version: ClassVar[str] = "2"

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
    ) -> Score | ScoreError:
        from rapidfuzz.distance.Levenshtein import normalized_similarity

        normalise = folded if self.ignore_case else plain
        text = normalise(text)
        best = 0.0
        for reference in references:
            wanted = normalise(reference)
            # Nothing but invisible characters.
            if not wanted.strip():
                return ScoreError(reason="the expected output is empty")
            similarity = normalized_similarity(text, wanted)
            best = max(best, similarity)
        return Score(value=best)
