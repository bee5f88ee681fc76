"""Certifications of endpoints: a real HTTP server, and what it did wrong."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.provider_server import Fault, ProviderServer, prompt_of, refused
from themis_lib import (
    BudgetError,
    Certification,
    ConfigError,
    Experiment,
    InputError,
    RunStore,
    certify,
)
from themis_lib.certification.certify import ModelCertification
from themis_lib.certification.records import certification_of
from themis_lib.certification.target import experiment_for
from themis_lib.report.html import report_html
from themis_lib.report.markdown import markdown_report
from themis_lib.runs.manifest import now
from themis_lib.upkeep.prune import unused

PROMPTS = 4
#: alone, 2 and 4 at once, shuffled, two behind a prefix, again later.
WAYS = 7
COMPARED = 5


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


def certified(server: ProviderServer, store: Path, **changes: Any) -> Certification:
    settings = ["model=m", "max_retries=0", *changes.pop("settings", ())]
    return certify(
        server.url,
        store=str(store),
        settings=settings,
        limit=changes.pop("limit", PROMPTS),
        **changes,
    )


def files_of(store: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }


def at(token: str, logprob: float, *others: tuple[str, float]) -> dict[str, Any]:
    """A token of a reply, with its log-probability and the likeliest others."""
    likely = [{"token": token, "logprob": logprob}]
    likely += [{"token": text, "logprob": value} for text, value in others]
    return {"token": token, "logprob": logprob, "top_logprobs": likely}


def rated(*tokens: dict[str, Any]) -> Fault:
    """A good reply of some tokens, with their log-probabilities."""
    text = "".join(token["token"] for token in tokens)
    return Fault(
        changes={"text": text, "choice": {"logprobs": {"content": list(tokens)}}}
    )


def test_equal_answers_hold_and_are_asked_for_once(
    server: ProviderServer, tmp_path: Path
) -> None:
    """Each way of asking asks for each prompt; a second certification asks nothing, and
    writes the same bytes.
    """
    first = certified(server, tmp_path)
    asked = len(server.requests)
    files = files_of(tmp_path)
    again = certified(server, tmp_path)

    assert WAYS * PROMPTS == asked
    assert first.holds
    assert not first.cannot_tell
    assert (0, COMPARED * PROMPTS) == (first.texts_differ, first.rows)
    assert asked == len(server.requests)
    assert first == again
    assert files == files_of(tmp_path)


def test_requests_are_in_flight_as_the_way_of_asking_says(tmp_path: Path) -> None:
    """One at a time where that is asked for, and no more than the number at once."""
    with ProviderServer(delay_s=0.05) as server:
        in_flight: dict[str, int] = {}

        def note(_: int, body: dict[str, Any]) -> None:
            place = len(server.requests) // PROMPTS
            in_flight[place] = max(in_flight.get(place, 0), server._in_flight)

        server.script = note  # type: ignore[assignment]
        certified(server, tmp_path)

    # alone, 2, 4, shuffled 4, prefix alone, prefix 4, later.
    assert [1, 2, 4, 4, 1, 4, 1] == [in_flight[way] for way in range(WAYS)]


def test_shuffled_prompts_are_in_another_order_and_a_prefix_is_in_front(
    server: ProviderServer, tmp_path: Path
) -> None:
    """What is sent is what the way of asking says."""
    certified(server, tmp_path, limit=8, settings=["max_tokens=5"])

    sent = [prompt_of(body) for body in server.bodies]
    given = sent[:8]
    # alone, 2, 4 and 8 at once come before.
    shuffled = sent[4 * 8 : 5 * 8]
    behind = sent[5 * 8 : 6 * 8]
    assert sorted(given) == sorted(shuffled)
    assert given != shuffled
    assert all(text.endswith(one) for text, one in zip(behind, given, strict=True))
    assert all(text != one for text, one in zip(behind, given, strict=True))


def test_text_that_depends_on_neighbours_is_found(tmp_path: Path) -> None:
    """Where it begins to differ, how near the choice was, and what it does to scores."""
    with ProviderServer(delay_s=0.02) as server:

        def script(_: int, body: dict[str, Any]) -> Fault:
            if server._in_flight > 1:
                return rated(at("The", -0.1), at(" sea", -0.7, (" sky", -0.71)))
            return rated(at("The", -0.25), at(" sky", -0.7, (" sea", -0.75)))

        server.script = script
        found = certified(server, tmp_path)

    by_name = {check.arrangement: check for check in found.checks}
    together = by_name["4 at once"]
    assert not found.holds
    assert 0 == by_name["again later"].texts_differ
    assert together.texts_differ >= 3
    assert 1.0 == together.first_token
    assert together.gap == pytest.approx(0.05)
    assert together.largest_shift == pytest.approx(0.15)
    assert together.tokens_differ == together.texts_differ
    first = found.differences[0]
    assert ("The", " sky", " sea", 1) == (
        first.before,
        first.expected,
        first.got,
        first.token,
    )
    assert found.prompts_differ == PROMPTS
    assert found.noise is not None
    assert 0.1 < found.noise.variance < 0.3
    assert "depend on how it is asked" in found.verdict


def test_log_probabilities_that_differ_are_told_from_texts(
    server: ProviderServer, tmp_path: Path
) -> None:
    """Equal texts of other log-probabilities are not called the same."""
    seen: Counter[str] = Counter()

    def script(attempt: int, body: dict[str, Any]) -> Fault:
        seen[prompt_of(body)] += 1
        return rated(at("yes", -0.5 - 1e-7 * (seen[prompt_of(body)] > 1)))

    server.script = script
    found = certified(server, tmp_path)

    assert not found.holds
    assert 0 == found.texts_differ
    assert 4 * PROMPTS + 4 == found.logprobs_differ
    assert "scores by likelihood may not" in found.verdict


def test_rows_that_failed_are_told_and_asked_for_again_alone(
    server: ProviderServer, tmp_path: Path
) -> None:
    """A rate limit is a reason in the record; nothing that was answered is asked again."""
    lock, counted = threading.Lock(), Counter[str]()

    def script(attempt: int, body: dict[str, Any]) -> Fault | None:
        with lock:
            counted["all"] += 1
            # The first way of asking has been answered.
            is_refused = PROMPTS < counted["all"] <= PROMPTS + 2
        return refused() if is_refused else None

    server.script = script
    first = certified(server, tmp_path)
    asked = len(server.requests)
    second = certified(server, tmp_path)

    (check,) = [check for check in first.checks if check.failed]
    assert ("2 at once", 2, 2) == (check.arrangement, check.failed, check.compared)
    assert any("429" in reason for reason in check.errors)
    assert asked + 2 == len(server.requests)
    assert 0 == second.failed


def test_nothing_to_compare_is_no_finding(
    server: ProviderServer, tmp_path: Path
) -> None:
    """A way of asking that had no answer leaves open what it would have shown."""
    lock, counted = threading.Lock(), Counter[str]()

    def script(attempt: int, body: dict[str, Any]) -> Fault | None:
        with lock:
            counted["all"] += 1
        return refused() if counted["all"] > (WAYS - 1) * PROMPTS else None

    server.script = script
    found = certified(server, tmp_path)

    assert found.holds
    assert found.cannot_tell
    assert "again later" in found.verdict


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (refused(status=400), "refused with 400"),
        (Fault(changes={"text": "", "finish_reason": "length"}), "raise max_tokens"),
        (Fault(changes={"text": ""}), "the answer is empty"),
    ],
)
def test_answers_without_a_text_certify_nothing(
    server: ProviderServer, tmp_path: Path, answer: Fault, why: str
) -> None:
    """Equal refusals and empty answers are not equal texts; the reason is told."""
    server.script = lambda attempt, body: answer

    found = certified(server, tmp_path)

    assert found.cannot_tell
    assert 0 == found.rows
    assert any(why in note for note in found.notes)


def test_text_in_place_of_a_refusal_differs(
    server: ProviderServer, tmp_path: Path
) -> None:
    """Where one side alone has a text, the answers are not the same."""
    server.script = lambda attempt, body: (
        None if len(server.requests) >= PROMPTS else refused(status=400)
    )

    found = certified(server, tmp_path)

    assert not found.holds
    assert PROMPTS == found.prompts_differ


def test_again_asks_once_more_alone(server: ProviderServer, tmp_path: Path) -> None:
    """A further round is compared, too, and stays in the record."""
    certified(server, tmp_path)
    before = len(server.requests)
    found = certified(server, tmp_path, again=True)

    assert before + PROMPTS == len(server.requests)
    assert ["again later", "again later, 2"] == [
        check.arrangement for check in found.checks[-2:]
    ]
    assert found == certified(server, tmp_path)


def test_judges_are_neither_asked_nor_need_a_key(
    server: ProviderServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other metrics of the experiment score the answers."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    judged = {
        "use": "builtin/judge_rubric",
        "rubric": "Is it good?",
        "judge": {"use": "openai", "model": "judge-model"},
    }
    case = {"input": "q", "expected_output": "a"}
    experiment = Experiment.model_validate(
        {
            "name": "judged",
            "generation": {
                "generator": {"use": "vllm", "base_url": server.url, "model": "m"}
            },
            "evaluation": {
                "parsers": ["builtin/text"],
                "metrics": ["builtin/exact_match", judged],
                "agreement": {"judge_rubric": "human"},
            },
            "datasets": [
                {"dataset_id": "d", "cases": [{**case, "case_id": n} for n in "ab"]}
            ],
            "storage": {"store": str(tmp_path)},
        }
    )

    found = certify(experiment)

    assert ["exact_match"] == [score.metric_id for score in found.scores]
    assert {"m"} == {body["model"] for body in server.bodies}


def test_other_prompts_between_change_neither_rounds_nor_times(
    server: ProviderServer, tmp_path: Path
) -> None:
    """The record is of the last prompts; what is known of the others stays."""
    certified(server, tmp_path)
    first = certified(server, tmp_path, again=True)
    certified(server, tmp_path, limit=2)
    asked = len(server.requests)

    assert first == certified(server, tmp_path)
    assert asked == len(server.requests)
    certified(server, tmp_path, limit=2)
    third = certified(server, tmp_path, again=True)
    assert asked + PROMPTS == len(server.requests)
    assert (2, 3) == (first.rounds, third.rounds)


def test_failed_rows_of_a_further_round_are_asked_without_a_new_round(
    server: ProviderServer, tmp_path: Path
) -> None:
    """The round counts as begun: without `again`, what failed of it is asked."""
    certified(server, tmp_path)
    asked = len(server.requests)
    server.script = lambda attempt, body: (
        refused() if len(server.requests) == asked else None
    )
    first = certified(server, tmp_path, again=True)
    assert asked + PROMPTS == len(server.requests)

    second = certified(server, tmp_path)

    assert (1, 0) == (first.failed, second.failed)
    assert 2 == second.rounds
    assert asked + PROMPTS + 1 == len(server.requests)


def test_stopped_certification_keeps_when_it_asked(
    server: ProviderServer, tmp_path: Path
) -> None:
    """Answers from before an error have the time at which they came."""
    refuses_all = Fault(401, {}, {"error": {"message": "no"}})
    server.script = lambda attempt, body: (
        refuses_all if len(server.requests) >= PROMPTS else None
    )
    with pytest.raises(ConfigError):
        certified(server, tmp_path)
    stopped_at = now()
    server.script = lambda attempt, body: None

    found = certified(server, tmp_path)

    assert found.checks[0].sampled_at <= stopped_at < found.checks[1].sampled_at


@pytest.mark.parametrize(
    "refusal",
    [
        {
            "status": 400,
            "code": "unsupported_parameter",
            "param": "logprobs",
            "type": "invalid_request_error",
        },
        # OpenAI's, for its models that reason.
        {
            "status": 403,
            "message": "You are not allowed to request logprobs from this model",
        },
        {"status": 400, "message": "logprobs are disabled for this deployment"},
    ],
)
def test_server_without_log_probabilities_is_compared_by_text(
    server: ProviderServer, tmp_path: Path, refusal: dict[str, Any]
) -> None:
    """The refusal is a note, tokens are words, and nothing is planned or asked again."""

    def script(attempt: int, body: dict[str, Any]) -> Fault | None:
        return refused(**refusal) if "logprobs" in body else None

    server.script = script
    found = certified(server, tmp_path)
    asked = len(server.requests)
    settings = ["model=m", "max_retries=0"]
    experiment = experiment_for(server.url, settings=settings, limit=PROMPTS)
    planned = ModelCertification.of(
        experiment.with_store(str(tmp_path)), target="it"
    ).plan()

    assert found.holds
    assert not found.cannot_tell
    assert "word" == found.unit
    assert any("refuses to give log-probabilities" in note for note in found.notes)
    assert 0 == found.rated
    assert 0 == sum(item.calls for item in planned)
    assert found == certified(server, tmp_path)
    assert asked == len(server.requests)


@pytest.mark.parametrize(
    ("refused_names", "settings", "said"),
    [
        (("logprobs", "temperature"), (), "temperature"),
        (("logprobs",), ("logprobs=3",), "logprobs"),
    ],
)
def test_refused_settings_are_one_error(
    server: ProviderServer,
    tmp_path: Path,
    refused_names: tuple[str, ...],
    settings: tuple[str, ...],
    said: str,
) -> None:
    """Beside log-probabilities that are done without, and where a user asks for them."""

    def script(attempt: int, body: dict[str, Any]) -> Fault | None:
        for name in refused_names:
            if name in body:
                return refused(status=400, code="unsupported_parameter", param=name)
        return None

    server.script = script

    with pytest.raises(ConfigError, match=f"cannot be asked: .*'{said}'"):
        certified(server, tmp_path, settings=settings)


def test_budget_of_an_experiment_is_kept(
    server: ProviderServer, tmp_path: Path
) -> None:
    """Calls stop at `cost.max_cost`, and what was answered is kept."""
    experiment = Experiment.model_validate(
        {
            "name": "paid",
            "generation": {
                "generator": {
                    "use": "vllm",
                    "base_url": server.url,
                    "model": "m",
                    "max_tokens": 1000,
                }
            },
            "datasets": [
                {
                    "dataset_id": "d",
                    "cases": [{"case_id": str(n), "input": f"q{n}"} for n in range(3)],
                }
            ],
            "cost": {"max_cost": 0.011, "prices": {"m": {"input": 0, "output": 10}}},
            "storage": {"store": str(tmp_path)},
        }
    )

    with pytest.raises(BudgetError, match="stopped at the budget"):
        certify(experiment)
    asked = len(server.requests)

    assert 0 < asked < 18
    with pytest.raises(ConfigError, match="has its own"):
        certify(experiment, settings=["temperature=1"])


def test_server_that_forces_its_temperature_is_one_error(
    server: ProviderServer, tmp_path: Path
) -> None:
    """The setting is named; with the value that the server takes, the record says so."""

    def script(attempt: int, body: dict[str, Any]) -> Fault | None:
        if body.get("temperature") == 1:
            return None
        return refused(
            status=400,
            code="unsupported_value",
            param="temperature",
            type="invalid_request_error",
        )

    server.script = script
    with pytest.raises(ConfigError, match="temperature"):
        certified(server, tmp_path)
    found = certified(server, tmp_path, settings=["temperature=1"])

    assert any("the model draws" in note for note in found.notes)


def test_tokens_that_are_not_the_likeliest_are_told(
    server: ProviderServer, tmp_path: Path
) -> None:
    """A server that draws at temperature 0 gives itself away."""
    server.script = lambda attempt, body: rated(at("a", -2.0, ("b", -0.1)))

    found = certified(server, tmp_path)
    open_to_draws = certified(server, tmp_path, settings=["temperature=null"])

    assert any("although temperature 0 was asked for" in note for note in found.notes)
    assert any("no temperature was asked" in note for note in open_to_draws.notes)


def test_key_is_nowhere_in_the_store(
    server: ProviderServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither rows nor records hold the key, even if the server repeats it."""
    canary = "sk-canary-0123456789abcdef"
    monkeypatch.setenv("CANARY_KEY", canary)
    server.script = lambda attempt, body: Fault(echo=True)

    certified(server, tmp_path, settings=["api_key=${CANARY_KEY}"])

    assert f"Bearer {canary}" == server.requests[0].headers["authorization"]
    contents = files_of(tmp_path)
    assert contents
    assert not [
        name for name, content in contents.items() if canary.encode() in content
    ]


