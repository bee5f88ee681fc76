"""The model behind a name: new draws from a loopback server, and what they prove."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.edited_cells import edit_cell, parts_of
from tests.support.provider_server import Fault, ProviderServer, prompt_of, refused
from tests.support.table_files import with_table_files
from themis_lib import Experiment, RunResult, RunStore, verify_run
from themis_lib.experiment.event_loop import run_in_new_loop
from themis_lib.verification.verify import RunVerification

CASES = 16


def writer(words: str, likely: float = 0.6, *, seeded: bool = False) -> Any:
    """A model that writes the first word likely, else another.

    If `seeded`, the seed alone draws, as with many servers: the same for all prompts.
    """
    choices = words.split()
    calls = itertools.count()

    def script(attempt: int, body: dict[str, Any]) -> Fault:
        draw = random.Random(body["seed"] if seeded else next(calls))
        word = choices[0] if draw.random() < likely else draw.choice(choices[1:])
        top = [{"token": choices[0], "logprob": -0.5 * likely, "bytes": None}]
        first = {**top[0], "top_logprobs": top}
        changes: dict[str, Any] = {"text": f"{word} is the answer"}
        if body.get("logprobs"):
            changes["choice"] = {"logprobs": {"content": [first]}}
        return Fault(changes=changes)

    return script


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(writer("one two three")) as running:
        yield running


def evaluated(
    server: ProviderServer,
    store: Path,
    *,
    samples: int = 1,
    prices: bool = True,
    **generator: Any,
) -> RunResult:
    experiment = Experiment.model_validate(
        {
            "name": "asked",
            "generation": {
                "generator": {
                    "use": "openai",
                    "model": "m",
                    "base_url": server.url,
                    "api_key": "${THEMIS_TEST_KEY}",
                    "api_mode": "chat_completions",
                    **generator,
                },
                "candidate_policy": {"num_samples": samples},
            },
            "evaluation": {"metrics": ["builtin/exact_match"]},
            "datasets": [
                {
                    "dataset_id": "d",
                    "cases": [
                        {"case_id": str(at), "input": f"{at}?", "expected_output": "x"}
                        for at in range(CASES)
                    ],
                }
            ],
            "storage": {"store": str(store)},
            **(
                {"cost": {"prices": {"m": {"input": 1.0, "output": 2.0}}}}
                if prices
                else {}
            ),
        }
    )
    return experiment.run()


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEMIS_TEST_KEY", "sk-test")


def rows_of(store: RunStore) -> dict[str, bytes]:
    return {file.path: store.read_bytes(file.path) for file in store.files("rows")}


@pytest.mark.parametrize("samples", [1, 3])
def test_same_model_has_not_changed(
    server: ProviderServer, tmp_path: Path, samples: int
) -> None:
    """Each request is made twice, and kept nowhere: rows are as they were."""
    run = evaluated(server, tmp_path, samples=samples)
    before = rows_of(run.store)
    asked = len(server.requests)

    found = verify_run(run, sample=None)

    (check,) = found.models
    assert found.holds
    assert CASES * 2 * samples == check.calls == len(server.requests) - asked
    assert check.equal < check.drawn == check.calls
    assert ["texts"] == [test.compares for test in check.tests]
    assert before == rows_of(run.store)


@pytest.mark.parametrize("samples", [1, 3])
def test_server_that_draws_by_the_seed_alone_has_not_changed(
    server: ProviderServer, tmp_path: Path, samples: int
) -> None:
    """Its draws are not independent of each other: all prompts have the same seeds."""
    server.script = writer("one two three", likely=0.4, seeded=True)
    run = evaluated(server, tmp_path, samples=samples)

    (check,) = verify_run(run, sample=None).models

    (test,) = check.tests
    assert check.drawn == check.equal
    assert (1.0, 0.0) == (test.p_value, pytest.approx(test.effect))
    server.script = writer("one two three", likely=0.9, seeded=True)
    (check,) = verify_run(run, sample=None).models
    assert check.has_changed


def test_samples_of_a_case_are_drawn_again_up_to_five(
    server: ProviderServer, tmp_path: Path
) -> None:
    """The others are compared, too."""
    run = evaluated(server, tmp_path, samples=7)

    (check,) = verify_run(run, sample=None).models

    assert CASES * 2 * 5 == check.calls
    assert not check.has_changed


def test_another_model_behind_the_name_is_found(
    server: ProviderServer, tmp_path: Path
) -> None:
    """With the p-value, the effect, and the cases where it differs most."""
    run = evaluated(server, tmp_path)
    server.script = writer("four five six", likely=0.9)

    found = verify_run(run, sample=None)

    (check,) = found.models
    (test,) = check.tests
    assert check.has_changed
    assert not found.holds
    assert (test.p_holm, CASES) == (test.p_value, test.cases)
    assert test.p_value < 0.01
    assert test.effect > 0.2
    assert 0 == check.equal
    assert check.most_changed[0].discrepancy >= check.most_changed[-1].discrepancy
    assert check.most_changed[0].stored[0] != check.most_changed[0].drawn[0]


def test_probabilities_of_the_first_token_are_tested_where_rows_have_them(
    server: ProviderServer, tmp_path: Path
) -> None:
    """They tell a model whose texts are still the same."""
    run = evaluated(server, tmp_path, logprobs=1, temperature=0)
    server.script = writer("one two three", likely=0.601)

    found = verify_run(run, sample=None)

    (check,) = found.models
    by_name = {test.compares: test for test in check.tests}
    assert check.is_greedy
    assert by_name["first token"].p_holm < 0.01 < by_name["texts"].p_holm
    assert check.has_changed


def test_calls_are_priced_before_they_are_made(
    server: ProviderServer, tmp_path: Path
) -> None:
    """By the tokens of the stored rows; without leave, no call is made."""
    run = evaluated(server, tmp_path)
    asked = len(server.requests)
    verification = RunVerification.of(run, sample=10)

    (planned,) = verification.calls
    assert ("generate", 10) == (planned.stage, planned.calls)
    # 11 tokens in and 7 out a call, at 1 and 2 dollars a million; 5 are cached.
    assert planned.cost == pytest.approx(10 * (11 + 2 * 7) / 1e6)
    assert [] == RunVerification.of(run, stages=["score", "parse", "reduce"]).calls
    found = run_in_new_loop(lambda: verification.verify(with_calls=False))
    assert "not allowed" in str(found.models[0].reason)
    assert found.holds
    assert asked == len(server.requests)


def test_calls_that_fail_are_counted_and_left_out(
    server: ProviderServer, tmp_path: Path
) -> None:
    """What did not come back says nothing about the model."""
    run = evaluated(server, tmp_path)
    good = server.script
    server.script = lambda attempt, body: (
        refused(status=500) if prompt_of(body) == "3?" else good(attempt, body)
    )

    (check,) = verify_run(run, sample=None).models

    assert (2, 2 * CASES - 2) == (check.failed, check.drawn)
    assert CASES - 1 == check.tests[0].cases


def test_calls_that_all_fail_are_no_finding(
    server: ProviderServer, tmp_path: Path
) -> None:
    """Nothing differs, and nothing is known."""
    run = evaluated(server, tmp_path)
    server.script = lambda attempt, body: refused(status=500)

    found = verify_run(run, sample=None)

    (check,) = found.models
    assert (check.calls, 0) == (check.failed, check.drawn)
    assert f"all of its {check.calls} calls failed" == check.reason
    assert (True, True) == (found.holds, found.cannot_tell)
    assert "no call of generate came to anything" == found.verdict


def test_edited_text_of_a_model_is_found_without_a_call(
    server: ProviderServer, tmp_path: Path
) -> None:
    """The rows that were made of it have keys that it does not give."""
    run = evaluated(server, tmp_path)
    path = parts_of(run, "generate")[0]
    edit_cell(run.store, path, "output", 3, '"edited"')
    fresh = RunResult(RunStore(run.store.url), run.run_id)
    asked = len(server.requests)

    verification = RunVerification.of(fresh, sample=None, stages=["generate", "parse"])
    found = run_in_new_loop(lambda: verification.verify(with_calls=False))

    generated, parsed = found.stages
    (cell,) = parsed.differences
    assert ("parse", "3", "key") == (cell.stage, cell.case_id, cell.column)
    assert run.store.uri(path) == cell.file
    assert [cell.file] == generated.changed_files
    assert asked == len(server.requests)


def test_edited_text_of_a_model_is_compared_with_the_runs_tables(
    server: ProviderServer, tmp_path: Path
) -> None:
    """Where a run has such tables, they tell what the text was."""
    run = with_table_files(evaluated(server, tmp_path))
    edit_cell(run.store, parts_of(run, "generate")[0], "output", 3, '"edited"')
    fresh = RunResult(RunStore(run.store.url), run.run_id)
    asked = len(server.requests)

    found = verify_run(fresh, sample=None, stages=["parse"])

    (check,) = found.stages
    (cell,) = check.differences
    assert ("generate", "3", "output") == (cell.stage, cell.case_id, cell.column)
    assert ('"edited"', []) == (cell.stored, cell.differs_in)
    assert asked == len(server.requests)


def test_judge_is_drawn_again_by_request(
    server: ProviderServer, tmp_path: Path
) -> None:
    """Each verdict's request is asked twice; equal requests are one."""
    verdict = '{"reasoning":"r","verdict":"correct"}'
    server.script = lambda attempt, body: Fault(changes={"text": verdict})
    judge = {
        "use": "openai",
        "model": "judge",
        "base_url": server.url,
        "api_key": "${THEMIS_TEST_KEY}",
        "api_mode": "chat_completions",
    }
    experiment = Experiment.model_validate(
        {
            "name": "judged",
            "generation": {"generator": "builtin/demo_generator"},
            "evaluation": {
                "metrics": [{"use": "builtin/judge_rubric", "rubric": "Is it right?"}],
                "judge_models": [judge],
            },
            "datasets": [
                {
                    "dataset_id": "d",
                    "cases": [
                        {"case_id": str(at), "input": f"{at}?", "expected_output": "x"}
                        for at in range(4)
                    ],
                }
            ],
            "storage": {"store": str(tmp_path)},
        }
    )
    run = experiment.run()
    asked = len(server.requests)
    server.script = lambda attempt, body: Fault(
        changes={"text": verdict.replace('"r"', '"another"')}
    )

    found = verify_run(run, sample=None)

    (check,) = found.models
    assert check.stage.startswith("judge[")
    assert 8 == len(server.requests) - asked == check.calls
    assert (8, 0) == (check.drawn, check.equal)
