"""Plain functions as components; their code is their identity."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import FunctionType, MethodType
from typing import Any, cast

from themis_lib.components.records import is_component
from themis_lib.core.contexts import GenerateContext, ParseContext, ScoreContext
from themis_lib.core.models import (
    Case,
    GenerationResult,
    ParsedOutput,
    Score,
    ScoreError,
)
from themis_lib.core.parts import has_own_form
from themis_lib.core.prompts import PromptSpec, render_text
from themis_lib.core.protocols import GeneratorSpec, MetricSpec, ParserSpec
from themis_lib.errors import ComponentError, RowError
from themis_lib.identity.user_code import is_user_code, without_alias

#: A model: from the rendered prompt to an output.
ModelFunction = Callable[[str], Any]
#: A parser: from an output to a value; `None` means that there is no answer.
ParserFunction = Callable[[Any], Any]
#: A metric: from a value and the expected output to a number or a bool.
MetricFunction = Callable[[Any, Any], Any]
#: What a function of each kind is called with.
ARGUMENTS = {
    "generator": ("prompt",),
    "parser": ("output",),
    "metric": ("value", "expected_output"),
}
GeneratorLike = GeneratorSpec | ModelFunction
ParserLike = ParserSpec | ParserFunction
MetricLike = MetricSpec | MetricFunction


def as_generator(model: GeneratorLike) -> GeneratorSpec:
    """Return a function as a generator; anything else as it is."""
    if not _is_function(model):
        return cast(GeneratorSpec, model)
    return FunctionGenerator(cast(ModelFunction, model))


def as_parser(parser: ParserLike) -> ParserSpec:
    """Return a function as a parser; anything else as it is."""
    if not _is_function(parser):
        return cast(ParserSpec, parser)
    function = cast(ParserFunction, parser)
    if inspect.iscoroutinefunction(function):
        return AsyncFunctionParser(function)
    return FunctionParser(function)


def as_metric(metric: MetricLike) -> MetricSpec:
    """Return a function as a metric; anything else as it is."""
    if not _is_function(metric):
        return cast(MetricSpec, metric)
    function = cast(MetricFunction, metric)
    if inspect.iscoroutinefunction(function):
        return AsyncFunctionMetric(function)
    return FunctionMetric(function)


def is_plain_function(
    kind: str,
    found: object,
) -> bool:
    """Return whether an imported object is a function that can be a component of a kind.

    It is the user's own, names the arguments that the kind gives it, and does not say
    that it returns nothing. A function of a library is none: an experiment could
    otherwise have `subprocess:getoutput` answer its prompts.
    """
    arguments = ARGUMENTS.get(kind)
    if arguments is None or not isinstance(found, FunctionType):
        return False
    if not is_user_code(found.__code__, str(found.__module__)):
        return False
    if found.__annotations__.get("return", "") in (None, "None", "NoReturn"):
        return False
    named = found.__code__.co_argcount
    return named >= len(arguments)


def function_component(
    kind: str,
    function: FunctionType,
    parameters: Mapping[str, Any],
    *,
    label: str,
) -> Any:
    """Return a function as a component of a kind, with parameters bound to it.

    Raise `ComponentError` if it does not take them, or needs others.
    """
    signature = inspect.signature(function)
    given: list[Any] = [None] * len(ARGUMENTS[kind])
    try:
        signature.bind(*given, **parameters)
    except TypeError as error:
        takes = ", ".join(ARGUMENTS[kind])
        raise ComponentError(
            f"{label} is called with ({takes}) and its parameters: {error}"
        ) from None
    bound = partial(function, **parameters) if parameters else function
    make: Any = {"generator": as_generator, "parser": as_parser, "metric": as_metric}
    return make[kind](bound)


def _is_function(value: object) -> bool:
    # A component may be callable, too: then it is a component.
    return callable(value) and not is_component(value)


@dataclass(frozen=True)
class _FunctionComponent:
    """A component that is one function."""

    function: Callable[..., Any]
    version: str = field(
        default="1",
        init=False,
    )

    @property
    def definition(self) -> Any:
        """What the code is that identifies it, with the values that it is bound to."""
        return self.function

    @property
    def component_id(self) -> str:
        """The function's name."""
        code = _unwrap_callable(self.function)
        return str(getattr(code, "__name__", type(self.function).__name__))

    def fingerprint(self) -> str:
        """Return the function's qualified name; its code and values are beside it."""
        code = _unwrap_callable(self.function)
        module = without_alias(str(getattr(code, "__module__", "builtins")))
        return f"{module}:{getattr(code, '__qualname__', '')}"


