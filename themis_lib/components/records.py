"""Components as the stages see them: typed records, every optional ability spelled out.

A record is made once, by `components.build`. Nothing else asks a component what it can
do; the abilities are documented in `core.abilities`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self, TypeVar

from themis_lib.components.builtin import Builtin
from themis_lib.core.batches import BatchApi
from themis_lib.core.config import Libraries, RuntimeConfig
from themis_lib.core.contexts import (
    GenerateContext,
    ParseContext,
    ReduceContext,
    ScoreContext,
)
from themis_lib.core.model_prices import PriceOf
from themis_lib.core.models import (
    Candidate,
    Case,
    GenerationResult,
    ParsedOutput,
    ReducedCandidate,
    Score,
    ScoreError,
    TokenUsage,
)
from themis_lib.core.prices import Price
from themis_lib.core.prompts import PromptSpec
from themis_lib.core.protocols import (
    ANSWER_COLUMNS,
    CASE_COLUMNS,
    OUTPUT_COLUMNS,
    WHOLE_CASE,
    Component,
    JudgeCall,
)
from themis_lib.core.secrets import names_credential
from themis_lib.core.tools import Tool
from themis_lib.identity.code import CodeIdentity, code_identity_of
from themis_lib.identity.state import note_state, without_state
from themis_lib.identity.user_code import is_user_class
from themis_lib.identity.values import attributes_of
from themis_lib.identity.watch import read_at_import

Generated = GenerationResult | Awaitable[GenerationResult]
Scored = Score | ScoreError | Awaitable[Score | ScoreError]
GenerateCall = Callable[[Case, GenerateContext], Generated]
GenerateBatchCall = Callable[[Sequence[Case], Sequence[GenerateContext]], Any]
ParseCall = Callable[
    [GenerationResult, ParseContext], ParsedOutput | Awaitable[ParsedOutput]
]
ScoreCall = Callable[[ParsedOutput, Case, ScoreContext], Scored]
ScoreBatchCall = Callable[
    [Sequence[ParsedOutput], Sequence[Case], Sequence[ScoreContext]], Any
]
ReduceCall = Callable[
    [Sequence[Candidate], ReduceContext],
    ReducedCandidate | Awaitable[ReducedCandidate],
]
CorpusScoreCall = Callable[[Sequence[Mapping[str, Any]]], float]
UnansweredCall = Callable[[Any], Mapping[str, Any] | None]
Record = TypeVar("Record", bound="BuiltComponent")
InputVersionCall = Callable[[Any, PromptSpec], str | None]
PromptVersionCall = Callable[[PromptSpec], str | None]
CheckPromptSpecCall = Callable[[PromptSpec], None]
CheckInputCall = Callable[[Any, PromptSpec], None]
FirstRequestCall = Callable[[Any, PromptSpec], list[dict[str, Any]]]
MostTokensCall = Callable[[Case, GenerateContext], TokenUsage]


@dataclass(frozen=True)
class KindRules:
    """What a kind of component must offer and may read."""

    methods: tuple[str, ...]
    may_read: tuple[str, ...]
    default_reads: tuple[str, ...]


KINDS: Mapping[str, KindRules] = {
    "generator": KindRules(
        methods=("generate", "generate_batch"),
        may_read=(*CASE_COLUMNS, "sample_index"),
        default_reads=WHOLE_CASE,
    ),
    "parser": KindRules(
        methods=("parse",),
        may_read=(*OUTPUT_COLUMNS, *CASE_COLUMNS),
        default_reads=("output",),
    ),
    "metric": KindRules(
        methods=("score", "score_batch"),
        may_read=(*ANSWER_COLUMNS, *OUTPUT_COLUMNS, *CASE_COLUMNS),
        default_reads=(*ANSWER_COLUMNS, *WHOLE_CASE),
    ),
    "reducer": KindRules(
        methods=("reduce",),
        may_read=("value", "score"),
        default_reads=("value", "score"),
    ),
}


@dataclass(frozen=True)
class BuiltComponent:
    """What every record has: the component as it was given, and what it says of itself.

    `name` is what the component is called in tables: the `id` of its configuration,
    else its component id. `given` are the parameters of its configuration, as written.
    `covers_libraries` says whether another version of a library makes it another one.
    `read_when_built` are the files that were read to make it, with their contents.
    """

    component: Component
    name: str
    reads: tuple[str, ...]
    given: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    covers_libraries: bool = field(default=True, kw_only=True)
    read_when_built: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    #: The component that identifies it, where a copy of it computes.
    configured: Component | None = field(default=None, kw_only=True)

    @property
    def component_id(self) -> str:
        """The id that the component declares."""
        return self.component.component_id

    def covering(self, libraries: Libraries) -> Self:
        """Return the record with the setting `identity.libraries` applied."""
        is_covered = libraries == "all"
        if libraries == "scoring":
            is_covered = not isinstance(self, (BuiltGenerator, BuiltTool))
        return self._share_code(replace(self, covers_libraries=is_covered))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that says what the component computes, as JSON.

        Its id, version, settings and columns read; for a user's component, also what
        its code reaches.
        """
        component = self.configured or self.component
        # All of it enters digests: a new entry here moves every fingerprint.
        identity: dict[str, Any] = {
            "component_id": component.component_id,
            "version": component.version,
            "reads": list(self.reads),
        }
        if isinstance(component, Builtin):
            identity["settings"] = component.settings()
        if self.code is None:
            return identity
        identity["fingerprint"] = component.fingerprint()
        identity |= self.code.to_json()
        if self.covers_libraries:
            identity["libraries"] = dict(self.code.libraries)
        return identity

    @cached_property
    def code(self) -> CodeIdentity | None:
        """What a user's component reaches; `None` for a built-in.

        A golden test holds a built-in to its declared version, so its code is left out.
        """
        reached = self._reached_code()
        return None if reached is None else without_state(self._root, reached)

    @cached_property
    def files(self) -> dict[str, str]:
        """The files that were read to import and make a user's component.

        With the contents that it computes with, whatever they are now.
        """
        if self.code is None:
            return {}
        return {**read_at_import(self.code.modules), **self.read_when_built}

    def note_state(self) -> None:
        """Note what a run has left in the values that the component's code keeps."""
        reached = self._reached_code()
        if reached is not None and self.code is not None:
            note_state(self._root, self.code, reached)

    def _share_code(self, record: Record) -> Record:
        """Give a record of the same component what this one knows of its code."""
        # To walk through the code again would say the same, and take as long.
        if "code" in self.__dict__:
            record.__dict__["code"] = self.code
        return record

    @property
    def _root(self) -> Any:
        component = self.configured or self.component
        return getattr(component, "definition", component)

    def _reached_code(self) -> CodeIdentity | None:
        component = self.configured or self.component
        definition = getattr(component, "definition", None)
        if definition is not None:
            return code_identity_of(
                definition,
                left_out=getattr(definition, "runtime", ()),
                is_secret=names_credential,
            )
        if not is_user_class(type(component)):
            return None
        attributes = _own_attributes(component)
        settings = {}
        for name, item in self.given.items():
            # Most components keep a setting as an attribute: once is enough.
            if name not in attributes or repr(attributes[name]) != repr(item):
                settings[name] = item
        return code_identity_of(
            type(component),
            values={"attribute": attributes, "setting": settings},
            left_out=getattr(component, "runtime", ()),
            is_secret=names_credential,
        )


