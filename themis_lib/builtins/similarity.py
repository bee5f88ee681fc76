"""How close a text is to the expected one in meaning, by any embedding function."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType
from typing import Any, ClassVar, TypeAlias

import numpy as np

from themis_lib.builtins.expected import accepted_texts
from themis_lib.builtins.parsers import as_text
from themis_lib.components.builtin import Builtin
from themis_lib.components.imports import import_named
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import Case, ParsedOutput, Score, ScoreError
from themis_lib.errors import ComponentError, RowError
from themis_lib.identity.code import code_digest
from themis_lib.identity.user_code import without_alias
from themis_lib.stages.calls import in_thread

_Vector: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True)
class SemanticSimilarity(Builtin):
    """The cosine between the embeddings of value and expected output.

    A negative cosine counts as 0; the cosine itself is in the details. Of a list of
    accepted texts the closest counts. Values other than text count as their canonical
    JSON.

    `embed` is a function, or its name as `module:function`. It gets a list of texts and
    returns a vector for each, in order; it may be async. One call has the texts of many
    rows, each text once. Its code is part of the identity. A callable object needs a
    method `fingerprint()` that returns its settings as text, as a component has.
    """

    component_id: ClassVar[str] = "builtin/semantic_similarity"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = (
        "value",
        "expected_output",
    )
    needs_expected_output: ClassVar[bool] = True
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    embed: str | Callable[..., Any]

    def check_settings(self) -> None:
        """Raise `ComponentError` for a name that cannot be imported.

        Also for an object that cannot be called, or whose identity cannot be told.
        """
        super().check_settings()
        function = self._embed_function
        where = f"{self.component_id}: embed={self.embed!r}"
        if not callable(function):
            raise ComponentError(f"{where} is no function")
        if isinstance(function, FunctionType):
            return
        # A method or a `partial` hides what it is bound to, such as a model.
        if not hasattr(function, "fingerprint"):
            raise ComponentError(
                f"{where} is no plain function; wrap it in one, or give it a method "
                "`fingerprint()` that returns its settings as text"
            )

    def settings(self) -> dict[str, Any]:
        """Return the name of the function, its code, and an object's fingerprint."""
        function = self._embed_function
        # Of an object the code of its class can change the vectors.
        named: Any = function
        fingerprint = None
        if not isinstance(function, FunctionType):
            named = type(function)
            fingerprint = function.fingerprint()
        return {
            "embed": f"{without_alias(str(named.__module__))}:{named.__qualname__}",
            "fingerprint": fingerprint,
            "code": code_digest(named),
        }

    async def score_batch(
        self,
        parsed: Sequence[ParsedOutput],
        cases: Sequence[Case],
        contexts: Sequence[ScoreContext],
    ) -> list[Score | ScoreError]:
        """Return the score of each row, or the reason there is none."""
        rows = []
        # A dict keeps each text once, in order; a set would order them at random.
        unique: dict[str, None] = {}
        for answer, case in zip(parsed, cases, strict=True):
            row = _texts_to_compare(
                answer.value,
                case.expected_output,
            )
            rows.append(row)
            if isinstance(row, list):
                unique.update(dict.fromkeys(row))
        texts = list(unique)
        vectors: dict[str, _Vector] = {}
        # A batch without a comparable row costs no call.
        if texts:
            embedded = await self._embed_texts(texts)
            vectors.update(zip(texts, embedded, strict=True))
        scores: list[Score | ScoreError] = []
        for row in rows:
            if isinstance(row, ScoreError):
                scores.append(row)
                continue
            row_vectors = [vectors[text] for text in row]
            scores.append(_best_score(row_vectors))
        return scores

    @cached_property
    def _embed_function(self) -> Any:
        if isinstance(self.embed, str):
            return import_named("embed", self.embed)
        return self.embed

    async def _embed_texts(self, texts: list[str]) -> _Vector:
        """Return a row of the array for each text.

        Raise `RowError` for anything else, or a text could get another's vector.
        """
        function = self._embed_function
        is_async = inspect.iscoroutinefunction(function)
        # Of an object only its method `__call__` is a coroutine function.
        if not is_async:
            is_async = inspect.iscoroutinefunction(type(function).__call__)
        if is_async:
            returned = await function(texts)
        else:
            # A blocking call would stop every other request of the event loop.
            returned = await in_thread(function, texts)
        try:
            vectors = np.asarray(
                returned,
                dtype=np.float64,
            )
        except (TypeError, ValueError) as error:
            raise RowError(
                f"embed returned no vectors of one length: {error}"
            ) from None
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise RowError(
                f"embed returned an array of shape {vectors.shape} "
                f"for {len(texts)} texts"
            )
        return vectors


def _texts_to_compare(
    value: Any,
    expected: Any,
) -> list[str] | ScoreError:
    """Return the text of a value and the accepted ones, or why there are none."""
    if value is None:
        return ScoreError(reason="no answer")
    if expected is None:
        return ScoreError(reason="the case has no expected output")
    accepted = accepted_texts(expected)
    if not accepted:
        return ScoreError(reason="the expected output is empty")
    return [as_text(value), *accepted]


def _best_score(vectors: Sequence[_Vector]) -> Score | ScoreError:
    """Return the score of the first vector against the closest of the others."""
    squares = []
    for vector in vectors:
        square = _dot_product(vector, vector)
        # The cosine of a zero vector is undefined; NaN fails both comparisons.
        if not 0 < square < math.inf:
            return ScoreError(reason="an embedding is zero or not finite")
        squares.append(square)
    value = vectors[0]
    cosines = []
    for other, square in zip(vectors[1:], squares[1:], strict=True):
        length = math.sqrt(squares[0] * square)
        product = _dot_product(value, other)
        cosines.append(product / length)
    cosine = max(cosines)
    # Rounding can leave the cosine just above 1.
    bounded = min(max(cosine, 0.0), 1.0)
    return Score(
        value=bounded,
        details={"cosine": cosine},
    )


def _dot_product(
    left: _Vector,
    right: _Vector,
) -> float:
    """Return the scalar product, rounded once."""
    products = left * right
    # `fsum` raises for infinities of both signs.
    if not np.isfinite(products).all():
        return math.nan
    # NumPy's own product differs between machines in the last digit; scores are stored.
    return math.fsum(products.tolist())
