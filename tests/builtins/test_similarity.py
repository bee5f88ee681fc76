"""Semantic similarity through any embedding function: its numbers, its calls and its
identity.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.golden_builtins import SCORE, case_expecting
from themis_lib import (
    Case,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    InMemoryRunStore,
    RuntimeConfig,
)
from themis_lib.builtins.similarity import SemanticSimilarity
from themis_lib.components.build import build, component_identity
from themis_lib.core.models import ParsedOutput, Score, ScoreError
from themis_lib.errors import ComponentError, RowError, TransientError

#: The example of scikit-learn's `cosine_similarity`, and vectors that show the ends of
#: the scale.
VECTORS = {
    "111": [1, 1, 1],
    "100": [1, 0, 0],
    "110": [1, 1, 0],
    "000": [0, 0, 0],
    "-100": [-1, 0, 0],
    "nan": [1, None, 0],
}


def table(texts: list[str]) -> list[list[Any]]:
    return [VECTORS[text] for text in texts]


async def table_async(texts: list[str]) -> list[list[Any]]:
    return table(texts)


class Model:
    """An embedding that is an object, as a loaded model is."""

    def __init__(self, name: str = "small") -> None:
        self.name = name
        self.asked: list[list[str]] = []
        self.threads: set[int] = set()

    def fingerprint(self) -> str:
        return self.name

    def __call__(self, texts: list[str]) -> list[list[Any]]:
        self.asked.append(texts)
        self.threads.add(threading.get_ident())
        return table(texts)


def judged(
    metric: SemanticSimilarity, *pairs: tuple[Any, Any]
) -> list[Score | ScoreError]:
    answers = [ParsedOutput(value=value) for value, _ in pairs]
    cases = [case_expecting(expected) for _, expected in pairs]
    return asyncio.run(metric.score_batch(answers, cases, [SCORE] * len(pairs)))


@pytest.mark.parametrize(
    "embed",
    [table, table_async, Model(), f"{__name__}:table"],
    ids=["function", "async", "object", "name"],
)
def test_score_is_the_cosine(embed):
    """The values of scikit-learn's documentation of `cosine_similarity`, to three
    places.
    """
    found = judged(SemanticSimilarity(embed=embed), ("111", "100"), ("111", "110"))

    assert pytest.approx([0.577, 0.816], abs=5e-4) == [item.value for item in found]


def test_negative_cosine_counts_as_0():
    """Scores are from 0 to 1; the cosine itself is in the details."""
    (found,) = judged(SemanticSimilarity(embed=table), ("100", "-100"))

    assert (0.0, {"cosine": -1.0}) == (found.value, found.details)


def test_best_of_several_references_counts():
    """Of a list of accepted texts any may be meant."""
    (found,) = judged(SemanticSimilarity(embed=table), ("100", ["-100", "111", "100"]))

    assert 1.0 == found.value


def test_what_cannot_be_compared_is_an_error_of_its_row():
    """The other rows of the batch are scored."""
    pairs = [
        (None, "100"),
        ("100", None),
        ("100", []),
        ("000", "100"),
        ("100", "nan"),
        ("100", "100"),
    ]
    found = judged(SemanticSimilarity(embed=table), *pairs)

    assert [
        "no answer",
        "the case has no expected output",
        "the expected output is empty",
        "an embedding is zero or not finite",
        "an embedding is zero or not finite",
        1.0,
    ] == [item.value if isinstance(item, Score) else item.reason for item in found]


def test_texts_of_many_rows_are_embedded_at_a_time_and_each_once():
    """In a thread of its own, so that nothing else waits."""
    model = Model()
    judged(
        SemanticSimilarity(embed=model), ("100", "111"), ("110", "111"), ("111", "100")
    )

    assert [["100", "111", "110"]] == model.asked
    assert threading.get_ident() not in model.threads


@pytest.mark.parametrize(
    ("embed", "message"),
    [
        (
            lambda texts: [[1.0]],
            r"embed returned an array of shape \(1, 1\) for 2 texts",
        ),
        (
            lambda texts: [1.0, 2.0],
            r"embed returned an array of shape \(2,\) for 2 texts",
        ),
        (
            lambda texts: [[1.0], [1.0, 2.0]],
            "embed returned no vectors of one length: ",
        ),
    ],
)
def test_what_is_no_vector_for_each_text_is_refused(embed, message):
    """Nothing is scored with another text's vector."""
    with pytest.raises(RowError, match=message):
        judged(SemanticSimilarity(embed=embed), ("a", "b"))


