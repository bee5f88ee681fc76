"""Rows that are made of calls to others: what is kept, paid and cleaned up."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.builtins.test_conversation import row
from tests.support.provider_server import ProviderServer
from tests.support.talking import noted, run, talk, user
from themis_lib import Case, ConfigError, Experiment, GenerationResult, RunStore
from themis_lib.core.contexts import GenerateContext
from themis_lib.errors import BudgetError, ComponentError
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.explain.first_prompts import first_prompts
from themis_lib.runs.manifest import manifests
from themis_lib.upkeep.check import check
from themis_lib.upkeep.compact import compact
from themis_lib.upkeep.prune import unused

SCRIPT = {"turns": ["Hi", "And then?", "Bye"]}


@dataclass(frozen=True)
class Drafts:
    """An agent of a user's own: drafts, then improves the draft."""

    log: str
    advice: str = "better"
    asked_generators: dict[str, Any] = field(default_factory=dict)

    component_id = "tests/drafts"
    version = "1"
    reads = ("input",)
    runtime = ("log",)

    def fingerprint(self) -> str:
        return self.advice

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        assert ctx.steps is not None
        asked: Any = [{"role": "user", "content": case.input}]
        draft = await ctx.steps.ask("model", asked, seed=ctx.seed)
        asked = [{"role": "user", "content": f"{self.advice}: {draft.final_output}"}]
        return await ctx.steps.ask("model", asked, seed=ctx.seed)


def drafts(folder: Path, advice: str) -> dict[str, Any]:
    spec = talk(folder, ["a text"])
    model = spec["generation"]["generator"]["generator"]
    spec["generation"]["generator"] = {
        "use": "tests.stages.test_stepped:Drafts",
        "log": "",
        "advice": advice,
        "asked_generators": {"model": model},
    }
    return spec


def test_agent_of_a_user_keeps_its_calls(tmp_path: Path):
    """A generator that asks others through its steps pays only for the calls that an
    edit changes; who is asked is part of its identity.
    """
    run(drafts(tmp_path, "better"))
    run(drafts(tmp_path, "better"))
    assert 2 == len(noted(tmp_path / "calls.log"))
    run(drafts(tmp_path, "shorter"))
    assert 3 == len(noted(tmp_path / "calls.log"))
    other = drafts(tmp_path, "shorter")
    asked = other["generation"]["generator"]["asked_generators"]
    asked["model"]["refuses"] = "nothing"
    run(other)
    assert 5 == len(noted(tmp_path / "calls.log"))


