"""What the engine is asked for and what it gives back, for one text."""

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
    """A text to generate: at most `max_tokens` after the tokens of `prompt`, ended by
    any of the `stops`.

    A constraint says itself where its text ends: stop strings do not cut it.
    `top_logprobs` asks for log-probabilities, and for that many likely tokens beside
    each chosen one. `ignore_eos` lets no end token come.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    seed: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    stops: tuple[str, ...] = ()
    constraint: Constraint | None = None
    top_logprobs: int | None = None
    ignore_eos: bool = False


@dataclass(
    frozen=True,
    slots=True,
)
class Likely:
    """A token that might have come, and the natural logarithm of the model's
    probability for it.
    """

    token: int
    text: str
    logprob: float


@dataclass(
    frozen=True,
    slots=True,
)
class Token:
    """One generated token, and the text that it made certain: often its own, sometimes
    none, sometimes more.

    `logprob` is the model's own, before temperature, cuts, penalties and constraints.
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
    """A finished text. `finish_reason` is "stop" where the model, a stop string or a
    constraint ended it.
    """

    tokens: tuple[Token, ...]
    finish_reason: Literal["stop", "length"]

    @property
    def text(self) -> str:
        """The text of all tokens together."""
        return "".join(token.text for token in self.tokens)


_Result = TypeVar("_Result")


class Pending(Generic[_Result]):
    """What was asked for and is not there yet: a future that is settled once, unless it
    was given up.
    """

    def __init__(self) -> None:
        self.future: Future[_Result] = Future()

    def settle(self, result: _Result) -> None:
        """Give it to whoever asked."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """End it with an error."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


#: Told of each token as it comes, on the engine's thread.
OnToken = Callable[[Token], None]
