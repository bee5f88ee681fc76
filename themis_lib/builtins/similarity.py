"""How close a text is to the expected one in meaning, by any function that embeds
texts.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType
from typing import Any, ClassVar

import numpy as np

from themis_lib.builtins.expected import accepted_texts
from themis_lib.builtins.parsers import as_text
from themis_lib.components.builtin import Builtin
from themis_lib.components.imports import import_named
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import Case, ParsedOutput, Score, ScoreError
from themis_lib.errors import ComponentError, RowError
from themis_lib.identity.code import code_digest
from themis_lib.stages.calls import in_thread


@dataclass(frozen=True)
class SemanticSimilarity(Builtin):
    """The cosine between the embeddings of value and expected output, a negative one as
    0; the best of a list.

    `embed` is a function, or its name as `module:function`, that takes a list of texts
    and returns a vector for each, in order; sync or async. It is handed the texts of
    many rows at a time, each once. Its code is part of the identity; an object that can
    be called says with `fingerprint()` what it is, as a component does. What is no text
    counts as its canonical JSON; the cosine as it is stands in the details.
    """

    component_id: ClassVar[str] = "builtin/semantic_similarity"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = ("value", "expected_output")

    embed: str | Callable[..., Any]

    def check_settings(self) -> None:
        """Raises `ComponentError` for a name that leads nowhere and a function whose
        identity cannot be told.
        """
        super().check_settings()
        if not callable(self._embed_function):
            raise ComponentError(
                f"{self.component_id}: embed={self.embed!r} is no function"
            )
        if not isinstance(self._embed_function, FunctionType) and not hasattr(
            self._embed_function, "fingerprint"
        ):
            raise ComponentError(
                f"{self.component_id}: embed={self.embed!r} is no plain function; wrap it in one, or give it a method "
                "`fingerprint()` that returns its settings as text"
            )

    def settings(self) -> dict[str, Any]:
        """The name of the function, its code, and what an object says of itself."""
        function = self._embed_function
        if isinstance(function, FunctionType):
            name, said, code = (
                f"{function.__module__}:{function.__qualname__}",
                None,
                code_digest(function),
            )
        else:
            kind = type(function)
            name, said, code = (
                f"{kind.__module__}:{kind.__qualname__}",
                function.fingerprint(),
                code_digest(kind),
            )
        return {"embed": name, "fingerprint": said, "code": code}

    async def score_batch(
        self,
        parsed: Sequence[ParsedOutput],
        cases: Sequence[Case],
        contexts: Sequence[ScoreContext],
    ) -> list[Score | ScoreError]:
        """The score of each row, or why there is none."""
        rows = [
            _texts_to_compare(answer.value, case.expected_output)
            for answer, case in zip(parsed, cases, strict=True)
        ]
        texts = list(
            dict.fromkeys(text for row in rows if isinstance(row, list) for text in row)
        )
        vectors = (
            dict(zip(texts, await self._embed_texts(texts), strict=True))
            if texts
            else {}
        )
        return [
            row
            if isinstance(row, ScoreError)
            else _best_score([vectors[text] for text in row])
            for row in rows
        ]

    @cached_property
    def _embed_function(self) -> Any:
        return (
            import_named("embed", self.embed)
            if isinstance(self.embed, str)
            else self.embed
        )

    async def _embed_texts(self, texts: list[str]) -> np.ndarray[Any, Any]:
        function = self._embed_function
        is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            type(function).__call__
        )
        returned = await (function(texts) if is_async else in_thread(function, texts))
        try:
            vectors = np.asarray(returned, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise RowError(
                f"embed returned no vectors of one length: {error}"
            ) from None
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise RowError(
                f"embed returned an array of shape {vectors.shape} for {len(texts)} texts"
            )
        return vectors


def _texts_to_compare(
    value: Any,
    expected: Any,
) -> list[str] | ScoreError:
    """The text of a value and the accepted ones, or why there is nothing to compare."""
    if value is None:
        return ScoreError(reason="no answer")
    if expected is None:
        return ScoreError(reason="the case has no expected output")
    accepted = accepted_texts(expected)
    return (
        [as_text(value), *accepted]
        if accepted
        else ScoreError(reason="the expected output is empty")
    )


def _best_score(vectors: Sequence[np.ndarray[Any, Any]]) -> Score | ScoreError:
    """The score of the first vector against the others."""
    squares = [_dot_product(vector, vector) for vector in vectors]
    if not all(0 < square < math.inf for square in squares):
        return ScoreError(reason="an embedding is zero or not finite")
    pairs = zip(vectors[1:], squares[1:], strict=True)
    cosine = max(
        _dot_product(vectors[0], other) / math.sqrt(squares[0] * square)
        for other, square in pairs
    )
    return Score(
        value=min(max(cosine, 0.0), 1.0),
        details={"cosine": cosine},
    )


def _dot_product(
    left: np.ndarray[Any, Any],
    right: np.ndarray[Any, Any],
) -> float:
    """The scalar product, rounded once: the same on every machine, unlike that of
    NumPy.
    """
    products = (left * right).tolist()
    return math.fsum(products) if np.isfinite(products).all() else math.nan