@pytest.mark.parametrize(
    ("embed", "message"),
    [
        (
            "no_module:embed",
            "embed 'no_module:embed' cannot be imported: No module named 'no_module'",
        ),
        (
            f"{__name__}:tabel",
            f"module '{__name__}' has no 'tabel'; did you mean 'table'?",
        ),
        (
            f"{__name__}:VECTORS",
            f"builtin/semantic_similarity: embed='{__name__}:VECTORS' is no function",
        ),
        ("json:loads.mat", "module 'json' has no 'loads.mat'; did you mean 'loads'?"),
    ],
)
def test_name_that_leads_to_no_function_is_refused(embed, message):
    """When the experiment is read."""
    with pytest.raises(ComponentError) as raised:
        build(
            "metric",
            {"use": "builtin/semantic_similarity", "embed": embed},
            where="evaluation.metrics[0]",
        )

    assert f"evaluation.metrics[0]: {message}" == str(raised.value)


def test_object_that_does_not_say_what_it_is_is_refused():
    """A method of a loaded model hides which model it is."""
    with pytest.raises(
        ComponentError,
        match="is no plain function; wrap it in one, or give it a method `fingerprint",
    ):
        SemanticSimilarity(embed=[].copy)


def test_fingerprint_of_an_object_is_identity():
    """Another model scores again, another object of the same model does not."""
    small, same, large = (
        component_identity("metric", SemanticSimilarity(embed=Model(name)))
        for name in ("small", "small", "large")
    )

    assert small == same
    assert small != large


EMBED = """
def embed(texts):
    return [[float(len(text)), {weight}] for text in texts]
"""


def test_code_of_the_function_is_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An edit of it scores again, and a comment in it does not."""
    monkeypatch.setattr(
        sys, "dont_write_bytecode", True
    )  # the module is written again within a second
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"embedding_{abs(hash(tmp_path))}"
    identities = []
    for text in (
        EMBED.format(weight=1.0),
        "# a comment" + EMBED.format(weight=1.0),
        EMBED.format(weight=2.0),
    ):
        (tmp_path / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)
        identities.append(
            component_identity("metric", SemanticSimilarity(embed=f"{name}:embed"))
        )

    assert identities[0] == identities[1]
    assert identities[0] != identities[2]


def experiment(metric: Any, **runtime: Any) -> Experiment:
    cases = [
        Case(case_id=f"c{n}", input="q", expected_output=f"{n:03b}")
        for n in range(1, 8)
    ]
    return Experiment(
        generation=GenerationConfig(generator="builtin/demo_generator"),
        evaluation=EvaluationConfig(parsers=["builtin/text"], metrics=[metric]),
        datasets=[Dataset(dataset_id="d", cases=cases)],
        runtime=RuntimeConfig(**runtime),
    )


class Bits(Model):
    """Embeds a text of zeros and ones as its digits; `failing` batches are lost on the
    way.
    """

    failing = 0

    def __call__(self, texts: list[str]) -> list[list[Any]]:
        self.asked.append(texts)
        if len(self.asked) <= self.failing:
            raise TransientError("busy")
        return [[float(digit) for digit in text] for text in texts]


def test_run_embeds_as_many_rows_at_a_time_as_the_batch_size():
    """Seven rows by three are three calls; a second run makes none."""
    model, store = Bits(), InMemoryRunStore()
    result = experiment(
        {"use": "builtin/semantic_similarity", "embed": model}, batch_size=3
    ).run(store)
    again = experiment(
        {"use": "builtin/semantic_similarity", "embed": model}, batch_size=4
    ).run(store)

    assert [1, 3, 3] == sorted(map(len, model.asked))
    assert [pytest.approx(1.0)] == [row.mean for row in result.summary]
    assert result.summary == again.summary


def test_batch_that_fails_is_asked_again_and_the_others_are_kept():
    """A provider that is busy says nothing about the rows."""
    model, store = Bits(), InMemoryRunStore()
    model.failing = 1
    metric = {"use": "builtin/semantic_similarity", "embed": model}
    first = experiment(metric, batch_size=4).run(store)
    second = experiment(metric, batch_size=4).run(store)

    progress = [
        result.progress["score[semantic_similarity]"] for result in (first, second)
    ]
    assert [(3, 4), (4, 0)] == [(item.computed, item.failed) for item in progress]
