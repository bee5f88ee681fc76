"""The form that the UI makes of the flow's parameters: described, with defaults, and
refusing what cannot be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect.exceptions import PrefectHTTPStatusError
from prefect.utilities.callables import parameter_schema

from flows.evaluate import evaluate
from flows.parameters import EvaluateParameters
from tests.support.prefect_api import Api, experiment_file


@pytest.fixture(scope="module")
def form(api: Api) -> Api:
    """The server with a deployment that nothing runs."""

    async def deploy(client: Any) -> None:
        await (await evaluate.ato_deployment("form")).aapply()

    api.ask(deploy)
    return api


def fields() -> dict[str, Any]:
    return dict(
        parameter_schema(evaluate).definitions["EvaluateParameters"]["properties"]
    )


def test_every_field_has_a_title_and_a_description() -> None:
    """No field is left to be guessed, and the experiment, which alone is needed, comes
    first.
    """
    assert [
        "experiment",
        "data",
        "store",
        "cell",
        "limit",
        "until_stage",
        "runner",
        "workers",
        "max_cost",
        "gates",
        "gate_by",
        "until_decided",
        "against",
        "delta",
        "alpha",
        "order_seed",
        "overrides",
    ] == list(fields())
    for name, field in fields().items():
        assert {"title", "description"} <= set(field), name
    assert ["experiment"] == parameter_schema(evaluate).definitions[
        "EvaluateParameters"
    ]["required"]


def test_fields_that_may_stay_empty_ask_for_values_and_not_for_types() -> None:
    """A null in the schema would make the UI ask for a type first, and send the
    null.
    """
    for name, field in fields().items():
        assert "anyOf" not in field, name
        assert field.get("default", "") is not None, name


REFUSED = {
    "no experiment": ({}, "'experiment' is a required property"),
    "a negative limit": (
        {"experiment": "e.yaml", "limit": -3},
        "-3 is less than the minimum of 1",
    ),
    "an unknown stage": (
        {"experiment": "e.yaml", "until_stage": "sccore"},
        "'sccore' is not one of",
    ),
    "no money": (
        {"experiment": "e.yaml", "max_cost": 0},
        "0 is less than or equal to the minimum of 0",
    ),
    "an unknown field": (
        {"experiment": "e.yaml", "limits": 3},
        "'limits' was unexpected",
    ),
    "a text for a list of gates": (
        {"experiment": "e.yaml", "gates": "m >= 0.8"},
        "'m >= 0.8' is not",
    ),
    "a text for a number": ({"experiment": "e.yaml", "limit": "ten"}, "'ten' is not"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_server_refuses_a_bad_value_with_the_reason(name: str, form: Api) -> None:
    """The server checks the schema before a run exists; a bad value is refused with
    field and reason.
    """
    parameters, reason = REFUSED[name]

    with pytest.raises(PrefectHTTPStatusError) as refusal:
        form.run("evaluate/form", **parameters)

    assert reason in str(refusal.value)
    assert "parameters" in str(refusal.value)


def test_empty_fields_are_sent_as_nulls_or_not_at_all(form: Api) -> None:
    """Both ways in which the UI leaves a field empty are taken."""
    nulls = {"store": None, "limit": None, "max_cost": None}

    run_id = form.run("evaluate/form", experiment="e.yaml", **nulls)
    parameters = form.flow_run(run_id).parameters["parameters"]

    assert EvaluateParameters(experiment="e.yaml") == EvaluateParameters(**parameters)


def test_gates_are_a_list_of_texts(form: Api) -> None:
    """The form's gates arrive as they were written."""
    gates = ["m >= 0.8", "m no worse than last good by 0.02 on topic=a"]

    run_id = form.run("evaluate/form", experiment="e.yaml", gates=gates)

    assert (
        gates
        == EvaluateParameters(**form.flow_run(run_id).parameters["parameters"]).gates
    )


def test_what_is_asked_for_goes_before_what_the_file_says(tmp_path: Path) -> None:
    """Store, limit, budget and overrides replace the file's; what is not asked for
    stays.
    """
    path = experiment_file(tmp_path)

    asked = EvaluateParameters(
        experiment=str(path),
        store="memory",
        limit=3,
        max_cost=2.5,
        overrides=["runtime.shard_size=7"],
    ).load()
    plain = EvaluateParameters(experiment=str(path)).load()

    assert ("memory", 3, 2.5, 7) == (
        asked.storage.store,
        len(asked.datasets[0].cases),
        asked.cost.max_cost,
        asked.runtime.shard_size,
    )
    assert (str(tmp_path / "store"), 40, None, 10) == (
        plain.storage.store,
        len(plain.datasets[0].cases),
        plain.cost.max_cost,
        plain.runtime.shard_size,
    )
