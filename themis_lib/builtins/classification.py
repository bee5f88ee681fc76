"""Scores of a classification over a data set: F1, precision, recall, and Matthews'
correlation.

A row keeps which class it was, and which one the answer names. The score is that of the
confusion of all rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar, Literal

from themis_lib.builtins.expected import ExpectedMetric
from themis_lib.builtins.parsers import as_text
from themis_lib.builtins.text_forms import composed
from themis_lib.core.models import Score, ScoreError
from themis_lib.errors import ComponentError

#: How a row's counts are named: `tp:CLASS` where the answer is right, else `fn:` the
#: class it should name and `fp:` the one that it does.
_HIT, _MISS, _FALSE_ALARM = "tp", "fn", "fp"


@dataclass
class _ClassCounts:
    """Of one class: answers that name it and should, and those that fail in one."""

    hits: float = 0.0
    misses: float = 0.0
    false_alarms: float = 0.0

    @property
    def expected(self) -> float:
        return self.hits + self.misses

    @property
    def named(self) -> float:
        return self.hits + self.false_alarms


class _ClassificationMetric(ExpectedMetric):
    """A metric of classes over a data set. Subclasses implement `_of_classes`."""

    additive: ClassVar[bool] = True
    accepts_sets: ClassVar[bool] = True

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        if isinstance(expected, list) and not self.accepts_sets:
            return ScoreError(reason="the expected output is a list, and no class")
        named = _classes(value) if self.accepts_sets else frozenset([_class(value)])
        wanted = _classes(expected)
        is_right = float(named == wanted)
        return Score(value=is_right, details=_counts(named, wanted))

    def unanswered(self, expected_output: Any) -> Mapping[str, Any] | None:
        """Return the counts of an answer that names no class."""
        if expected_output is None:
            return None
        return _counts(frozenset(), _classes(expected_output))

    def corpus_score(self, rows: Sequence[Mapping[str, Any]]) -> float:
        """Return the score of the confusion of all rows; NaN without any class."""
        classes: defaultdict[str, _ClassCounts] = defaultdict(_ClassCounts)
        for row in rows:
            for key, count in row.items():
                kind, _, name = key.partition(":")
                counts = classes[name]
                if kind == _HIT:
                    counts.hits += count
                elif kind == _MISS:
                    counts.misses += count
                else:
                    counts.false_alarms += count
        # In the order of names: sums of floats depend on it in the last digit.
        return self._of_classes({name: classes[name] for name in sorted(classes)})

    def _of_classes(self, classes: Mapping[str, _ClassCounts]) -> float:
        raise NotImplementedError


def _classes(value: Any) -> frozenset[str]:
    """Return the classes that a value names: its items if it is a list, else itself."""
    items = value if isinstance(value, list) else [value]
    return frozenset(map(_class, items))


def _class(value: Any) -> str:
    return composed(as_text(value))


def _counts(
    named: frozenset[str],
    wanted: frozenset[str],
) -> dict[str, Any]:
    counts = {}
    for kind, names in (
        (_HIT, named & wanted),
        (_MISS, wanted - named),
        (_FALSE_ALARM, named - wanted),
    ):
        for name in sorted(names):
            counts[f"{kind}:{name}"] = 1
    return counts


@dataclass(frozen=True)
class _AveragedMetric(_ClassificationMetric):
    """A score of each class, averaged. Subclasses implement `_of_counts`."""

    average: Literal["macro", "micro", "weighted"] = "macro"
    labels: tuple[str, ...] | list[str] | None = None
    positive: str | None = None

    def check_settings(self) -> None:
        """Raise `ComponentError` for a mistyped setting, or two that contradict."""
        super().check_settings()
        if self.positive is not None and self.labels is not None:
            raise ComponentError(
                f"{self.component_id}: positive={self.positive!r} is the score of one "
                "class; leave out labels"
            )
        if self.labels is not None and not self.labels:
            raise ComponentError(f"{self.component_id}: labels=[] names no class")

    def _of_classes(self, classes: Mapping[str, _ClassCounts]) -> float:
        if self.positive is not None:
            return self._of_counts(_counts_of(self.positive, classes))
        if self.labels is not None:
            scored = [_counts_of(name, classes) for name in self.labels]
        else:
            # A class that no case expects is no class of the data set.
            scored = [counts for counts in classes.values() if counts.expected]
        if self.average == "micro":
            named = scored if self.labels is not None else list(classes.values())
            return self._of_counts(_summed(named))
        weights = [1.0] * len(scored)
        if self.average == "weighted":
            weights = [counts.expected for counts in scored]
        if not sum(weights):
            return float("nan")
        scores = map(self._of_counts, scored)
        total = sum(
            score * weight for score, weight in zip(scores, weights, strict=True)
        )
        return total / sum(weights)

    def _of_counts(self, counts: _ClassCounts) -> float:
        raise NotImplementedError


def _counts_of(
    name: str,
    classes: Mapping[str, _ClassCounts],
) -> _ClassCounts:
    """Return the counts of a class, which any Unicode form of its name may name."""
    return classes.get(composed(name), _ClassCounts())


def _summed(classes: Sequence[_ClassCounts]) -> _ClassCounts:
    return _ClassCounts(
        hits=sum(counts.hits for counts in classes),
        misses=sum(counts.misses for counts in classes),
        false_alarms=sum(counts.false_alarms for counts in classes),
    )


def _share(
    part: float,
    whole: float,
) -> float:
    """Return a part of a whole, 0 of nothing: scikit-learn's `zero_division=0`."""
    return part / whole if whole else 0.0


