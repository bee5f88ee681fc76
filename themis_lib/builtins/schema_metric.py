"""Whether a value is the JSON that a schema asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from themis_lib.builtins.expected import ExpectedMetric
from themis_lib.builtins.libraries import LibraryBuiltin
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import Case, ParsedOutput, Score, ScoreError
from themis_lib.errors import ComponentError
from themis_lib.identity.digests import load_json

_SHOWN_CHARS = 200
Check = Callable[[Any], str | None]


@dataclass(frozen=True)
class JsonSchema(LibraryBuiltin, ExpectedMetric):
    """1 where the value is valid by a JSON Schema, else 0, with what is wrong in the
    details; by jsonschema.

    The schema is `schema` for every case, or else each case's expected output; its
    draft is the one that `$schema` names, or 2020-12. A value that is a text is read as
    a JSON document, and one that cannot be read is not valid; `read_text: false` takes
    it for a JSON string. References are to places in the schema itself: nothing is
    fetched. `format` is no constraint, as in the standard.
    """

    component_id: ClassVar[str] = "builtin/json_schema"
    version: ClassVar[str] = "1"
    libraries: ClassVar[tuple[str, ...]] = ("jsonschema",)

    schema: dict[str, Any] | None = None
    read_text: bool = True

    def check_settings(self) -> None:
        """Raises `ComponentError` for a setting of another type and a malformed schema."""
        super().check_settings()
        try:
            _ = self._schema_check
        except ValueError as error:
            raise ComponentError(f"{self.component_id}: schema: {error}") from None

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The value, and the expected output only where it is the schema."""
        return ("value", "expected_output") if self.schema is None else ("value",)

    @cached_property
    def _schema_check(self) -> Check | None:
        return None if self.schema is None else _check_of(self.schema)

    def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> Score | ScoreError:
        """The score, or why there is none."""
        if self._schema_check is None or parsed.value is None:
            return super().score(parsed, case, ctx)
        return self._check_value(self._schema_check, parsed.value)

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        try:
            check = _check_of(expected)
        except ValueError as error:
            return ScoreError(reason=f"the expected output: {error}")
        return self._check_value(check, value)

    def _check_value(
        self,
        check: Check,
        value: Any,
    ) -> Score | ScoreError:
        if isinstance(value, str) and self.read_text:
            try:
                value = load_json(value)
            except (ValueError, RecursionError):
                return _invalid_score("the text is no JSON document")
        try:
            problem = check(value)
        except ValueError as error:
            return ScoreError(reason=str(error))
        return Score(value=1.0) if problem is None else _invalid_score(problem)


def _invalid_score(problem: str) -> Score:
    cut = problem if len(problem) <= _SHOWN_CHARS else f"{problem[: _SHOWN_CHARS - 1]}…"
    return Score(
        value=0.0,
        details={"reason": cut},
    )


def _check_of(schema: Any) -> Check:
    """Says what is wrong with a value by the schema, or null. Raises `ValueError` for
    what is no schema.
    """
    from jsonschema import SchemaError
    from jsonschema.exceptions import best_match
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    if not isinstance(schema, dict):
        raise ValueError("it is no JSON Schema: write an object")
    definition = validator_for(schema, default=Draft202012Validator)
    try:
        definition.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"it is no JSON Schema: {error.message}") from None
    validator = definition(schema, registry=Registry())

    def check(value: Any) -> str | None:
        try:
            error = best_match(validator.iter_errors(value))
        except Unresolvable as unresolved:
            raise ValueError(
                f"the schema refers to what is not in it: {unresolved}"
            ) from None
        return None if error is None else f"{error.json_path}: {error.message}"

    return check
