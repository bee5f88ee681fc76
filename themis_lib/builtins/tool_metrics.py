"""Metrics over the tools that a row called: which, with what, in which order, how often.

They read the calls in one form (`tool_calls`), so that rows of any generator can be
scored. Order is scored as the trajectory metrics of Google's Vertex AI do (exact,
in-order and any-order match, precision and recall); arguments are compared as JSON
values, in the manner of the syntax-tree check of the Berkeley Function-Calling
Leaderboard (Patil et al. 2025).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from themis_lib.bounded.patterns import MAX_CPU_S
from themis_lib.builtins.expected import shown
from themis_lib.builtins.libraries import installed_version
from themis_lib.builtins.metrics import Tolerance, same_key
from themis_lib.builtins.schema_metric import compile_schema
from themis_lib.builtins.tool_calls import ToolCall, calls_of
from themis_lib.components.builtin import Builtin
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import (
    Case,
    GenerationResult,
    ParsedOutput,
    Score,
    ScoreError,
)

_CALLED = ("output", "trace", "conversation")
_CALL_FIELDS = ("name", "arguments")
_FORM = 'write [{"name": …, "arguments": {…}}], a list of names, or [] for no call'
#: Whether a call is one that was expected.
Same = Callable[[ToolCall, ToolCall], bool]


@dataclass(frozen=True)
class ToolMetric(Builtin):
    """A metric of the calls in a row against those that its case expects.

    Expected are those in the expected output, or in the metadata column `expected`: a
    list of names, or of `{name, arguments}`. Subclasses implement `_score_calls`.
    """

    expected: str | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """What holds calls, and what holds the expected ones."""
        return (*_CALLED, "expected_output" if self.expected is None else "metadata")

    @property
    def needs_expected_output(self) -> bool:
        """Whether the expected calls are in it."""
        return self.expected is None

    def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> Score | ScoreError:
        """Return the score, or the reason why there is none."""
        where = "the expected output"
        wanted = case.expected_output
        if self.expected is not None:
            where = f"metadata {self.expected!r}"
            wanted = case.metadata.get(self.expected)
        if wanted is None:
            return ScoreError(
                reason=f"the case has no expected calls: {where} is missing"
            )
        try:
            expected = expected_calls(wanted)
        except ValueError as error:
            return ScoreError(reason=f"{where}: {error}")
        called = calls_of(ctx.result)
        found = self._score_calls(called, expected)
        if isinstance(found, ScoreError):
            return found
        details = {
            "called": [call.to_json() for call in called],
            **(found.details or {}),
        }
        return Score(value=found.value, details=details)

    def _score_calls(
        self,
        called: Sequence[ToolCall],
        expected: Sequence[ToolCall],
    ) -> Score | ScoreError:
        raise NotImplementedError


@dataclass(frozen=True)
class ToolCalled(ToolMetric):
    """Whether the expected tools were called, by name, in any order.

    `measure` is what counts: `exact` is 1 where the names are the expected ones, each as
    often as expected, else 0; `recall` is the share of the expected calls that were made,
    `precision` the share of the calls that were expected, `f1` their harmonic mean.
    """

    component_id: ClassVar[str] = "builtin/tool_called"
    version: ClassVar[str] = "1"
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    measure: Literal["exact", "recall", "precision", "f1"] = "exact"

    def _score_calls(
        self,
        called: Sequence[ToolCall],
        expected: Sequence[ToolCall],
    ) -> Score:
        made = Counter(call.name for call in called)
        wanted = Counter(call.name for call in expected)
        details = {
            "missing": sorted((wanted - made).elements()),
            "unexpected": sorted((made - wanted).elements()),
        }
        value = float(made == wanted)
        if self.measure != "exact":
            value = _share_of((made & wanted).total(), called, expected, self.measure)
        return Score(value=value, details=details)


@dataclass(frozen=True)
class ToolArguments(ToolMetric):
    """The share of the expected calls that were made with the right arguments.

    `match` says when arguments are right: `exact`, they are the expected ones and no
    others; `subset`, the expected ones are among them; `schema`, they are valid by the
    JSON Schema that stands in their place. Numbers may differ by `abs_tol` + `rel_tol` ·
    |expected|. Each call counts for one expected call.
    """

    component_id: ClassVar[str] = "builtin/tool_arguments"
    version: ClassVar[str] = "1"
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    match: Literal["exact", "subset", "schema"] = "exact"
    abs_tol: Tolerance | int = 0.0
    rel_tol: Tolerance | int = 0.0

    def check_settings(self) -> None:
        """Raise `ComponentError` for a mistyped setting or a missing library."""
        super().check_settings()
        if self.match == "schema":
            installed_version("jsonschema", where=self.component_id)

    def settings(self) -> dict[str, Any]:
        """Return every setting, and the version of what validates by schemas."""
        settings = super().settings()
        if self.match == "schema":
            found = installed_version("jsonschema", where=self.component_id)
            settings["libraries"] = {"jsonschema": found}
        return settings

    def _score_calls(
        self,
        called: Sequence[ToolCall],
        expected: Sequence[ToolCall],
    ) -> Score | ScoreError:
        if not expected:
            return Score(value=1.0)
        try:
            pairs = _pair_up(called, expected, self._is_same)
        except ValueError as error:
            return ScoreError(reason=f"the expected arguments: {error}")
        wrong = [call.to_json() for at, call in enumerate(expected) if at not in pairs]
        return Score(value=len(pairs) / len(expected), details={"missing": wrong})

    def _is_same(
        self,
        call: ToolCall,
        wanted: ToolCall,
    ) -> bool:
        if call.name != wanted.name:
            return False
        # A name alone expects nothing of the arguments.
        if wanted.arguments is None:
            return True
        if self.match == "schema":
            check = compile_schema(wanted.arguments, cpu_s=MAX_CPU_S)
            return check(call.arguments) is None
        return self._agree(call.arguments or {}, wanted.arguments)

    def _agree(
        self,
        value: Any,
        wanted: Any,
    ) -> bool:
        """Return whether a value is the expected one, to the tolerance."""
        if isinstance(wanted, dict) and isinstance(value, dict):
            if self.match == "exact" and value.keys() != wanted.keys():
                return False
            return all(
                name in value and self._agree(value[name], item)
                for name, item in wanted.items()
            )
        if isinstance(wanted, list) and isinstance(value, list):
            if len(value) != len(wanted):
                return False
            return all(map(self._agree, value, wanted))
        if _is_number(value) and _is_number(wanted):
            allowed = self.abs_tol + self.rel_tol * abs(wanted)
            return bool(abs(value - wanted) <= allowed)
        return same_key(value) == same_key(wanted)


@dataclass(frozen=True)
class ToolOrder(ToolMetric):
    """1 where the expected tools were called in the expected order, else 0.

    `match` says which order counts: `exact`, these calls and no others; `in_order`, these
    calls one after the other, with others between them; `any_order`, these calls and
    maybe others. With `arguments`, the arguments of a call have to be the expected ones.
    """

    component_id: ClassVar[str] = "builtin/tool_order"
    version: ClassVar[str] = "1"
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    match: Literal["exact", "in_order", "any_order"] = "in_order"
    arguments: bool = False

    def _score_calls(
        self,
        called: Sequence[ToolCall],
        expected: Sequence[ToolCall],
    ) -> Score:
        if self.match == "any_order":
            pairs = _pair_up(called, expected, self._is_same)
            return Score(value=float(len(pairs) == len(expected)))
        if self.match == "exact":
            is_same = len(called) == len(expected) and all(
                map(self._is_same, called, expected)
            )
            return Score(value=float(is_same))
        remaining = iter(called)
        # Each expected call is looked for behind the one before it.
        is_in_order = all(
            any(self._is_same(call, wanted) for call in remaining)
            for wanted in expected
        )
        return Score(value=float(is_in_order))

    def _is_same(
        self,
        call: ToolCall,
        wanted: ToolCall,
    ) -> bool:
        if call.name != wanted.name:
            return False
        if not self.arguments or wanted.arguments is None:
            return True
        return same_key(call.arguments or {}) == same_key(wanted.arguments)


@dataclass(frozen=True)
class StepCount(Builtin):
    """How many steps a row took; fewer are better.

    `count` says which steps: calls of tools, answers of the model (`generations`), turns
    of the user, or all steps of the trace.
    """

    component_id: ClassVar[str] = "builtin/step_count"
    version: ClassVar[str] = "1"
    higher_is_better: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = _CALLED

    count: Literal["tool_calls", "generations", "turns", "steps"] = "tool_calls"

    def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> Score | ScoreError:
        """Return the number, or the reason why nobody knows it."""
        result = ctx.result
        if self.count == "tool_calls":
            return Score(value=float(len(calls_of(result))))
        if self.count == "steps":
            if result.trace is None:
                return ScoreError(reason="the row has no trace")
            return Score(value=float(len(result.trace)))
        role = "user" if self.count == "turns" else "assistant"
        number = _messages_of(result, role)
        if number is None:
            return ScoreError(reason="the row has no conversation")
        return Score(value=float(number))


def expected_calls(value: Any) -> list[ToolCall]:
    """Return the calls that a case expects. Raise `ValueError` if they cannot be read.

    >>> expected_calls(["now", {"name": "add", "arguments": {"a": 1}}])
    [ToolCall(name='now', arguments=None), ToolCall(name='add', arguments={'a': 1})]
    """
    items = value if isinstance(value, list) else [value]
    calls = []
    for item in items:
        if isinstance(item, str) and item:
            calls.append(ToolCall(item))
            continue
        name = item.get("name") if isinstance(item, Mapping) else None
        if not isinstance(name, str) or not name:
            raise ValueError(f"{shown(item)} is no call: {_FORM}")
        unknown = sorted(set(item) - set(_CALL_FIELDS))
        arguments = item.get("arguments")
        if unknown:
            raise ValueError(f"a call has no {unknown[0]!r}: {_FORM}")
        if arguments is not None and not isinstance(arguments, Mapping):
            raise ValueError(f"the arguments of {name!r} are no object: {_FORM}")
        calls.append(ToolCall(name, arguments))
    return calls


def _pair_up(
    called: Sequence[ToolCall],
    expected: Sequence[ToolCall],
    is_same: Same,
) -> dict[int, int]:
    """Return which call makes each expected one; as many pairs as there can be.

    By augmenting paths (Kuhn 1955): the first call that fits may be the only one that
    fits another.
    """
    fits: list[list[int]] = []
    for wanted in expected:
        fits.append([at for at, call in enumerate(called) if is_same(call, wanted)])
    taken: dict[int, int] = {}

    def place(wanted: int, seen: set[int]) -> bool:
        for at in fits[wanted]:
            if at in seen:
                continue
            seen.add(at)
            if at not in taken or place(taken[at], seen):
                taken[at] = wanted
                return True
        return False

    for position in range(len(expected)):
        place(position, set())
    return {position: at for at, position in taken.items()}


def _share_of(
    right: int,
    called: Sequence[ToolCall],
    expected: Sequence[ToolCall],
    measure: str,
) -> float:
    """Return precision, recall or F1; without calls there is nothing wrong with them."""
    precision = right / len(called) if called else float(not expected)
    recall = right / len(expected) if expected else 1.0
    if measure == "precision":
        return precision
    if measure == "recall":
        return recall
    both = precision + recall
    return 2 * precision * recall / both if both else 0.0


def _messages_of(
    result: GenerationResult,
    role: str,
) -> int | None:
    if result.conversation is None:
        return None
    return sum(message.role == role for message in result.conversation)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