def test_budget_stops_between_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A call that could pass the budget is not made; with a higher one, the conversation
    goes on behind the turns that were paid.
    """
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    turns = [f"turn {number}" for number in range(6)]
    with ProviderServer() as server:
        spec = talk(tmp_path, [{"turns": turns}])
        spec["generation"]["generator"]["generator"] = {
            "use": "openai",
            "model": "m",
            "base_url": server.url,
            "max_tokens": 100,
        }
        # A turn is 11 tokens in and 7 out, and may be some hundreds.
        prices = {"m": {"input": 1.0, "output": 1.0}}
        spec["cost"] = {"prices": prices, "max_cost": 300e-6}
        with pytest.raises(BudgetError):
            run(spec)
        paid = len(server.requests)
        spec["cost"]["max_cost"] = 1.0
        result = run(spec)
        requests = len(server.requests)

    assert 0 < paid < 6
    assert 6 == requests
    assert pytest.approx(6 * 18e-6) == result.manifest.cost
    assert pytest.approx((6 - paid) * 18e-6) == result.manifest.cost_paid
    # What differs at every call is kept where no component reads it.
    output = row(result)
    assert {"model", "system_fingerprint", "conversation"} >= set(output["artifacts"])
    assert 6 == len(json.loads(output["transport"])["turns"])


def test_budget_needs_the_price_of_everybody_who_is_asked(tmp_path: Path):
    """A simulated user whose cost nobody knows is refused before it is asked."""
    spec = talk(
        tmp_path,
        [{"goal": "x"}],
        conversation={"user": user(tmp_path)},
        cost={"prices": {"talker": {"input": 1, "output": 1}}, "max_cost": 1},
    )
    with pytest.raises(ConfigError, match=r"step\["):
        run(spec)


def test_upkeep_knows_steps(tmp_path: Path):
    """A sound store is found so; steps of runs that exist stay, those of none may go;
    compacted ones are found.
    """
    run(talk(tmp_path, [SCRIPT]))
    store = RunStore(str(tmp_path / "store"))
    assert [] == list(check(store))
    assert [] == unused(store, older_than_s=0)

    list(compact(store))
    run(talk(tmp_path, [{"turns": [*SCRIPT["turns"], "Wait"]}]))
    assert 4 == len(noted(tmp_path / "calls.log"))

    for manifest in manifests(store):
        store.fs.rm(store.locate(f"runs/{manifest.run_id}"), recursive=True)
    gone = {item.directory.split("/")[1] for item in unused(store, older_than_s=0)}
    assert "step" in gone


def test_generator_that_reads_the_case_is_given_it(tmp_path: Path):
    """A model that reads more than the input gets it in every turn."""
    spec = talk(tmp_path, [SCRIPT])
    spec["generation"]["generator"]["generator"] = "builtin/demo_generator"
    (case,) = spec["datasets"][0]["cases"]
    case["expected_output"] = "forty-two"

    output = row(run(spec))

    answers = [turn for turn in output["conversation"] if turn["role"] == "assistant"]
    assert ["forty-two"] * 3 == [turn["content"] for turn in answers]


def test_file_that_a_tool_reads_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Turns that saw another content of a file are asked again, also where the run that
    read it was never finished.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("stock.txt").write_text("3")
    Path("stock.py").write_text(
        "from pathlib import Path\n\n\ndef stock() -> str:\n"
        '    """Return the stock."""\n'
        '    return Path("stock.txt").read_text()\n'
    )
    script = {"turns": ["Hi", 'call [{"name": "stock", "arguments": {}}]', "Bye"]}

    def told(fails_at: str = "") -> Any:
        spec = talk(
            tmp_path,
            [script],
            conversation={"tools": ["stock:stock"]},
            generator={"fails_at": fails_at},
        )
        output = row(run(spec))
        turns = output["conversation"]
        return turns and [turn["content"] for turn in turns if turn["role"] == "tool"]

    assert ["3"] == told()
    Path("stock.txt").write_text("2")
    assert ["2"] == told()
    Path("stock.txt").write_text("3")
    calls = len(noted(tmp_path / "calls.log"))
    assert ["3"] == told()
    assert calls == len(noted(tmp_path / "calls.log"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda spec: spec["generation"].update(
                few_shot={"k": 1, "data": {"dataset_id": "pool", "path": "pool.jsonl"}}
            ),
            "has no place for examples",
        ),
        (
            lambda spec: spec["evaluation"].update(
                metrics=[
                    {
                        "use": "builtin/judge_correctness",
                        "judge": spec["generation"]["generator"],
                    }
                ]
            ),
            "a judge answers itself",
        ),
        (
            lambda spec: spec["generation"].update(
                generator={
                    "use": "builtin/conversation",
                    "generator": spec["generation"]["generator"],
                }
            ),
            "asks other generators itself",
        ),
    ],
)
def test_what_steps_cannot_do_is_refused(tmp_path: Path, change: Any, message: str):
    """Few-shot examples, judges that ask others, and conversations in conversations."""
    spec = talk(tmp_path, [SCRIPT])
    change(spec)

    with pytest.raises((ConfigError, ComponentError), match=message):
        run(spec)

    assert [] == noted(tmp_path / "calls.log")


def test_first_prompts_are_those_of_the_first_turn(tmp_path: Path):
    """`--show` tells what is sent first: to the model, or to who plays the user."""
    scripted = talk(tmp_path, [SCRIPT], prompt_spec={"instructions": "Be kind."})
    simulated = talk(
        tmp_path, [{"goal": "a refund"}], conversation={"user": user(tmp_path)}
    )
    shown = []
    for spec in (scripted, simulated):
        pipeline = experiment_from_spec(Experiment, spec, where="spec").compile()
        shown += first_prompts(pipeline, 1)

    assert (("system", "Be kind."), ("user", "Hi")) == shown[0].turns
    assert "You want a refund." in shown[1].turns[0][1]