def _own_attributes(component: Any) -> dict[str, Any]:
    """Return what an object holds, without the settings of a built-in that it extends."""
    held = attributes_of(component)
    if isinstance(component, Builtin):
        for name in component.settings():
            held.pop(name, None)
    return held


@dataclass(frozen=True)
class BuiltTool(BuiltComponent):
    """A function that a generator's model may call."""

    @property
    def tool(self) -> Tool:
        """The function, with the schema of its arguments."""
        assert isinstance(self.component, Tool)  # `build` makes no other
        return self.component


@dataclass(frozen=True)
class BuiltGenerator(BuiltComponent):
    """A generator: it has `generate`, `generate_batch` or both.

    `asks` are the generators that it makes its rows of, and `tools` the functions.
    """

    generate: GenerateCall | None
    generate_batch: GenerateBatchCall | None
    deterministic: bool
    is_free: bool
    model: str | None
    instructions: str | None
    at_list_price: bool
    most_tokens: MostTokensCall | None
    # Whether it declares `max_tokens`, which may still be `None`.
    has_token_limit: bool
    max_tokens: int | None
    global_limit: str | None
    calls_at_once: int | None
    schema: Mapping[str, Any] | None
    enforces_schemas: bool
    input_version: InputVersionCall | None = None
    check_input: CheckInputCall | None = None
    prompt_version: PromptVersionCall | None = None
    check_prompt_spec: CheckPromptSpecCall | None = None
    rates_continuations: bool = False
    provider: str | None = None
    listed_as: str | None = None
    batch_api: BatchApi | None = None
    first_request: FirstRequestCall | None = None
    asks: Mapping[str, BuiltGenerator] = field(default_factory=dict)
    tools: Mapping[str, BuiltTool] = field(default_factory=dict)

    @property
    def is_async(self) -> bool:
        """Whether `generate` is a coroutine function."""
        return self.generate is not None and is_async(self.generate)

    def price_of(self, prices: Mapping[str, Price]) -> PriceOf:
        """Return what its tokens cost, an experiment's own `prices` first."""
        return PriceOf(
            self.model,
            prices,
            at_list_price=self.at_list_price,
            provider=self.provider,
            listed_as=self.listed_as,
        )

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that says what it computes, and what those do that it asks."""
        identity = dict(super().identity)
        for kind, members in (("asks", self.asks), ("tools", self.tools)):
            # Most generators ask nobody: their fingerprints do not know of it.
            if members:
                identity[kind] = {name: item.identity for name, item in members.items()}
        return identity

    def covering(self, libraries: Libraries) -> BuiltGenerator:
        """Return the record with the setting `identity.libraries` applied."""
        covered = super().covering(libraries)
        if not self.asks:
            return covered
        asks = {name: item.covering(libraries) for name, item in self.asks.items()}
        tools = {name: item.covering(libraries) for name, item in self.tools.items()}
        return covered._share_code(replace(covered, asks=asks, tools=tools))

    def with_runtime(self, runtime: RuntimeConfig) -> BuiltGenerator:
        """Return the generator keeping to a run's concurrency and timeout.

        Without the ability, it is returned as it is.
        """
        adapt = getattr(self.component, "with_runtime", None)
        if adapt is None:
            return self
        # Its keys stay those of the generator that was configured: `reads` too.
        adapted = self._adapted(adapt(runtime))
        configured = self.configured or self.component
        return self._share_code(
            replace(adapted, reads=self.reads, configured=configured)
        )

    def with_schema(self, schema: Mapping[str, Any]) -> BuiltGenerator:
        """Return the generator enforcing a JSON Schema.

        Raise `InputError` if the schema cannot be enforced. Only for a generator with
        `enforces_schemas`.
        """
        component: Any = self.component
        return self._adapted(component.with_schema(schema))

    def _adapted(self, component: Any) -> BuiltGenerator:
        """Return the record of a copy of the generator that computes in its place."""
        return replace(
            generator_record(component, self.name),
            given=self.given,
            covers_libraries=self.covers_libraries,
            read_when_built=self.read_when_built,
            asks=self.asks,
            tools=self.tools,
        )


@dataclass(frozen=True)
class BuiltParser(BuiltComponent):
    """A parser. With `whole_output` it reads texts with the reasoning in them."""

    parse: ParseCall
    whole_output: bool = False

    @property
    def is_async(self) -> bool:
        """Whether `parse` is a coroutine function."""
        return is_async(self.parse)


@dataclass(frozen=True)
class BuiltMetric(BuiltComponent):
    """A metric: it has `score`, `score_batch` or both, and may ask judges.

    `judge_calls` returns the questions it asks; `judges` are the configurations of the
    judges it names itself, or `None` where the experiment's are asked. `score_range`
    are the lowest and the highest score it can give, if it says. With
    `needs_expected_output`, it scores no case without one. With
    `reads_unfit_verdicts` it scores replies that a judge's schema refused, and with
    `whole_output` it reads texts with the reasoning in them. With `corpus_score` it is
    a metric of a data set, whose rows' statistics may be `additive`; `unanswered` has
    those of a case without an answer.
    """

    score: ScoreCall | None
    score_batch: ScoreBatchCall | None
    judge_calls: Callable[[], Sequence[JudgeCall]] | None
    judges: tuple[Any, ...] | None
    reads_unfit_verdicts: bool
    score_range: tuple[float, float] | None = None
    higher_is_better: bool = True
    needs_expected_output: bool = False
    whole_output: bool = False
    corpus_score: CorpusScoreCall | None = None
    additive: bool = False
    unanswered: UnansweredCall | None = None

    @property
    def is_async(self) -> bool:
        """Whether `score` is a coroutine function."""
        return self.score is not None and is_async(self.score)


@dataclass(frozen=True)
class BuiltReducer(BuiltComponent):
    """A reducer; `k` is how many samples of each case it needs at least, if it says."""

    reduce: ReduceCall
    k: int | None

    @property
    def is_async(self) -> bool:
        """Whether `reduce` is a coroutine function."""
        return is_async(self.reduce)


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether a function, or an object that is called, is a coroutine function."""
    # Of its class: calling a class makes an object, whatever its objects do.
    call = type(function).__call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def is_component(value: object) -> bool:
    """Return whether a value presents itself as a component, and not as a function."""
    return hasattr(value, "component_id")