def test_run_of_the_same_generator_shows_the_certification(
    server: ProviderServer, tmp_path: Path
) -> None:
    """Log-probabilities aside, the generators are one; another model's run shows nothing.

    Pruning leaves the certification, and its answers, where they are.
    """
    found = certified(server, tmp_path)

    def run(model: str) -> Any:
        generator = {
            "use": "vllm",
            "base_url": server.url,
            "model": model,
            "temperature": 0,
            "max_tokens": 64,
        }
        return Experiment.model_validate(
            {
                "name": model,
                "generation": {"generator": generator},
                "datasets": [
                    {"dataset_id": "d", "cases": [{"case_id": "1", "input": "Hello?"}]}
                ],
                "storage": {"store": str(tmp_path)},
            }
        ).run()

    same, other = run("m"), run("n")

    line = f"certified on {found.certified_at[:10]}: 0 of {found.rows} texts differ"
    assert line in markdown_report(same)
    assert line in report_html(same)
    assert "certified on" not in markdown_report(other)
    assert "certified on" not in report_html(other)
    assert not [
        file.path
        for item in unused(same.store, older_than_s=-60)
        for file in item.files
        if file.path.startswith("certifications/")
    ]


def test_experiment_is_certified_on_its_own_prompts(
    server: ProviderServer, tmp_path: Path
) -> None:
    """The generator is that of the experiment: its runs find the certification."""
    (tmp_path / "cases.jsonl").write_text(
        "\n".join(json.dumps({"case_id": str(n), "input": f"q{n}"}) for n in range(3))
    )
    (tmp_path / "e.yaml").write_text(
        f"""
generation:
  generator: {{use: vllm, base_url: "{server.url}", model: m, max_concurrency: 1}}
  prompt_spec: {{suffix: "!"}}
datasets:
  - {{dataset_id: mine, path: cases.jsonl}}
"""
    )
    store = tmp_path / "store"

    found = certify(str(tmp_path / "e.yaml"), store=str(store))

    assert {"q0\n\n!", "q1\n\n!", "q2\n\n!"} == {
        prompt_of(body) for body in server.bodies[:3]
    }
    assert 3 == found.prompts
    experiment = Experiment.from_config(tmp_path / "e.yaml").with_store(str(store))
    run = experiment.run()
    generator = run.manifest.stages[0].identity["generator"]
    assert found == certification_of(RunStore(str(store)), generator)


