"""The steps of a row that takes several calls: each is kept as soon as it has an answer.

A generator that makes its row of calls to other generators, or to functions, makes them
through the `steps` of its `GenerateContext`. Each call is a row of its own, found by
what was asked: a run that was killed asks again only what had no answer yet, and an
edit pays only for the calls that it changes.
"""

from __future__ import annotations

from typing import Protocol

from pydantic import JsonValue

from themis_lib.core.models import GenerationResult


class Steps(Protocol):
    """Makes the calls of one row, or finds what they returned before."""

    async def ask(
        self,
        name: str,
        value: JsonValue,
        *,
        seed: int,
    ) -> GenerationResult:
        """Return what a generator says to an input.

        `name` is that of one of `asked_generators`. A result with an `error` is a fact
        that would happen again. Raise what the call raised where it might not.
        """

    async def call(
        self,
        name: str,
        value: JsonValue,
        *,
        after: JsonValue,
    ) -> GenerationResult:
        """Return what a function returns for arguments, as `{"returned": …}`.

        `name` is that of one of `tool_functions`. `after` is what happened before the
        call: the same call at another place is another step.
        """