def _unwrap_callable(function: Any) -> Any:
    """Return the function or class behind a callable."""
    # Partials may be nested.
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, MethodType):
        owner = function.__self__
        return owner if isinstance(owner, type) else type(owner)
    if isinstance(function, (FunctionType, type)):
        return function
    return type(function)


class FunctionGenerator(_FunctionComponent):
    """A function from the rendered prompt to an output, sync or async.

    The prompt is one text: instructions first, a conversation as JSON.
    """

    reads = ("input",)

    def prompt_version(self, prompt_spec: PromptSpec) -> str | None:
        """Return the version of prompts under a spec; `None` if it never changed."""
        # Functions were not told the instructions.
        return "instructions-1" if prompt_spec.instructions else None

    def check_input(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> None:
        """Raise `RowError` for an input with an image, audio or a file."""
        if has_own_form(case_input):
            raise RowError(
                f"{self.component_id} is a function of a text, and the input has an "
                "image, audio or a file; write a generator with a method `generate`"
            )

    def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult | Awaitable[GenerationResult]:
        """Return the function's output for the rendered prompt."""
        self.check_input(case.input, ctx.prompt_spec)
        output = self.function(render_text(ctx.prompt_spec, case.input))
        # Found out from the output: a lambda may return a coroutine, too.
        if inspect.isawaitable(output):
            return _await_result(output)
        return _as_result(output)


class FunctionParser(_FunctionComponent):
    """A function from an output to a value; `None` means that there is no answer."""

    reads = ("output",)

    def parse(
        self,
        result: GenerationResult,
        ctx: ParseContext,
    ) -> ParsedOutput | Awaitable[ParsedOutput]:
        """Return the function's value for the output."""
        return _as_parsed(self.function(result.final_output))


class FunctionMetric(_FunctionComponent):
    """A function from a value and the expected output to a number or a bool."""

    reads = ("value", "expected_output")

    def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> Score | ScoreError | Awaitable[Score | ScoreError]:
        """Return the function's score for the value."""
        return _as_score(self.function(parsed.value, case.expected_output))


class AsyncFunctionParser(FunctionParser):
    """An async function from an output to a value."""

    async def parse(
        self,
        result: GenerationResult,
        ctx: ParseContext,
    ) -> ParsedOutput:
        """Return the function's value for the output."""
        return _as_parsed(await self.function(result.final_output))


class AsyncFunctionMetric(FunctionMetric):
    """An async function from a value and the expected output to a number or a bool."""

    async def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> Score | ScoreError:
        """Return the function's score for the value."""
        return _as_score(await self.function(parsed.value, case.expected_output))


def _as_parsed(value: Any) -> ParsedOutput:
    return value if isinstance(value, ParsedOutput) else ParsedOutput(value=value)


def _as_score(score: Any) -> Score | ScoreError:
    if isinstance(score, (bool, int, float)):
        return Score(value=float(score))
    # The stage refuses what is no score, in the row.
    return cast(Score, score)


async def _await_result(output: Awaitable[Any]) -> GenerationResult:
    return _as_result(await output)


def _as_result(output: Any) -> GenerationResult:
    if isinstance(output, GenerationResult):
        return output
    return GenerationResult(final_output=output)