def test_metrics_of_the_experiment_say_what_it_does_to_scores(tmp_path: Path) -> None:
    """Two cases whose answer changes beside others: their scores move, and no more."""
    cases = [
        {"case_id": f"{n}", "input": f"q{n}", "expected_output": f"re: q{n}"}
        for n in range(4)
    ]
    with ProviderServer(delay_s=0.02) as server:

        def script(_: int, body: dict[str, Any]) -> Fault | None:
            moves = prompt_of(body) in ("q0", "q1") and server._in_flight == 4
            return Fault(changes={"text": "no"}) if moves else None

        server.script = script
        experiment = Experiment.model_validate(
            {
                "generation": {
                    "generator": {"use": "vllm", "base_url": server.url, "model": "m"},
                    "candidate_policy": {"num_samples": 3},
                    "reducer": "builtin/majority_vote",
                },
                "evaluation": {
                    "parsers": ["builtin/text"],
                    "metrics": ["builtin/exact_match"],
                },
                "datasets": [{"dataset_id": "d", "cases": cases}],
            }
        )
        found = certify(experiment, store=str(tmp_path))

    (effect,) = found.scores
    assert ("exact_match", 4, 1.0) == (effect.metric_id, effect.cases, effect.mean)
    assert 1 <= effect.moved <= 2
    assert effect.within is not None
    assert effect.within > 0
    assert not found.holds


