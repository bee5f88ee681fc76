"""A request to the engine for one text, and what the engine returns."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from themis_lib.engine.constraints.constraint import Constraint
from themis_lib.engine.sampling import Sampling


@dataclass(
    frozen=True,
    slots=True,
)
class Request:
    """A text to generate: at most `max_tokens` after the tokens of `prompt`.

    Any of the `stops` ends it earlier. A constraint decides itself where its text ends:
    stop strings do not cut it. `top_logprobs` asks for log-probabilities, and for that
    many likely tokens beside each chosen one. `ignore_eos` allows no end token.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    seed: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    stops: tuple[str, ...] = ()
    constraint: Constraint | None = None
    # 0 is not `None`: the chosen token's own log-probability, with none beside it.
    top_logprobs: int | None = None
    ignore_eos: bool = False


@dataclass(
    frozen=True,
    slots=True,
)
class Likely:
    """A token that might have been chosen.

    `logprob` is the natural logarithm of the model's probability for it.
    """

    token: int
    text: str
    logprob: float


@dataclass(
    frozen=True,
    slots=True,
)
class Token:
    """One generated token, and the text that it made certain.

    That is often the token's own text, sometimes none, sometimes more. `logprob` is the
    model's own, before temperature, cuts, penalties and constraints.
    """

    token: int
    text: str
    logprob: float | None = None
    likely: tuple[Likely, ...] = ()


@dataclass(
    frozen=True,
    slots=True,
)
class Generation:
    """A finished text.

    `finish_reason` is "stop" if the model, a stop string or a constraint ended it.
    """

    tokens: tuple[Token, ...]
    finish_reason: Literal["stop", "length"]

    @property
    def text(self) -> str:
        """The text of all tokens together."""
        return "".join(token.text for token in self.tokens)


_Result = TypeVar("_Result")


class Pending(Generic[_Result]):
    """A result in the making: its future is settled once, unless it was cancelled."""

    def __init__(self) -> None:
        self.future: Future[_Result] = Future()

    # The caller may cancel at any moment, and setting a cancelled future raises. Both
    # methods claim the future first, after which it can no longer be cancelled.

    def settle(self, result: _Result) -> None:
        """Set the result, unless the future was cancelled."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Set an error, unless the future was cancelled."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


#: Called with each token when it is chosen, on the engine's thread: it must be quick,
#: because the texts beside it wait.
OnToken = Callable[[Token], None]
