"""What a provider's limits and prices do to a run on Prefect."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import typer.testing
import yaml

from tests.drivers import flow_outcome
from tests.metered import UNDER_WAY
from themis_lib import BudgetError, Experiment, FatalError


def spec(folder: Path, **generator: Any) -> dict[str, Any]:
    cases = [{"case_id": str(at), "input": str(at)} for at in range(12)]
    return {
        "generation": {"generator": {"use": "tests.metered:Metered", **generator}},
        "datasets": [{"dataset_id": "d", "cases": cases}],
        "storage": {"store": str(folder / "store")},
        "runtime": {"shard_size": 1, "retries": 0},
        "cost": {"prices": {"metered": {"input": 1_000_000, "output": 1_000_000}}},
    }


@pytest.fixture(autouse=True)
def _counts() -> None:
    UNDER_WAY.update(now=0, most=0, calls=0)


@pytest.mark.slow
def test_a_global_limit_bounds_the_shards_of_every_process(prefect_api: str, tmp_path: Path) -> None:
    """With a limit of two slots, two shards call the provider at a time, whatever the task runner would start."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.settings import PREFECT_API_URL, temporary_settings

    async def create() -> None:
        async with get_client() as client:
            await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="two-slots", limit=2))

    with temporary_settings({PREFECT_API_URL: prefect_api}):
        asyncio.run(create())

    result = flow_outcome(spec(tmp_path, global_limit="two-slots"), tmp_path, prefect_api).run.result

    assert ("completed", 12) == (result.status.value, UNDER_WAY["calls"])
    assert 1 <= UNDER_WAY["most"] <= 2


def test_a_global_limit_that_is_not_there_is_one_error(prefect_api: str, tmp_path: Path) -> None:
    """The error names the command that creates it, and nothing was generated."""
    with pytest.raises(FatalError, match=r"no concurrency limit 'nowhere'.*prefect gcl create nowhere"):
        flow_outcome(spec(tmp_path, global_limit="nowhere"), tmp_path, prefect_api)

    assert 0 == UNDER_WAY["calls"]


def test_a_budget_holds_on_prefect_and_the_next_run_goes_on(prefect_api: str, tmp_path: Path) -> None:
    """The run stops before it passes its budget; what it paid for is not paid again."""
    limited = spec(tmp_path)
    limited["cost"]["max_cost"] = 55

    with pytest.raises(BudgetError, match="stopped at the budget"):
        flow_outcome(limited, tmp_path, prefect_api)
    made = UNDER_WAY["calls"]
    result = flow_outcome(spec(tmp_path), tmp_path, prefect_api).run.result

    assert 5 == made
    assert 12 == UNDER_WAY["calls"]
    assert (120.0, 70.0) == (result.manifest.cost, result.manifest.cost_paid)


def test_out_of_budget_has_an_exit_code_of_its_own(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--max-cost` on the command line: exit code 4, and `--plan` says what the rest would cost."""
    from flows.run import app

    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec(tmp_path)))

    stopped = typer.testing.CliRunner().invoke(app, [str(path), "--max-cost", "55"])
    planned = typer.testing.CliRunner().invoke(app, [str(path), "--plan"])

    assert 4 == stopped.exit_code
    assert "Go on with a higher max_cost" in stopped.output
    assert "about 63 input and 7 output tokens, $70.00" in planned.output


def test_the_specification_is_an_experiment(tmp_path: Path) -> None:
    """The same specification runs in process."""
    assert "completed" == Experiment.model_validate(spec(tmp_path)).run().status.value
