"""BLEU, chrF and TER of a data set are those of sacrebleu."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest
import sacrebleu

from tests.support.scored_corpora import REFERENCES, TRANSLATIONS, statistics, summed
from themis_lib.builtins.corpus_texts import CorpusBleu, CorpusChrf, CorpusTer
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import Case, GenerationResult, ParsedOutput, ScoreError

#: Two references of some texts, one of the others.
TWO = [
    [text, f"{text} indeed"] if at % 2 else text for at, text in enumerate(REFERENCES)
]
SECOND = [f"{text} indeed" if at % 2 else None for at, text in enumerate(REFERENCES)]


@pytest.mark.parametrize(
    ("metric", "published"),
    [
        (CorpusBleu(), lambda refs: sacrebleu.corpus_bleu(TRANSLATIONS, refs)),
        (
            CorpusBleu(tokenize="char", lowercase=True, smooth_method="add-k"),
            lambda refs: sacrebleu.corpus_bleu(
                TRANSLATIONS,
                refs,
                tokenize="char",
                lowercase=True,
                smooth_method="add-k",
            ),
        ),
        (CorpusChrf(), lambda refs: sacrebleu.corpus_chrf(TRANSLATIONS, refs)),
        (
            CorpusChrf(word_order=2),
            lambda refs: sacrebleu.corpus_chrf(TRANSLATIONS, refs, word_order=2),
        ),
        (CorpusTer(), lambda refs: sacrebleu.corpus_ter(TRANSLATIONS, refs)),
    ],
    ids=["bleu", "bleu-char", "chrf", "chrf++", "ter"],
)
@pytest.mark.parametrize(
    ("expected", "references"),
    [(REFERENCES, [REFERENCES]), (TWO, [REFERENCES, SECOND])],
    ids=["one reference", "some with two"],
)
def test_score_of_a_data_set_is_that_of_sacrebleu(
    metric: Any, published: Any, expected: Any, references: Any
) -> None:
    """The counts that rows keep add up to what the library counts over all texts."""
    rows = statistics(metric, TRANSLATIONS, expected)

    assert published(references).score == pytest.approx(
        metric.corpus_score([summed(rows)]), abs=1e-9
    )


def test_case_without_an_answer_counts_as_an_empty_text() -> None:
    """Its reference is part of the brevity penalty, as in the library."""
    metric = CorpusBleu()
    rows = statistics(metric, TRANSLATIONS[1:], REFERENCES[1:])
    empty = metric.unanswered(REFERENCES[0])
    assert empty is not None

    expected = sacrebleu.corpus_bleu(["", *TRANSLATIONS[1:]], [REFERENCES]).score
    assert expected == pytest.approx(metric.corpus_score([summed([empty, *rows])]))
    assert metric.unanswered(" ") is None


@pytest.mark.parametrize(
    ("metric", "value", "expected", "reason"),
    [
        (CorpusBleu(), "a cat", " ", "the expected output is empty"),
        (CorpusBleu(), "我喜欢猫", "我喜欢狗", "set tokenize to 'zh'"),
        (CorpusChrf(), "a cat", [], "the expected output is empty"),
        (CorpusTer(), None, "a cat", "no answer"),
    ],
)
def test_row_without_a_score_says_why(
    metric: Any, value: Any, expected: Any, reason: str
) -> None:
    """An empty reference, a script that the tokenizer cannot read, no answer."""
    found = metric.score(
        ParsedOutput(value=value),
        Case(case_id="a", input="", expected_output=expected),
        ScoreContext(GenerationResult()),
    )

    assert isinstance(found, ScoreError)
    assert reason in found.reason


def test_rows_own_score_is_the_sentence_level_one() -> None:
    """From 0 to 100, and equal texts have 100."""
    (row,) = statistics(CorpusBleu(), ["the cat sat"], ["the cat sat"], key="value")

    assert 100.0 == row


@pytest.mark.parametrize("metric", [CorpusBleu(), CorpusChrf(), CorpusTer()], ids=repr)
def test_metric_that_has_scored_can_be_sent_to_another_process(metric: Any) -> None:
    """What the library keeps does not stand in the way."""
    before = statistics(metric, TRANSLATIONS, REFERENCES)

    copy = pickle.loads(pickle.dumps(metric))

    assert before == statistics(copy, TRANSLATIONS, REFERENCES)


_AT_ONCE = """
import threading
from tests.support.scored_corpora import statistics
from themis_lib.builtins.corpus_texts import CorpusBleu, CorpusChrf, CorpusTer
from themis_lib.builtins.text_metrics import Bleu, Chrf

metrics = [kind() for kind in (CorpusTer, Chrf, CorpusBleu, CorpusChrf, Bleu) * 2]
begin = threading.Barrier(len(metrics))
scored = []

def score(metric):
    begin.wait()
    scored.append(statistics(metric, ["a cat"], ["the cat"], key="value"))

threads = [threading.Thread(target=score, args=(metric,)) for metric in metrics]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(scored))
"""


def test_library_is_imported_by_one_thread_at_a_time() -> None:
    """Its modules import each other: a second thread would find half of one."""
    found = subprocess.run(
        [sys.executable, "-c", _AT_ONCE], capture_output=True, text=True, check=True
    )

    assert ("10\n", "") == (found.stdout, found.stderr)
