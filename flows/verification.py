"""The verification flow: is what a store says of a run still true? For schedules.

`python -m flows.verify` does the same from a terminal.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import BaseModel, ConfigDict, Field

from tasks.events import announce_verification
from tasks.logs import without_tracebacks
from themis_lib import ConfigError, ThemisError
from themis_lib.components.module_folders import leave_safe_path
from themis_lib.core.config import StorageConfig
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.runs.find_run import LAST, find_run
from themis_lib.storage.store import open_store
from themis_lib.verification.models import Verification
from themis_lib.verification.verify import ALPHA, SAMPLE, RunVerification


class VerifyParameters(BaseModel):
    """Which run of which store, and how much of it."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field(
        default=LAST,
        min_length=1,
        description="A run's id, the beginning of one, `last`, or an experiment's name",
    )
    store: str = Field(
        default=DEFAULT_STORE,
        description="Where rows and runs are kept, as the machine that runs it sees it",
    )
    sample: Annotated[int, Field(ge=1)] = Field(
        default=SAMPLE,
        description="Rows of each stage; of a model that draws, the calls",
    )
    seed: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="The seed of the sample",
    )
    stages: list[str] = Field(
        default_factory=list,
        description="Only these stages, such as generate; else all",
    )
    alpha: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=ALPHA,
        description="The level of the tests of models",
    )
    with_calls: bool = Field(
        default=False,
        title="With calls",
        description="Make calls that may cost money; without, models are not asked",
    )


@flow(
    name="verify",
    description="Computes rows of a run again, and says what differs from the store.",
    persist_result=False,
)
async def verify(parameters: VerifyParameters) -> State[Any]:
    """Verify a run, emit the event of it, and return a state that says what was found."""
    without_tracebacks()
    leave_safe_path()
    try:
        # In a thread: it reads files and compiles the experiment.
        verification = await asyncio.to_thread(_opened, parameters)
        found = await verification.verify(with_calls=parameters.with_calls)
    except ThemisError as error:
        return Failed(message=str(error))
    message = found.verdict
    data = _facts(found)
    if found.cannot_tell:
        return Failed(message=message, data=data)
    announce_verification(found, message)
    if found.holds:
        return Completed(message=message, data=data)
    return Failed(name="Changed", message=message, data=data)


def _opened(parameters: VerifyParameters) -> RunVerification:
    store = open_store(*StorageConfig(store=parameters.store).resolved())
    if store.in_memory:
        raise ConfigError(f"store {parameters.store!r} is the memory of one process")
    return RunVerification.of(
        find_run(store, parameters.run),
        sample=parameters.sample,
        seed=parameters.seed,
        stages=parameters.stages,
        alpha=parameters.alpha,
    )


def _facts(found: Verification) -> dict[str, Any]:
    return {"run_id": found.run_id, "holds": found.holds}
