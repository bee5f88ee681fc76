"""What a component may offer beside its one method; each ability is optional.

A component has an ability by having the attribute or method of that name: there is
nothing to inherit or register. `components.build` reads all of them once, and gives
each a default where a component lacks it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, runtime_checkable

from themis_lib.core.batches import BatchApi
from themis_lib.core.config import RuntimeConfig
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, TokenUsage
from themis_lib.core.prompts import PromptSpec
from themis_lib.core.tools import Tool


@runtime_checkable
class DeclaresReads(Protocol):
    """A component that names the columns it reads; its keys cover these and no others.

    Without it, a component reads what its kind reads by default: the whole case.
    """

    reads: tuple[str, ...]


@runtime_checkable
class IsDeterministic(Protocol):
    """A generator that returns the same output for the same input and seed.

    If `deterministic` is true, equal rows are computed once. The default is false.
    """

    deterministic: bool


@runtime_checkable
class NamesModel(Protocol):
    """A generator that names the model it calls: its price, and its name in the UI."""

    model: str


@runtime_checkable
class SendsInstructions(Protocol):
    """A generator with instructions of its own, or `None`.

    A prompt spec with other instructions is refused: only one can be sent.
    """

    instructions: str | None


@runtime_checkable
class LimitsTokens(Protocol):
    """A generator whose outputs have at most `max_tokens` tokens; `None` is no limit.

    A budget needs a limit, and `--plan` estimates tokens with it.
    """

    max_tokens: int | None


@runtime_checkable
class BoundsUsage(Protocol):
    """A generator that knows the most tokens a call can take; a budget needs it."""

    def most_tokens(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> TokenUsage:
        """Return the most tokens that this call can be charged for."""


@runtime_checkable
class ChargesListPrice(Protocol):
    """A generator that may be charged the list price of its model.

    `at_list_price` is true where the provider itself is called, and not another server
    that serves a model of the same name. The default is false. A generator may name the
    `provider` as genai-prices does (`openai`, `anthropic`, `google`); without it, it is
    the one whose models have such names. Where `model` is not the name that the provider
    has for it, `listed_as` is.
    """

    at_list_price: bool


@runtime_checkable
class IsFree(Protocol):
    """A generator whose calls cost nothing where `is_free` is true.

    The default is false: calls of a user's own generator may cost money.
    """

    is_free: bool


@runtime_checkable
class SharesLimit(Protocol):
    """A generator that takes a slot of a named Prefect concurrency limit per shard."""

    global_limit: str | None


@runtime_checkable
class BoundsCalls(Protocol):
    """A generator that bounds its own requests.

    It is called at most `calls_at_once` times at a time and without a timeout: a call
    may wait its turn, and that time is not the provider's.
    """

    calls_at_once: int

    def with_runtime(self, runtime: RuntimeConfig) -> Self:
        """Return a copy that keeps to the run's concurrency and timeout.

        Its own settings win where it has any.
        """


@runtime_checkable
class AsksInBatches(Protocol):
    """A generator whose provider takes many requests as one batch, answered later.

    `runtime.batch` decides whether that is used. Whether a row came by batch changes
    nothing but its `transport`. `None` is a generator that cannot.
    """

    batch_api: BatchApi | None


@runtime_checkable
class RatesContinuations(Protocol):
    """A generator that takes inputs of `context` and `continuations`, and rates these.

    Where `rates_continuations` is true, the artifacts `choices` of its rows have for
    each, in order, its `logprob` and whether it `is_greedy`; or the output is a list of
    such pairs. Tasks of lm-eval that rate answers need it. The default is false.
    """

    rates_continuations: bool


@runtime_checkable
class VersionsInputs(Protocol):
    """A generator whose requests for some inputs are not those of earlier versions.

    Keys cover what is returned; the rows of all other inputs keep the keys they had.
    """

    def input_version(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> str | None:
        """Return the version of the request for an input; `None` if it never changed."""


@runtime_checkable
class VersionsPrompts(Protocol):
    """A generator whose prompts under some specs are not those of earlier versions."""

    def prompt_version(self, prompt_spec: PromptSpec) -> str | None:
        """Return the version of prompts under a spec; `None` if it never changed."""


@runtime_checkable
class ChecksPromptSpec(Protocol):
    """A generator that tells whether every part of a prompt spec would be sent."""

    def check_prompt_spec(self, prompt_spec: PromptSpec) -> None:
        """Raise `InputError`, naming the part that would not be."""


@runtime_checkable
class ChecksInputs(Protocol):
    """A generator that tells which inputs it has no request for.

    Lists of messages and of content parts are checked before anything is generated.
    """

    def check_input(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> None:
        """Raise `RowError`, naming the turn or the part that cannot be sent."""


@runtime_checkable
class KeepsToSchema(Protocol):
    """A generator that can enforce a JSON Schema on its output.

    `schema` is the one it enforces already, or `None`.
    """

    schema: Mapping[str, Any] | None

    def with_schema(self, schema: Mapping[str, Any]) -> Self:
        """Return a copy that enforces the schema. Raise `InputError` if it cannot."""


@runtime_checkable
class AsksOthers(Protocol):
    """A generator that makes its row of several calls, each kept once it is answered.

    `asked_generators` are those that it asks, by name, as an experiment writes them. It
    makes the calls through `ctx.steps`, and all that it asks is part of its identity. The
    first one is the model whose tokens the row counts; it is given the instructions.
    """

    asked_generators: Mapping[str, Any]


@runtime_checkable
class ShowsFirstRequest(Protocol):
    """A generator whose first request for an input is not the rendered input."""

    def first_request(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> list[dict[str, Any]]:
        """Return the messages of the first call. Raise `RowError` if there is none."""


@runtime_checkable
class CallsTools(Protocol):
    """A generator that asks others, and calls functions; these are identity too."""

    tool_functions: Mapping[str, Tool]


@runtime_checkable
class TakesTools(Protocol):
    """A generator whose model can be told which functions it may call.

    It says in its output which it wants to call: `{"tool_calls": [{"name": …,
    "arguments": …}]}`, with the text beside them as `text`.
    """

    def with_tools(self, tools: Sequence[Mapping[str, Any]]) -> Self:
        """Return a copy that offers functions, each as Chat Completions write it."""


@runtime_checkable
class BoundsScores(Protocol):
    """A metric that declares the lowest and the highest score it can give.

    A case without an answer counts as the worst of them. Without it, scores that all
    lie in 0 to 1 are taken to be of that range, and of others no worst is known.
    """

    score_range: tuple[float, float]


@runtime_checkable
class OrdersScores(Protocol):
    """A metric that says whether a higher score is better. The default is true."""

    higher_is_better: bool


@runtime_checkable
class AddsStatistics(Protocol):
    """A corpus metric whose rows have numbers that add up, such as counts.

    Where `additive` is true, the statistics of a row are numbers by name, a missing one
    is 0, and `corpus_score` is handed a single row, which has the sums: a resample then
    costs no more than a row. The default is false.
    """

    additive: bool


@runtime_checkable
class CountsUnanswered(Protocol):
    """A corpus metric that says what a case without an answer counts as.

    Without it such a case is left out.
    """

    def unanswered(self, expected_output: Any) -> Mapping[str, Any] | None:
        """Return the statistics of no answer; `None` where there are none."""


@runtime_checkable
class NeedsExpectedOutput(Protocol):
    """A metric that scores no case without an expected output.

    A run whose cases have none is refused before anything is generated. The default is
    false.
    """

    needs_expected_output: bool


@runtime_checkable
class ReadsUnfitVerdicts(Protocol):
    """A metric that reads what a judge wrote although it does not fit the schema.

    Where `reads_unfit_verdicts` is false, the default, a row that has no other verdict
    has no score.
    """

    reads_unfit_verdicts: bool


@runtime_checkable
class ReadsWholeOutput(Protocol):
    """A parser or metric to which `output` is the text as the model wrote it.

    That is with the reasoning that it begins with, tags included. The default is false:
    `output` is the answer alone.
    """

    whole_output: bool


@runtime_checkable
class NeedsSamples(Protocol):
    """A reducer that needs at least `k` samples of each case."""

    k: int


@runtime_checkable
class ChecksItself(Protocol):
    """A component that finds out before anything is generated whether it can work."""

    def check(self) -> None:
        """Raise `InputError` if it cannot: a missing credential, library or model."""


@runtime_checkable
class ResolvesReferences(Protocol):
    """A class whose parameters named in `resolves` keep `${NAME}` as written.

    The component reads these from the environment itself, at run time, so that no
    credential is held in its settings.
    """

    resolves: tuple[str, ...]


@runtime_checkable
class HasDefinition(Protocol):
    """A component whose code is that of something else, such as a wrapped function.

    The default is the component's class.
    """

    definition: Any
