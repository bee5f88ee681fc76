"""A provider's batch API as a stage uses it: many requests sent at once, answered later.

A generator has the ability by its attribute `batch_api`; see `core.abilities`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult

#: What a provider returns for one line of a batch, as JSON.
BatchReply = Mapping[str, Any]


@dataclass(frozen=True)
class BatchLimits:
    """The most that a provider takes as one batch."""

    rows: int
    bytes: int


@dataclass(frozen=True)
class BatchStatus:
    """How far a batch is: `state` in the provider's own word, `answered` of `rows`.

    If it `has_ended`, nothing more will be answered. `failure` says why the provider
    refused the batch as a whole, and what that means.
    """

    state: str
    has_ended: bool
    answered: int
    rows: int
    failure: Exception | None = None


@dataclass(frozen=True)
class FoundBatch:
    """The batch of a submission whose reply was lost; `batch_id` is `None` without one.

    If not `is_certain`, the provider cannot tell yet, and has to be asked again.
    """

    batch_id: str | None
    is_certain: bool = True


@runtime_checkable
class BatchApi(Protocol):
    """A provider's batch API for one generator.

    Methods that send something raise what they mean: `TransientError` for what may
    pass, `FatalError` for what concerns every request.
    """

    @property
    def limits(self) -> BatchLimits:
        """The most that one batch may have."""

    def line(
        self,
        custom_id: str,
        case: Case,
        ctx: GenerateContext,
    ) -> bytes:
        """Return the request for a row, as JSON on one line.

        `custom_id` has 32 hexadecimal digits. Raise as `generate` does for a row that
        cannot be asked.
        """

    async def prepare(self, lines: Sequence[bytes]) -> dict[str, Any]:
        """Send what costs nothing, such as a file of the lines; return its ids as JSON."""

    async def discard(self, prepared: Mapping[str, Any]) -> None:
        """Remove what `prepare` has sent and nothing will use."""

    async def submit(
        self,
        label: str,
        lines: Sequence[bytes],
        prepared: Mapping[str, Any],
        *,
        timeout_s: float,
    ) -> str:
        """Create the batch with one request, never a second one, and return its id.

        `label` goes along where the provider keeps such a text.
        """

    async def find(
        self,
        label: str,
        custom_ids: Sequence[str],
        prepared: Mapping[str, Any],
        *,
        since: float,
        not_these: Sequence[str],
    ) -> FoundBatch:
        """Look for the batch of a `submit` whose reply nobody noted.

        It was created after `since` (seconds since 1970), and is not one of `not_these`.
        """

    async def status(self, batch_id: str) -> BatchStatus:
        """Return how far a batch is."""

    async def cancel(self, batch_id: str) -> None:
        """Ask the provider to end a batch; rows that are answered stay answered."""

    def replies(self, batch_id: str) -> AsyncIterator[tuple[str, BatchReply]]:
        """Yield the custom id and the reply of each row of a batch that has ended."""

    def read(self, reply: BatchReply) -> GenerationResult:
        """Return a reply as a result, by the code that reads live replies.

        Raise `RowError` for a fact, `TransientError` for a row without an answer:
        expired, cancelled or failed for now.
        """

    def finish(
        self,
        result: GenerationResult,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """Return the result with what it has of its case: conversation, checked output."""
