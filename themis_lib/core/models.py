"""The nouns of an evaluation: cases, what is generated for them, and its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    model_validator,
)

from themis_lib.errors import DatasetError

#: Counts are stored as 64-bit integers.
Count = Annotated[int, Field(ge=0, lt=2**63)]
#: Sample indices are stored as 32-bit integers.
SampleIndex = Annotated[int, Field(ge=0, lt=2**31)]


class FrozenModel(BaseModel):
    """A frozen value. Unknown fields are refused, so that no misspelt one is lost."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
    )


class _RenamedModel(FrozenModel):
    """A value some of whose fields have other names in other libraries.

    Such a name is refused with the one that the field has here.
    """

    other_names: ClassVar[Mapping[str, str]]

    @model_validator(mode="before")
    @classmethod
    def _names_are_those_of_here(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and not cls.other_names.keys().isdisjoint(value):
            name = next(name for name in cls.other_names if name in value)
            raise ValueError(cls._named_here(name))
        return value

    if not TYPE_CHECKING:
        # Only called for what is not there; a type checker would allow every name.
        def __getattr__(self, name: str) -> Any:
            if name in type(self).other_names:
                raise AttributeError(self._named_here(name))
            return super().__getattr__(name)

    @classmethod
    def _named_here(cls, name: str) -> str:
        return f"{cls.__name__} has no {name!r}; it is {cls.other_names[name]!r} here"


class Case(FrozenModel):
    """One thing to evaluate: its input, the expected output, and facts to slice by."""

    case_id: str
    input: JsonValue
    expected_output: JsonValue = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict)


class Dataset(FrozenModel):
    """Cases under one name.

    Ids are unique; two cases may otherwise be equal.
    """

    dataset_id: str
    cases: Sequence[Case]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Dataset:
        seen: set[str] = set()
        for case in self.cases:
            if case.case_id in seen:
                raise DatasetError(
                    f"dataset {self.dataset_id!r}: case id {case.case_id!r} appears "
                    "twice; give each case its own"
                )
            seen.add(case.case_id)
        return self


class Message(FrozenModel):
    """One turn of a conversation, as chat APIs write it."""

    role: str
    content: Any = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class TraceStep(_RenamedModel):
    """One step a generator took on the way to its output."""

    other_names: ClassVar[Mapping[str, str]] = MappingProxyType({"step_name": "name"})

    name: str
    event: str = "step"
    input: Any = None
    output: Any = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class TokenUsage(FrozenModel):
    """Tokens as the provider counts them; `None` if it does not say.

    `cached_tokens` were read from the provider's prompt cache and `cache_write_tokens`
    written to it; both are among the input tokens. Reasoning tokens are among the
    output tokens.
    """

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    reasoning_tokens: Count | None = None


class GenerationResult(_RenamedModel):
    """What a generator returns for one candidate.

    `final_output` is any JSON value. `error` records a fact that would happen again (a
    refusal, a content filter); raise an exception for a failure that might not.
    `reasoning` is what the model thought before it answered; it is kept in `artifacts`.
    A text that begins with its reasoning (`<think>…</think>`) may be returned as it is.
    `transport` holds what differs at every call (request ids, rate limits, times): it
    is kept for people, and no component can read it. The pipeline sets `candidate_id`,
    `sample_index` and `seed` when results are assembled, over whatever the generator
    wrote there.
    """

    other_names: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"token_usage": "usage", "latency_ms": "latency_s"}
    )

    candidate_id: str = ""
    final_output: Any = None
    reasoning: str | None = None
    finish_reason: str | None = None
    trace: list[TraceStep] | None = None
    conversation: list[Message] | None = None
    artifacts: dict[str, Any] | None = None
    transport: dict[str, Any] | None = None
    usage: TokenUsage | None = None
    latency_s: float | None = None
    error: str | None = None
    sample_index: int | None = None
    seed: int | None = None


class ParsedOutput(FrozenModel):
    """The answer read from one candidate's output.

    If there is none, `value` is `None` and `error` says why.
    """

    value: Any = None
    format: str | None = None
    error: str | None = None


class Score(FrozenModel):
    """A metric's number for one candidate.

    Higher is better unless the metric says otherwise.
    """

    metric_id: str = ""
    value: float | None
    details: dict[str, Any] | None = None


class ScoreError(FrozenModel):
    """The reason why a metric has no score for a candidate.

    It is counted beside the mean, never scored as a wrong answer.
    """

    metric_id: str = ""
    reason: str
    details: dict[str, Any] | None = None


class Candidate(FrozenModel):
    """One sample of a case as a reducer sees it: its value and its score."""

    sample_index: int
    value: Any = None
    score: float | None = None
    error: str | None = None


class ReducedCandidate(FrozenModel):
    """One case under one metric after reduction.

    It is the chosen sample, or an aggregate if `sample_index` is `None`.
    """

    score: float | None
    sample_index: SampleIndex | None = None
    value: Any = None
    details: dict[str, Any] | None = None
    error: str | None = None
