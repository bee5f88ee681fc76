"""The judge stage: who is asked what, which rows are computed, and what becomes of a
failure.
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.counting import CALLS, count
from tests.support.drivers import DRIVERS, run_in_process
from tests.support.tables import tables_of
from tests.test_edit_costs import K, N, base, changed_case
from themis_lib import (
    Case,
    ConfigError,
    Experiment,
    GenerationResult,
    InMemoryRunStore,
    JudgeCall,
    RunResult,
)
from themis_lib.errors import InputError
from themis_lib.experiment.spec import experiment_from_spec

JUDGE = {"use": "tests.support.counting:Judge"}
SECOND = {"use": "tests.support.counting:Judge", "id": "second", "name": "second"}
METRICS = "tests.stages.test_judge"


def judged(store: Path, **settings: Any) -> dict[str, Any]:
    """The experiment of the table of costs, with a judge for a metric; the judge agrees
    with what is expected.
    """
    spec = base(store)
    metric = {
        "use": "builtin/judge_correctness",
        "id": "judged",
        "judge": [JUDGE],
        "explain": False,
        **settings,
    }
    spec["evaluation"]["metrics"] = [metric]
    return spec


def compiled(metric: dict[str, Any] | str, **evaluation: Any) -> Any:
    spec = base(Path("memory"))
    spec["evaluation"] = {"metrics": [metric], **evaluation}
    return experiment_from_spec(Experiment, spec, where="spec").compile()


def outcome(spec: dict[str, Any]) -> RunResult:
    return run_in_process(spec, Path(), "")


def test_judges_stand_between_parse_and_score(tmp_path: Path) -> None:
    """Each judge is a stage of its own, by the name of its metric."""
    result = outcome(judged(tmp_path))

    assert ["generate", "parse", "judge[judged]", "score[judged]", "reduce"] == list(
        result.progress
    )
    assert [5 / 6] == [row.mean for row in result.summary]
    assert "completed" == result.status.value


def test_stages_are_named_by_what_tells_them_apart() -> None:
    """Member and question stand in the label only where there are several."""
    pair = {"use": "builtin/judge_pairwise", "id": "pair", "judge": [JUDGE, SECOND]}

    assert [
        "judge[pair:tests/judge:output_first]",
        "judge[pair:tests/judge:output_second]",
        "judge[pair:second:output_first]",
        "judge[pair:second:output_second]",
    ] == [stage.label for stage in compiled(pair).judges]


def test_verdicts_are_a_table_of_the_run(tmp_path: Path) -> None:
    """One row for each sample and judge, and in the results of a case by judge."""
    result = outcome(judged(tmp_path, judge=[JUDGE, SECOND]))

    table = result.table("verdicts")

    assert 2 * N * K == table.num_rows
    assert {("judged", "judged:tests/judge"), ("judged", "judged:second")} == {
        (row["metric_id"], row["judge_id"]) for row in table.to_pylist()
    }
    assert {"judged:tests/judge": K, "judged:second": K} == {
        name: len(verdicts) for name, verdicts in result.cases[5].verdicts.items()
    }
    assert (
        '{"verdict": "correct"}'
        == result.cases[5].verdicts["judged:second"][1].final_output
    )


def test_run_without_judges_has_no_verdicts(tmp_path: Path) -> None:
    """The table is empty, and so are the verdicts of a case."""
    result = outcome(base(tmp_path))

    assert 0 == result.table("verdicts").num_rows
    assert {} == result.cases[0].verdicts


JUDGED_EDITS: dict[str, tuple[Any, dict[str, int]]] = {
    "nothing": (lambda metric, spec: None, {}),
    "judge prompt": (
        lambda metric, spec: metric.update(instructions="Be strict."),
        {"judge": N * K, "score rows": N * K},
    ),
    "second panel member": (
        lambda metric, spec: metric["judge"].append(SECOND),
        {"second": N * K, "score rows": N * K},
    ),
    "judge that says the same": (
        lambda metric, spec: metric.update(judge=[{**JUDGE, "name": "other"}]),
        {"other": N * K},
    ),
    "one expected output": (
        lambda metric, spec: changed_case(0, expected_output="no")(spec),
        {"judge": K, "score rows": K},
    ),
    "parser, same values": (
        lambda metric, spec: spec["evaluation"]["parsers"][0].update(suffix="x"),
        {"parse": N * K},
    ),
    "another metric added": (
        lambda metric, spec: spec["evaluation"]["metrics"].append(
            {"use": "tests.support.counting:Metric", "id": "plain"}
        ),
        {"score": N * K},
    ),
    "one case's metadata": (
        lambda metric, spec: changed_case(4, metadata={"topic": "low"})(spec),
        {},
    ),
    "a case renamed": (lambda metric, spec: changed_case(1, case_id="new")(spec), {}),
    "concurrency": (lambda metric, spec: spec["runtime"].update(max_concurrency=1), {}),
    "a sample more": (
        lambda metric, spec: spec.update(seeds=[11, 12, 13]),
        {"generate": N, "parse": N, "judge": N, "score rows": N},
    ),
    # The text of 3 holds the prompt and so does its value.
    "prompt of the candidate": (
        lambda metric, spec: spec["generation"].update(prompt_spec={"prefix": "p"}),
        {"generate": N * K, "parse": 3 * K, "judge": K, "score rows": K},
    ),
}


@pytest.mark.parametrize("name", JUDGED_EDITS)
def test_edit_costs_of_a_judged_experiment(name: str, tmp_path: Path) -> None:
    """Calls by component, and rows of the judged metric that were scored, after an edit
    to a warm experiment.
    """
    edit, expected = JUDGED_EDITS[name]
    spec = judged(tmp_path)
    outcome(spec)
    edited = copy.deepcopy(spec)
    edit(edited["evaluation"]["metrics"][0], edited)
    CALLS.clear()

    result = outcome(edited)

    rows = {"score rows": result.progress["score[judged]"].computed}
    assert expected == {
        name: count for name, count in {**CALLS, **rows}.items() if count
    }


@pytest.mark.parametrize(
    "name", ["nothing", "judge prompt", "second panel member", "one expected output"]
)
def test_edit_costs_the_same_through_the_flow(
    name: str, prefect_api: str, tmp_path: Path
) -> None:
    """Judges are tasks as the other stages are."""
    edit, expected = JUDGED_EDITS[name]
    spec = judged(tmp_path / "store")
    outcome(spec)
    edit(spec["evaluation"]["metrics"][0], spec)
    CALLS.clear()

    result = DRIVERS["through the flow"](spec, tmp_path, prefect_api)

    rows = {"score rows": result.progress["score[judged]"].computed}
    assert expected == {
        name: count for name, count in {**CALLS, **rows}.items() if count
    }
    assert tables_of(outcome({**spec, "storage": {"store": "memory"}})) == tables_of(
        result
    )


def test_equal_requests_are_one_call(tmp_path: Path) -> None:
    """A verdict is a function of what is judged: cases and samples that look the same
    to a judge are judged once.
    """
    spec = judged(tmp_path)
    spec["generation"]["generator"] = "builtin/demo_generator"
    spec["evaluation"]["parsers"] = []
    spec["runtime"] = {}
    spec["datasets"][0]["cases"] = [
        {"case_id": str(at), "input": "same", "expected_output": "1"} for at in range(5)
    ]
    CALLS.clear()

    result = outcome(spec)

    assert {"judge": 1} == CALLS
    assert [1.0] == [row.mean for row in result.summary]


def test_two_metrics_that_ask_the_same_share_their_verdicts(tmp_path: Path) -> None:
    """The metric is in no key of a verdict."""
    spec = judged(tmp_path)
    outcome(spec)
    spec["evaluation"]["metrics"].append(
        {**spec["evaluation"]["metrics"][0], "id": "again"}
    )
    CALLS.clear()

    outcome(spec)

    assert {} == CALLS


def test_warm_equals_cold(tmp_path: Path) -> None:
    """Whatever was judged on a store before, a run's tables are those of a run on an
    empty one.
    """
    warm = InMemoryRunStore()
    for name in (
        "nothing",
        "second panel member",
        "judge prompt",
        "one expected output",
        "a sample more",
    ):
        spec = judged(tmp_path)
        JUDGED_EDITS[name][0](spec["evaluation"]["metrics"][0], spec)
        experiment = experiment_from_spec(Experiment, spec, where="spec")
        assert tables_of(experiment.run(InMemoryRunStore())) == tables_of(
            experiment.run(warm)
        )


def test_nothing_is_judged_where_nothing_was_parsed(tmp_path: Path) -> None:
    """A row whose parse failed is skipped by the judge, and carries its error."""
    spec = judged(tmp_path)
    spec["evaluation"]["parsers"] = [
        {"use": "builtin/regex", "pattern": "answer ([0-4]/.*)"}
    ]
    CALLS.clear()

    result = outcome(spec)

    assert (N - 1) * K == CALLS["judge"]
    assert K == result.progress["judge[judged]"].skipped
    assert {"parse: the pattern matches nothing in the output"} == {
        row["error"] for row in result.table("scores").to_pylist() if row["error"]
    }


def test_case_without_anything_to_compare_is_not_asked(tmp_path: Path) -> None:
    """It is a score error that says so, and no call."""
    spec = judged(tmp_path)
    changed_case(2, expected_output=None)(spec)
    CALLS.clear()

    result = outcome(spec)

    assert (N - 1) * K == CALLS["judge"]
    assert (
        "judge: the case has no expected output"
        == result.cases[2].scores["judged"][0].reason
    )
    assert "partial_failure" == result.status.value


def test_unreadable_verdict_is_an_error_of_the_row(tmp_path: Path) -> None:
    """It is counted beside the mean; the answer is not wrong for it."""
    result = outcome(judged(tmp_path, judge=[{**JUDGE, "says": "Hm."}]))

    (row,) = result.summary
    assert (0, N, None) == (row.n, row.errors, row.mean)
    assert 'unreadable verdict: "Hm."' == result.cases[0].scores["judged"][0].reason


def test_transient_failure_of_a_judge_is_tried_again(tmp_path: Path) -> None:
    """It is recorded for this run alone; the next one asks again."""
    spec = judged(tmp_path, judge=[{**JUDGE, "down": True}])

    failed = outcome(spec)
    spec["evaluation"]["metrics"][0]["judge"] = [JUDGE]
    mended = outcome(spec)

    assert N * K == failed.progress["judge[judged]"].failed
    assert (
        "judge: TransientError: 503: overloaded"
        == failed.cases[0].scores["judged"][0].reason
    )
    assert (N * K, 0) == (
        mended.progress["judge[judged]"].computed,
        mended.progress["judge[judged]"].failed,
    )
    assert "completed" == mended.status.value


def test_one_member_that_is_down_does_not_stop_the_majority(tmp_path: Path) -> None:
    """Two of three agree; who failed has no vote."""
    third = {**SECOND, "id": "third", "name": "third", "down": True}

    result = outcome(judged(tmp_path, judge=[JUDGE, SECOND, third]))

    assert {"votes": [1.0, 1.0, None], "agreement": 2 / 3} == result.cases[0].scores[
        "judged"
    ][0].details
    assert "partial_failure" == result.status.value


def test_judge_models_are_the_default_panel(tmp_path: Path) -> None:
    """They answer the metrics that name nobody; a metric with a judge of its own keeps
    it.
    """
    spec = judged(tmp_path, judge=[SECOND])
    spec["evaluation"]["metrics"].append(
        {"use": "builtin/judge_correctness", "id": "default", "explain": False}
    )
    spec["evaluation"]["judge_models"] = [JUDGE]
    CALLS.clear()

    outcome(spec)

    assert (N * K, N * K) == (CALLS["judge"], CALLS["second"])


CORRECT = {"use": "builtin/judge_correctness", "id": "c"}


@pytest.mark.parametrize(
    ("metric", "models", "message"),
    [
        (
            CORRECT,
            [],
            "metric 'c' asks a judge and has none; give it a `judge`, or set "
            "evaluation.judge_models",
        ),
        ({**CORRECT, "judge": []}, [], "metric 'c' asks a judge and has none"),
        (
            {**CORRECT, "judge": JUDGE},
            [JUDGE],
            "evaluation.judge_models: no metric of this experiment asks them",
        ),
        (
            "builtin/exact_match",
            [JUDGE],
            "evaluation.judge_models: no metric of this experiment asks them",
        ),
        (
            CORRECT,
            [JUDGE, JUDGE],
            "2 judges are named 'tests/judge'; give each an `id` of its own",
        ),
        (
            {**CORRECT, "judge": "builtin/demo"},
            [],
            "metric 'c': judge[0]: unknown generator 'builtin/demo'",
        ),
        (
            CORRECT,
            [{"use": "llama", "model": "tiny", "regex": "a"}],
            "metric 'c': judge 'llama': 'schema' and 'regex'",
        ),
        (
            {**CORRECT, "judge": {**JUDGE, "api_key": "sk-1"}},
            [],
            "holds a credential as it is",
        ),
    ],
    ids=[
        "none",
        "empty panel",
        "unused",
        "no metric asks",
        "same name",
        "unknown",
        "schema",
        "literal secret",
    ],
)
def test_judges_that_cannot_be_asked_are_bad_input(
    metric: Any, models: list[Any], message: str
) -> None:
    """One clear error before anything is generated."""
    with pytest.raises(InputError) as error:
        compiled(metric, judge_models=models)

    assert message in str(error.value)


def test_credentials_of_a_judge_are_read_when_it_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`${NAME}` inside a metric's `judge` is the judge's to resolve, and a value in it
    no literal secret.
    """
    monkeypatch.setenv("THEMIS_TEST_KEY", "sesame")

    pipeline = compiled(
        {
            **CORRECT,
            "judge": {"use": f"{METRICS}:Locked", "api_key": "${THEMIS_TEST_KEY}"},
        }
    )

    assert "sesame" == pipeline.judges[0].generator.component.api_key
    assert "sesame" not in json.dumps(pipeline.identity)