@dataclass(frozen=True)
class CorpusF1(_AveragedMetric):
    """The F1 of a classification over the data set, from 0 to 1.

    `average` says how the F1 of the classes becomes one: `macro` is their mean,
    `weighted` their mean by how often they are expected, `micro` the F1 of all
    decisions together. With `positive` it is the F1 of that class alone. The classes
    of a mean are those that any case expects, or `labels`: an answer outside them is a
    miss, and no class. These are scikit-learn's `f1_score` with the same `labels`, and
    0 where a class is neither expected nor named.

    A class is a text, any other value its canonical JSON. A list is a set of classes,
    all of which are right: micro F1 then tells from exact match. A row's own score is 1
    if its classes are right. A case without an answer names no class.
    """

    component_id: ClassVar[str] = "builtin/corpus_f1"
    version: ClassVar[str] = "1"

    def _of_counts(self, counts: _ClassCounts) -> float:
        return _share(2 * counts.hits, counts.expected + counts.named)


@dataclass(frozen=True)
class CorpusPrecision(_AveragedMetric):
    """The precision of a classification over the data set, from 0 to 1.

    It is how many of the answers that name a class should. For the settings and what
    is a class see `builtin/corpus_f1`.
    """

    component_id: ClassVar[str] = "builtin/corpus_precision"
    version: ClassVar[str] = "1"

    def _of_counts(self, counts: _ClassCounts) -> float:
        return _share(counts.hits, counts.named)


@dataclass(frozen=True)
class CorpusRecall(_AveragedMetric):
    """The recall of a classification over the data set, from 0 to 1.

    It is how many of the answers that should name a class do; the macro average is
    balanced accuracy. For the settings and what is a class see `builtin/corpus_f1`.
    """

    component_id: ClassVar[str] = "builtin/corpus_recall"
    version: ClassVar[str] = "1"

    def _of_counts(self, counts: _ClassCounts) -> float:
        return _share(counts.hits, counts.expected)


@dataclass(frozen=True)
class Matthews(_ClassificationMetric):
    """Matthews' correlation of a classification over the data set, from -1 to 1.

    For several classes it is that of Gorodkin 2004; 0 is no better than chance, and
    what it is where all answers or all cases are of one class. Answers of no class that
    is expected count as classes, and no answer as one more. A row's own score is 1 if
    its class is right.
    """

    component_id: ClassVar[str] = "builtin/matthews"
    version: ClassVar[str] = "1"
    score_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    accepts_sets: ClassVar[bool] = False

    def _of_classes(self, classes: Mapping[str, _ClassCounts]) -> float:
        every = classes.values()
        cases = sum(counts.expected for counts in every)
        if not cases:
            return float("nan")
        right = sum(counts.hits for counts in every)
        both = sum(counts.expected * counts.named for counts in every)
        expected = sum(counts.expected**2 for counts in every)
        named = sum(counts.named**2 for counts in every)
        # Cases without an answer are those whose class nothing names.
        named += (cases - sum(counts.named for counts in every)) ** 2
        spread = (cases**2 - named) * (cases**2 - expected)
        return (right * cases - both) / sqrt(spread) if spread > 0 else 0.0
