"""Whether answers can equal expected outputs at all, before money is spent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from themis_lib.components.records import BuiltGenerator, BuiltMetric, BuiltParser
from themis_lib.errors import ConfigError
from themis_lib.identity.digests import load_json

_EQUAL = "builtin/exact_match"
_LETTERS = "builtin/choice_letter"
_NUMBERS = "builtin/number"
#: The parser of an experiment that names none.
_AS_IS = "builtin/json_identity"
_LETTER = re.compile("[A-Za-z]")
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
    and numbers beside texts (`"42"`): every case would score 0, without an error. So
    would a case whose letter is beyond those that parsers look for, as where labels that
    count from 1 are mapped as if they did from 0.
    """
    names = {parser.component_id for parser in parsers}
    # Another parser may return whatever the expected outputs are.
    if len(names) != 1 or not names & set(_FIXES):
        return
    if not any(metric.component_id == _EQUAL for metric in metrics):
        return
    texts = cases["expected_output"].drop_null().unique().to_pylist()
    expected = [load_json(text) for text in texts]
    (name,) = names
    if name == _LETTERS:
        _refuse_letters_beyond(expected, parsers, dataset_id)
    if not expected or any(_can_be_equal(value, parsers) for value in expected):
        return
    raise ConfigError(
        f"dataset {dataset_id!r}: {_EQUAL} compares the answers of {name} with expected "
        f"outputs such as {expected[0]!r:.60}, which none of them equals; {_FIXES[name]}"
    )


def check_choices(
    generator: BuiltGenerator,
    parsers: Sequence[BuiltParser],
    metrics: Sequence[BuiltMetric],
    dataset_id: str,
    cases: pa.Table,
) -> None:
    """Raise `ConfigError` if exact match expects what is none of a generator's choices.

    A generator that rates given answers returns one of them.
    """
    choices = getattr(generator.component, "choices", None)
    is_equal = any(metric.component_id == _EQUAL for metric in metrics)
    if (
        not choices
        or not is_equal
        or {item.component_id for item in parsers} != {_AS_IS}
    ):
        return
    known = {choice.strip().casefold() for choice in choices}
    for text in cases["expected_output"].drop_null().unique().to_pylist():
        value = load_json(text)
        if isinstance(value, str) and value.strip().casefold() not in known:
            raise ConfigError(
                f"dataset {dataset_id!r}: the expected output {value!r:.60} is none of "
                f"the generator's choices {list(choices)!r:.200}; map labels that count "
                "from 1 with `first: 1`, or give it more `choices`"
            )


def _refuse_letters_beyond(
    expected: Sequence[Any],
    parsers: Sequence[BuiltParser],
    dataset_id: str,
) -> None:
    """Raise `ConfigError` for the letter of an option that no parser looks for."""
    known = _letters_of(parsers)
    for value in expected:
        text = value.strip() if isinstance(value, str) else ""
        if _LETTER.fullmatch(text) and text.casefold() not in known:
            listed = "".join(sorted(known)).upper()
            raise ConfigError(
                f"dataset {dataset_id!r}: the expected output {value!r} is none of the "
                f"letters {listed} that {_LETTERS} looks for; map labels that count from "
                "1 with `first: 1`, or give the parser more `choices`"
            )


def _can_be_equal(
    value: Any,
    parsers: Sequence[BuiltParser],
) -> bool:
    """Return whether an expected output is of the kind that the parsers return."""
    if parsers[0].component_id == _NUMBERS:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    # Whether case and space count is the metric's; a letter in another one may be meant.
    return isinstance(value, str) and value.strip().casefold() in _letters_of(parsers)


def _letters_of(parsers: Sequence[BuiltParser]) -> set[str]:
    """Return the letters that parsers look for, in small letters."""
    letters: set[str] = set()
    for parser in parsers:
        letters.update(str(getattr(parser.component, "choices", "")).casefold())
    return letters