@pytest.mark.parametrize(
    ("target", "settings", "said"),
    [
        ("http://127.0.0.1:9/v1", (), "no server answers at http://127.0.0.1:9/v1"),
        ("http://127.0.0.1:9/v1", ("model=m", "max_retries=0"), "cannot be asked"),
        ("tinny", (), "did you mean 'tiny'"),
        ("missing.gguf", (), "missing.gguf"),
        ("localhost:9/v1", (), "http://localhost:9/v1"),
        ("http://user:secret-word-1@[bad", (), "cannot be read"),
        ("HTTP://127.0.0.1:9/v1", ('headers={X-A: "1"}',), "no server answers"),
        ("missing.yaml", (), "missing.yaml"),
        ("tiny", ("temprature=0",), "temprature"),
        ("http://user:secret-word-1@127.0.0.1:9/v1", ("model=m",), "credential"),
    ],
)
def test_wrong_target_is_one_error(
    target: str, settings: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    """It names what is wrong, and no secret."""
    with pytest.raises(InputError) as raised:
        certify(target, store=str(tmp_path), settings=settings, limit=2)

    assert said in str(raised.value)
    assert "secret-word-1" not in str(raised.value)


def test_local_engine_gives_the_same_bits(tmp_path: Path) -> None:
    """The bundled model, text and log-probability, however it is asked."""
    pytest.importorskip("llama_cpp")

    found = certify("tiny", store=str(tmp_path), settings=["max_tokens=8"], limit=8)

    assert found.holds
    assert not found.cannot_tell
    assert found.rated == found.rows > 0
    assert "last bit" in found.verdict
