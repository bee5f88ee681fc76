"""How a flow run ends whose cases came to their end."""

from __future__ import annotations

from pathlib import Path

from tests.flows.test_evaluate import ask
from tests.flows.test_provider_runs import spec as metered
from tests.runs.test_summary import ERROR, spec_of
from tests.support.drivers import flow_outcome
from themis_lib import RunStatus


def test_missing_scores_fail_the_flow_where_none_may_be(
    prefect_api: str, tmp_path: Path
) -> None:
    """Under `errors: fail` the flow run is Failed, and its state says which metric
    lacks how many scores.
    """
    spec = {
        **spec_of(1, 0, ERROR, statistics={"errors": "fail"}),
        "name": "strict",
        "storage": {"store": str(tmp_path / "store")},
    }

    outcome = flow_outcome(spec, tmp_path, prefect_api)

    state = ask(
        prefect_api, lambda client: client.read_flow_run(outcome.flow_run_id)
    ).state
    assert (RunStatus.FAILED, "Failed") == (outcome.run.result.status, state.name)
    assert state.message.startswith(
        "1 of 3 cases of 'd' have no score (evaluation.statistics.errors is `fail`)"
    )


def test_state_says_whose_price_is_not_known(prefect_api: str, tmp_path: Path) -> None:
    """The dollars of a state never stand as if they were all."""
    judge = {"use": "tests.support.metered:Metered", "model": "of another price"}
    metric = {"use": "builtin/judge_correctness", "id": "quality", "judge": judge}
    spec = {**metered(tmp_path), "evaluation": {"metrics": [metric]}}
    spec["datasets"][0]["cases"] = [
        {**case, "expected_output": "x"} for case in spec["datasets"][0]["cases"]
    ]

    outcome = flow_outcome(spec, tmp_path, prefect_api)

    state = ask(
        prefect_api, lambda client: client.read_flow_run(outcome.flow_run_id)
    ).state
    assert (
        "; $120.00 paid (without judge[quality], whose price is not known); recorded in "
        in state.message
    )