class Locked:
    """A judge that takes a credential."""

    component_id = "tests/locked"
    version = "1"

    def __init__(self, api_key: str) -> None:
        self.api_key = api_key

    def fingerprint(self) -> str:
        return ""

    def generate(self, case: Any, ctx: Any) -> Any: ...


def test_schema_is_enforced_or_told() -> None:
    """A judge that can be held to a schema is, and is told no schema; any other finds
    it in its prompt.
    """
    panel = [JUDGE, {"use": "llama", "model": "tiny"}]

    told, held = compiled({**CORRECT, "judge": panel}).judges

    assert "Its JSON Schema: {" in told.prompt_spec.suffix
    assert "JSON Schema" not in held.prompt_spec.suffix
    assert ["reason", "verdict"] == list(held.generator.schema["properties"])


def test_until_parse_asks_nobody(tmp_path: Path) -> None:
    """Judges belong to the scores."""
    experiment = experiment_from_spec(Experiment, judged(tmp_path), where="spec")
    CALLS.clear()

    experiment.run(until_stage="parse")

    assert 0 == CALLS["judge"]


_MODULE = """
from themis_lib import JudgeCall, PromptSpec, Score

class Longer:
    component_id, version, reads = "tests/longer", "1", ("value", "input")

    def fingerprint(self):
        return ""

    def judge_calls(self):
        return [JudgeCall(self.ask, PromptSpec(instructions="Which is longer?"))]

    def ask(self, parsed, case, ctx):
        return {{"texts": [case.input, parsed.value], "style": "{style}"}}

    def score(self, parsed, case, ctx):
        return Score(value={scale} * sum(verdict.final_output["n"] for verdict in ctx.verdicts))
"""


