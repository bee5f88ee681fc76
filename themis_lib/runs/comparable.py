"""Whether answers can equal expected outputs at all, before money is spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from themis_lib.components.records import BuiltMetric, BuiltParser
from themis_lib.errors import ConfigError
from themis_lib.identity.digests import load_json

_EQUAL = "builtin/exact_match"
_LETTERS = "builtin/choice_letter"
_NUMBERS = "builtin/number"
#: What parsers return, and what to do where no expected output is one of these.
_FIXES = {
    _LETTERS: (
        "map them, `columns: {expected_output: {column: …, map: letter}}`, or use "
        "builtin/choice_accuracy"
    ),
    _NUMBERS: "use builtin/numeric_match, or give numbers",
}


def check_comparable(
    parsers: Sequence[BuiltParser],
    metrics: Sequence[BuiltMetric],
    dataset_id: str,
    cases: pa.Table,
) -> None:
    """Raise `ConfigError` if exact match compares answers with what none can equal.

    These are letters of options beside positions (`answer: 1`) or the options' texts,
    and numbers beside texts (`"42"`): every case would score 0, without an error.
    """
    names = {parser.component_id for parser in parsers}
    # Another parser may return whatever the expected outputs are.
    if len(names) != 1 or not names & set(_FIXES):
        return
    if not any(metric.component_id == _EQUAL for metric in metrics):
        return
    texts = cases["expected_output"].drop_null().unique().to_pylist()
    expected = [load_json(text) for text in texts]
    if not expected or any(_can_be_equal(value, parsers) for value in expected):
        return
    (name,) = names
    raise ConfigError(
        f"dataset {dataset_id!r}: {_EQUAL} compares the answers of {name} with expected "
        f"outputs such as {expected[0]!r:.60}, which none of them equals; {_FIXES[name]}"
    )


def _can_be_equal(
    value: Any,
    parsers: Sequence[BuiltParser],
) -> bool:
    """Return whether an expected output is of the kind that the parsers return."""
    if parsers[0].component_id == _NUMBERS:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    # Whether case and space count is the metric's; a letter in another one may be meant.
    letters: set[str] = set()
    for parser in parsers:
        letters.update(str(getattr(parser.component, "choices", "")).casefold())
    return isinstance(value, str) and value.strip().casefold() in letters