def reads_of(
    kind: str,
    component: object,
) -> tuple[str, ...]:
    """Return the columns a component declares, or its kind's where it declares none."""
    return tuple(getattr(component, "reads", KINDS[kind].default_reads))


def generator_record(
    component: Any,
    name: str,
) -> BuiltGenerator:
    """Return the record of a generator."""
    # Text in tables and price lists, whatever type a user's generator has for it.
    model = getattr(component, "model", None)
    return BuiltGenerator(
        component=component,
        name=name,
        reads=reads_of("generator", component),
        generate=_method_or_none(component, "generate"),
        generate_batch=_method_or_none(component, "generate_batch"),
        deterministic=bool(getattr(component, "deterministic", False)),
        is_free=bool(getattr(component, "is_free", False)),
        model=None if model is None else str(model),
        instructions=getattr(component, "instructions", None),
        at_list_price=bool(getattr(component, "at_list_price", False)),
        most_tokens=_method_or_none(component, "most_tokens"),
        has_token_limit=hasattr(component, "max_tokens"),
        max_tokens=getattr(component, "max_tokens", None),
        global_limit=getattr(component, "global_limit", None),
        # 0 is no bound, as `None` is.
        calls_at_once=getattr(component, "calls_at_once", None) or None,
        covers_libraries=False,
        schema=getattr(component, "schema", None),
        enforces_schemas=callable(getattr(component, "with_schema", None)),
        input_version=_method_or_none(component, "input_version"),
        check_input=_method_or_none(component, "check_input"),
        prompt_version=_method_or_none(component, "prompt_version"),
        check_prompt_spec=_method_or_none(component, "check_prompt_spec"),
        rates_continuations=bool(getattr(component, "rates_continuations", False)),
        provider=_text_or_none(component, "provider"),
        listed_as=_text_or_none(component, "listed_as"),
        batch_api=getattr(component, "batch_api", None),
        first_request=_method_or_none(component, "first_request"),
    )