class Counting:
    """A judge that returns JSON: how many texts it was shown."""

    component_id = "tests/counting"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return ""

    async def generate(self, case: Any, ctx: Any) -> Any:
        count("judge")
        return GenerationResult(final_output={"n": len(case.input["texts"])})


@pytest.mark.parametrize(
    ("edit", "judge_calls", "scored"),
    [({"scale": "0.5"}, 0, N * K), ({"style": "plain"}, N * K, N * K)],
    ids=["score", "request"],
)
def test_code_of_a_users_judge_metric_is_identity(
    edit: dict[str, str],
    judge_calls: int,
    scored: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Any object with `judge_calls` and `score` asks judges; an edit of `score` scores
    again and asks nobody.
    """
    monkeypatch.setattr(
        sys, "dont_write_bytecode", True
    )  # the module is written twice in one second
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"longer_{abs(hash(tmp_path))}"
    text = {"style": "fancy", "scale": "1"}
    spec = base(tmp_path / "store")
    spec["evaluation"]["metrics"] = [{"use": f"{name}:Longer", "id": "longer"}]
    spec["evaluation"]["judge_models"] = [f"{METRICS}:Counting"]
    (tmp_path / f"{name}.py").write_text(_MODULE.format(**text))
    first = outcome(spec)
    (tmp_path / f"{name}.py").write_text(_MODULE.format(**{**text, **edit}))
    sys.modules.pop(name)
    CALLS.clear()

    second = outcome(spec)

    assert [2.0] == [row.mean for row in first.summary]
    assert judge_calls == CALLS["judge"]
    assert scored == second.progress["score[longer]"].computed


def test_request_that_cannot_be_built_is_an_error_of_the_row(tmp_path: Path) -> None:
    """What a user's metric raises while it asks stops nothing."""
    spec = base(tmp_path)
    spec["evaluation"]["metrics"] = [{"use": f"{METRICS}:Clumsy", "id": "clumsy"}]
    spec["evaluation"]["judge_models"] = [f"{METRICS}:Counting"]

    result = outcome(spec)

    assert "judge: the judge's request: ZeroDivisionError: division by zero" == (
        result.cases[0].scores["clumsy"][0].reason
    )
    assert [1.0] * (N - 1) == [
        case.scores["clumsy"][0].value for case in result.cases[1:]
    ]


class Clumsy:
    """A metric that cannot ask about 0."""

    component_id = "tests/clumsy"
    version = "1"
    reads = ("input", "value")

    def fingerprint(self) -> str:
        return ""

    def judge_calls(self) -> list[Any]:
        return [JudgeCall(lambda parsed, case, ctx: {"texts": [1 / int(case.input)]})]

    async def score(self, parsed: Any, case: Any, ctx: Any) -> float:
        return float(ctx.verdicts[0].final_output["n"])


def test_name_of_a_label_is_unique() -> None:
    """Two judges of one label would overwrite each other's verdicts."""
    one = {"use": "builtin/judge_correctness", "id": "a:second", "judge": [JUDGE]}
    two = {"use": "builtin/judge_correctness", "id": "a", "judge": [JUDGE, SECOND]}
    spec = base(Path("memory"))
    spec["evaluation"] = {"metrics": [one, two]}

    with pytest.raises(ConfigError, match="2 judges are named 'a:second'"):
        experiment_from_spec(Experiment, spec, where="spec").compile()


DRAWS: list[int] = []


class Drawing:
    """A judge whose verdict is its draw."""

    component_id, version, reads = "tests/drawing", "1", ("input",)

    def fingerprint(self) -> str:
        return ""

    async def generate(self, case: Case, ctx: Any) -> GenerationResult:
        DRAWS.append(ctx.seed)
        return GenerationResult(final_output={"correct": len(DRAWS) % 2 == 0})


def test_members_that_are_the_same_judge_draw_independently() -> None:
    """Three members of one model ask three times, with three seeds."""
    DRAWS.clear()
    panel = [{"use": "tests.stages.test_judge:Drawing", "id": name} for name in "abc"]
    experiment = Experiment.model_validate(
        {
            "generation": {"generator": "builtin/demo_generator"},
            "evaluation": {
                "metrics": [
                    {
                        "use": "builtin/judge_correctness",
                        "explain": False,
                        "judge": panel,
                    }
                ]
            },
            "datasets": [
                {
                    "dataset_id": "d",
                    "cases": [{"case_id": "1", "input": "2+2", "expected_output": "4"}],
                }
            ],
        }
    )

    experiment.run()

    assert 3 == len(set(DRAWS)) == len(DRAWS)
