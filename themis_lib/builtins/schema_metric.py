"""Whether a value is the JSON that a schema asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

from themis_lib.bounded.patterns import MAX_CPU_S, Seconds
from themis_lib.bounded.schemas import find_invalid, has_patterns
from themis_lib.builtins.expected import ExpectedMetric
from themis_lib.builtins.libraries import LibraryBuiltin
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import Case, ParsedOutput, Score, ScoreError
from themis_lib.errors import ComponentError
from themis_lib.identity.digests import load_json

# jsonschema quotes the value in its message, however long it is.
_SHOWN_CHARS = 200
#: Returns what is wrong with a value, or `None` if it is valid.
Check: TypeAlias = Callable[[Any], str | None]


@dataclass(frozen=True)
class JsonSchema(LibraryBuiltin, ExpectedMetric):
    """1 where the value is valid by a JSON Schema, else 0; by jsonschema.

    The details say what is wrong.

    The schema is `schema` for every case, or else each case's expected output. Its
    draft is the one that `$schema` names, by default 2020-12. A text value is read as a
    JSON document, and is not valid if it cannot be read; with `read_text: false` it is
    a JSON string. References are to places in the schema itself: nothing is fetched.
    `format` is no constraint, as in the standard.

    A validation by a schema with regular expressions may take `max_cpu_s` seconds of
    processor time. If it takes longer, the row is an error that says so.
    """

    component_id: ClassVar[str] = "builtin/json_schema"
    version: ClassVar[str] = "1"
    libraries: ClassVar[tuple[str, ...]] = ("jsonschema",)
    later_settings: ClassVar[frozenset[str]] = frozenset({"max_cpu_s"})

    schema: dict[str, Any] | None = None
    read_text: bool = True
    max_cpu_s: Seconds = MAX_CPU_S

    def check_settings(self) -> None:
        """Raise `ComponentError` for a mistyped setting or a malformed schema."""
        super().check_settings()
        try:
            _ = self._schema_check
        except ValueError as error:
            raise ComponentError(f"{self.component_id}: schema: {error}") from None

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The value, and the expected output only if it is the schema."""
        if self.schema is None:
            return ("value", "expected_output")
        return ("value",)

    @cached_property
    def _schema_check(self) -> Check | None:
        if self.schema is None:
            return None
        return compile_schema(self.schema, cpu_s=self.max_cpu_s)

    def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> Score | ScoreError:
        """Return the score, or the reason there is none."""
        check = self._schema_check
        if check is None or parsed.value is None:
            return super().score(parsed, case, ctx)
        # The expected output is not read here, so a missing one is no error.
        return self._judge_value(check, parsed.value)

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        try:
            check = compile_schema(expected, cpu_s=self.max_cpu_s)
        except ValueError as error:
            return ScoreError(reason=f"the expected output: {error}")
        return self._judge_value(check, value)

    def _judge_value(
        self,
        check: Check,
        value: Any,
    ) -> Score | ScoreError:
        if isinstance(value, str) and self.read_text:
            try:
                value = load_json(value)
            # Text that is no JSON is not what was asked for: a verdict, not an error.
            except (ValueError, RecursionError):
                return _invalid_score("the text is no JSON document")
        try:
            problem = check(value)
        except ValueError as error:
            return ScoreError(reason=str(error))
        if problem is None:
            return Score(value=1.0)
        return _invalid_score(problem)


def _invalid_score(problem: str) -> Score:
    if len(problem) > _SHOWN_CHARS:
        beginning = problem[: _SHOWN_CHARS - 1]
        problem = f"{beginning}…"
    return Score(
        value=0.0,
        details={"reason": problem},
    )


def compile_schema(
    schema: Any,
    *,
    cpu_s: float,
) -> Check:
    """Return a check of values. Raise `ValueError` if `schema` is no JSON Schema."""
    # The library takes long to import, and only runs with this metric need it.
    from jsonschema import SchemaError
    from jsonschema.exceptions import best_match
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    # The standard also allows `true` and `false`, which ask for nothing.
    if not isinstance(schema, dict):
        raise ValueError("it is no JSON Schema: write an object")
    definition = validator_for(
        schema,
        default=Draft202012Validator,
    )
    try:
        definition.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"it is no JSON Schema: {error.message}") from None
    if has_patterns(schema):
        return _bounded_check(schema, cpu_s=cpu_s)
    # An empty registry: jsonschema's own would fetch references from the network.
    validator = definition(schema, registry=Registry())

    def check(value: Any) -> str | None:
        try:
            error = best_match(validator.iter_errors(value))
        # Known only when a value reaches the reference.
        except Unresolvable as unresolved:
            raise ValueError(
                f"the schema refers to what is not in it: {unresolved}"
            ) from None
        if error is None:
            return None
        return f"{error.json_path}: {error.message}"

    return check


def _bounded_check(
    schema: dict[str, Any],
    *,
    cpu_s: float,
) -> Check:
    def check(value: Any) -> str | None:
        invalid = find_invalid(
            schema,
            value,
            cpu_s=cpu_s,
        )
        if invalid is None:
            return None
        return f"{invalid.path}: {invalid.message}"

    return check