def parser_record(
    component: Any,
    name: str,
) -> BuiltParser:
    """Return the record of a parser."""
    return BuiltParser(
        component=component,
        name=name,
        reads=reads_of("parser", component),
        parse=component.parse,
        whole_output=bool(getattr(component, "whole_output", False)),
    )


def metric_record(
    component: Any,
    name: str,
) -> BuiltMetric:
    """Return the record of a metric."""
    judge = getattr(component, "judge", None)
    # One judge is a panel of one.
    if judge is not None and not isinstance(judge, (list, tuple)):
        judge = (judge,)
    return BuiltMetric(
        component=component,
        name=name,
        reads=reads_of("metric", component),
        score=_method_or_none(component, "score"),
        score_batch=_method_or_none(component, "score_batch"),
        judge_calls=_method_or_none(component, "judge_calls"),
        reads_unfit_verdicts=bool(getattr(component, "reads_unfit_verdicts", False)),
        judges=None if judge is None else tuple(judge),
        score_range=_range_or_none(component),
        higher_is_better=bool(getattr(component, "higher_is_better", True)),
        needs_expected_output=bool(getattr(component, "needs_expected_output", False)),
        whole_output=bool(getattr(component, "whole_output", False)),
        corpus_score=_method_or_none(component, "corpus_score"),
        additive=getattr(component, "additive", False) is True,
        unanswered=_method_or_none(component, "unanswered"),
    )


def reducer_record(
    component: Any,
    name: str,
) -> BuiltReducer:
    """Return the record of a reducer."""
    k = getattr(component, "k", None)
    # A user's reducer may have another attribute of this name.
    return BuiltReducer(
        component=component,
        name=name,
        reads=reads_of("reducer", component),
        reduce=component.reduce,
        k=k if isinstance(k, int) else None,
    )


def _range_or_none(metric: object) -> tuple[float, float] | None:
    """Return the declared range of a metric's scores, `None` where it has none."""
    declared = getattr(metric, "score_range", None)
    # A user's metric may have another attribute of this name.
    if not isinstance(declared, (tuple, list)) or len(declared) != 2:
        return None
    if not all(isinstance(end, (int, float)) for end in declared):
        return None
    low, high = map(float, declared)
    return (low, high) if -math.inf < low < high < math.inf else None


def _text_or_none(
    component: object,
    name: str,
) -> str | None:
    """Return an attribute that is text, or `None`: a user's may be anything."""
    value = getattr(component, name, None)
    return value if isinstance(value, str) else None


def _method_or_none(
    component: object,
    name: str,
) -> Any:
    """Return a method of a component, or `None` where it has no such method."""
    method = getattr(component, name, None)
    return method if callable(method) else None
