"""Corpus-level scores of texts by sacrebleu: BLEU, chrF and TER, as papers report them.

A row keeps the counts of its text. The score is that of the counts of all rows, from 0
to 100 as sacrebleu has it. Texts are in Unicode's normal form C; the expected output is a
text or a list of accepted texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from themis_lib.builtins.expected import ExpectedMetric, accepted_texts, shown
from themis_lib.builtins.libraries import LibraryBuiltin, imported
from themis_lib.builtins.parsers import as_text
from themis_lib.builtins.text_forms import composed
from themis_lib.builtins.word_tokens import is_chinese, is_unspaced
from themis_lib.core.models import Score, ScoreError


class _SacrebleuMetric(LibraryBuiltin, ExpectedMetric):
    """A metric of sacrebleu over a data set.

    Subclasses make the library's scorers and name the counts that it keeps of a text.
    """

    libraries: ClassVar[tuple[str, ...]] = ("sacrebleu",)
    score_range = (0.0, 100.0)
    additive: ClassVar[bool] = True

    @cached_property
    def _corpus_scorer(self) -> Any:
        raise NotImplementedError

    @property
    def _row_scorer(self) -> Any:
        """The scorer of a single row, which may smooth what a corpus need not."""
        return self._corpus_scorer

    @cached_property
    def _count_names(self) -> tuple[str, ...]:
        raise NotImplementedError

    def _refusal(self, texts: Sequence[str]) -> str | None:
        """Return why texts have no score; `None` if they have one."""
        return None

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        references = _references(expected)
        if references is None:
            return ScoreError(reason="the expected output is empty")
        text = composed(as_text(value))
        refusal = self._refusal((*references, text))
        if refusal is not None:
            return ScoreError(reason=refusal)
        score = self._row_scorer.sentence_score(text, references).score
        # Rounding in the library can leave 100.00000000000004.
        highest = self.score_range[1] if self.score_range else score
        return Score(value=min(score, highest), details=self._counts(text, references))

    def unanswered(self, expected_output: Any) -> Mapping[str, Any] | None:
        """Return the counts of an empty text, which a case without an answer counts as."""
        references = _references(expected_output)
        return None if references is None else self._counts("", references)

    def corpus_score(self, rows: Sequence[Mapping[str, Any]]) -> float:
        """Return the score of the counts of all rows."""
        totals = [0.0] * len(self._count_names)
        for row in rows:
            for at, name in enumerate(self._count_names):
                totals[at] += row[name]
        # The library's own significance tests compute scores from counts like this.
        score = float(self._corpus_scorer._compute_score_from_stats(totals).score)
        return min(score, self.score_range[1]) if self.score_range else score

    def _counts(
        self,
        text: str,
        references: Sequence[str],
    ) -> dict[str, Any]:
        each = [[reference] for reference in references]
        (counts,) = self._corpus_scorer._extract_corpus_statistics([text], each)
        return dict(zip(self._count_names, counts, strict=True))


def _references(expected: Any) -> list[str] | None:
    """Return the texts that an expected output accepts; `None` if one says nothing."""
    if expected is None:
        return None
    references = list(map(composed, accepted_texts(expected)))
    # A blank reference says nothing about any text, even beside others.
    has_text = all(map(str.strip, references))
    return references if references and has_text else None


@dataclass(frozen=True)
class CorpusBleu(_SacrebleuMetric):
    """BLEU of the whole data set by sacrebleu (Papineni et al. 2002; Post 2018), 0 to 100.

    A row's own score is sentence-level BLEU, 0 to 100. All references of a case count
    together. A case without an answer counts as an empty text. `smooth_value` is that
    of the methods `floor` and `add-k`; it defaults to sacrebleu's own.

    One tokenizer reads all rows. In scripts without spaces between words only `zh`
    (Chinese) and `char` find words; with another one a row has no score.
    """

    component_id: ClassVar[str] = "builtin/corpus_bleu"
    version: ClassVar[str] = "1"

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

    # The library is an optional extra, so it is imported where it is used.
    @cached_property
    def _corpus_scorer(self) -> Any:
        return self._scorer(effective_order=False)

    @cached_property
    def _row_scorer(self) -> Any:
        # Single sentences are often too short to have 4-grams.
        return self._scorer(effective_order=True)

    def _scorer(self, *, effective_order: bool) -> Any:
        return imported("sacrebleu.metrics").BLEU(
            lowercase=self.lowercase,
            # Else it warns of texts that look tokenized, row by row.
            force=True,
            tokenize=self.tokenize,
            smooth_method=self.smooth_method,
            smooth_value=self.smooth_value,
            effective_order=effective_order,
        )

    @cached_property
    def _count_names(self) -> tuple[str, ...]:
        orders = range(1, self._corpus_scorer.max_ngram_order + 1)
        correct = [f"correct_{order}" for order in orders]
        total = [f"total_{order}" for order in orders]
        return ("length", "reference_length", *correct, *total)

    def _refusal(self, texts: Sequence[str]) -> str | None:
        unspaced = list(filter(is_unspaced, texts))
        needed = "zh" if is_chinese(" ".join(texts)) else "char"
        if not unspaced or self.tokenize in (needed, "char"):
            return None
        return (
            f"tokenize={self.tokenize!r} finds no words in {shown(unspaced[0])}; "
            f"set tokenize to {needed!r}"
        )


@dataclass(frozen=True)
class CorpusChrf(_SacrebleuMetric):
    """chrF of the whole data set by sacrebleu (Popović 2015; Post 2018), 0 to 100.

    A row's own score is sentence-level chrF, 0 to 100. Of several references the best
    counts. With `word_order` 2 it is chrF++ (Popović 2017). A case without an answer
    counts as an empty text.
    """

    component_id: ClassVar[str] = "builtin/corpus_chrf"
    version: ClassVar[str] = "1"

    char_order: PositiveInt = 6
    word_order: NonNegativeInt = 0
    beta: PositiveInt = 2
    lowercase: bool = False
    whitespace: bool = False
    eps_smoothing: bool = False

    @cached_property
    def _corpus_scorer(self) -> Any:
        return imported("sacrebleu.metrics").CHRF(
            char_order=self.char_order,
            word_order=self.word_order,
            beta=self.beta,
            lowercase=self.lowercase,
            whitespace=self.whitespace,
            eps_smoothing=self.eps_smoothing,
        )

    @cached_property
    def _count_names(self) -> tuple[str, ...]:
        names = []
        for kind, orders in (("char", self.char_order), ("word", self.word_order)):
            for order in range(1, orders + 1):
                for what in ("count", "reference_count", "matches"):
                    names.append(f"{kind}_{order}_{what}")
        return tuple(names)


@dataclass(frozen=True)
class CorpusTer(_SacrebleuMetric):
    """The translation edit rate of the whole data set by sacrebleu (Snover et al. 2006).

    It is 100 times the edits over the reference words, so that lower is better and a
    score can be above 100. A row's own score is that of its text. Of several
    references the fewest edits count, over the mean of their lengths. A case without
    an answer counts as an empty text.
    """

    component_id: ClassVar[str] = "builtin/corpus_ter"
    version: ClassVar[str] = "1"
    # There is no end to the edits that a long text needs.
    score_range = None  # type: ignore[assignment]
    higher_is_better: ClassVar[bool] = False

    normalized: bool = False
    no_punct: bool = False
    asian_support: bool = False
    case_sensitive: bool = False

    @cached_property
    def _corpus_scorer(self) -> Any:
        return imported("sacrebleu.metrics").TER(
            normalized=self.normalized,
            no_punct=self.no_punct,
            asian_support=self.asian_support,
            case_sensitive=self.case_sensitive,
        )

    @cached_property
    def _count_names(self) -> tuple[str, ...]:
        return ("edits", "reference_length")
