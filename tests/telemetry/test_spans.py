"""What a run tells OpenTelemetry, with an exporter in memory that the application has
set: spans of the run, its stages, their shards and their requests.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.comparison.test_stop_when_decided import matrix
from tests.support.asking import questions
from tests.support.provider_server import (
    SILENT,
    Fault,
    ProviderServer,
    refused,
)
from tests.support.spans import Span, from_memory, named, tree
from tests.support.talking import talk
from themis_lib import (
    ConfigError,
    Experiment,
    FatalError,
    GenerationResult,
    RunStatus,
    RuntimeConfig,
    TokenUsage,
)
from themis_lib.comparison.stop_when_decided import run_matrix_until_decided
from themis_lib.core.models import Message
from themis_lib.experiment.spec import experiment_from_spec

STAGES = ["themis.stage generate", "themis.stage parse", "themis.stage reduce"]
VERDICT = '{"reason": "it is", "verdict": "correct"}'


@pytest.fixture(scope="module")
def memory() -> Iterator[InMemorySpanExporter]:
    """An exporter of a provider that the application of this process has set."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # Once a process; from then on it is kept.
    trace.set_tracer_provider(provider)
    yield exporter
    exporter.shutdown()


@pytest.fixture
def exporter(
    memory: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> InMemorySpanExporter:
    for name in ("OPENAI_BASE_URL", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    memory.clear()
    return memory


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server


def asked(server: ProviderServer, **settings: Any) -> dict[str, Any]:
    return {
        "use": "openai",
        "model": "gpt-x",
        "base_url": server.url,
        "api_key": "${THE_KEY}",
        "api_mode": "chat_completions",
        "max_retries": 0,
        **settings,
    }


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "sk-canary-5f1d7a90-telemetry")


def spans_of(exporter: InMemorySpanExporter) -> list[Span]:
    return from_memory(exporter.get_finished_spans())


def test_spans_are_a_tree_of_run_stage_shard_and_request(
    exporter: InMemorySpanExporter, provider: ProviderServer
) -> None:
    """The judges' requests are there too, below their own stage."""
    provider.script = lambda attempt, body: (
        Fault(changes={"text": VERDICT}) if body["model"] == "judge" else None
    )
    judge = {
        "use": "builtin/judge_correctness",
        "id": "good",
        "judge": asked(provider, model="judge"),
    }
    experiment = questions(
        asked(provider),
        3,
        metrics=[judge],
        runtime={"telemetry": "spans", "shard_size": 2, "max_concurrency": 1},
    )

    result = experiment.run()

    assert result.status is RunStatus.COMPLETED
    chat, verdict = "chat gpt-x", "chat judge"
    expected = [
        "themis.run",
        [
            "themis.stage generate",
            ["themis.shard generate", [chat, chat], "themis.shard generate", [chat]],
            "themis.stage parse",
            ["themis.shard parse"] * 2,
            "themis.stage judge[good]",
            [
                "themis.shard judge[good]",
                [verdict, verdict],
                "themis.shard judge[good]",
                [verdict],
            ],
            "themis.stage score[good]",
            ["themis.shard score[good]"] * 2,
            "themis.stage reduce",
            ["themis.shard reduce"] * 2,
        ],
    ]
    spans = spans_of(exporter)
    # Two shards are under way at once: by name, where time does not decide.
    run = [span for span in spans if span.name == "themis.run"]
    by_name = sorted(
        spans, key=lambda span: (_order(expected[1], span.name), span.start_ns)
    )
    assert expected == tree(by_name)
    assert {
        "themis.run.id": result.run_id,
        "themis.experiment": experiment.name,
        "themis.run.status": "completed",
    } == run[0].attributes
    assert len({span.trace for span in spans}) == 1
    generate = named(spans, "themis.stage generate")[0]
    assert {
        "themis.stage": "generate",
        "themis.rows.total": 3,
        "themis.rows.cached": 0,
        "themis.rows.computed": 3,
        "themis.rows.failed": 0,
    } == generate.attributes


def _order(names: list[Any], name: str) -> int:
    stage = name.replace("themis.shard", "themis.stage")
    return names.index(stage) if stage in names else -1


def test_a_request_has_the_attributes_of_the_conventions_and_no_content(
    exporter: InMemorySpanExporter, provider: ProviderServer
) -> None:
    experiment = questions(
        asked(provider, temperature=0.5, max_tokens=20, stop=["END"], top_p=0.9),
        runtime={"telemetry": "spans"},
    )

    experiment.run()

    [request] = named(spans_of(exporter), "chat")
    [sent] = provider.bodies
    assert ("CLIENT", "UNSET") == (request.kind, request.status)
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.max_tokens": 20,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.seed": sent["seed"],
        "gen_ai.response.model": "gpt-x-2026",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 5,
        "gen_ai.usage.reasoning.output_tokens": 3,
        "server.address": "127.0.0.1",
        "server.port": provider.port,
        "themis.dataset": experiment.datasets[0].dataset_id,
        "themis.case": experiment.datasets[0].cases[0].case_id,
    } == request.attributes


def test_a_request_begins_when_it_is_sent_not_while_it_waits_its_turn(
    exporter: InMemorySpanExporter, provider: ProviderServer
) -> None:
    provider.delay_s = 0.02

    questions(
        asked(provider, max_concurrency=1), 4, runtime={"telemetry": "spans"}
    ).run()

    requests = named(spans_of(exporter), "chat")
    assert 4 == len(requests)
    for before, after in itertools.pairwise(requests):
        # Read and stored between the two: the end may be a little late.
        assert after.start_ns > before.start_ns + 15_000_000


@pytest.mark.parametrize("way", ["setting", "variable"])
def test_content_is_recorded_where_it_is_asked_for(
    exporter: InMemorySpanExporter,
    provider: ProviderServer,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    mode = "content"
    if way == "variable":
        mode = "spans"
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")

    questions(
        asked(provider, instructions="Be brief."), runtime={"telemetry": mode}
    ).run()

    [request] = named(spans_of(exporter), "chat")
    text = {"type": "text", "content": "question 0"}
    said = {"type": "text", "content": "re: question 0"}
    assert [{"role": "user", "parts": [text]}] == json.loads(
        request.attributes["gen_ai.input.messages"]
    )
    assert [
        {"role": "assistant", "parts": [said], "finish_reason": "stop"}
    ] == json.loads(request.attributes["gen_ai.output.messages"])
    assert [{"type": "text", "content": "Be brief."}] == json.loads(
        request.attributes["gen_ai.system_instructions"]
    )


@pytest.mark.parametrize(
    ("fault", "settings", "error_type"),
    [
        (refused(), {}, "429"),
        (refused(status=400), {}, "400"),
        (SILENT, {"timeout_s": 0.1}, "TransientError"),
    ],
)
def test_a_request_that_failed_says_how_and_repeats_no_message(
    exporter: InMemorySpanExporter,
    provider: ProviderServer,
    fault: Fault,
    settings: dict[str, Any],
    error_type: str,
) -> None:
    provider.script = lambda attempt, body: fault

    questions(asked(provider, **settings), runtime={"telemetry": "spans"}).run()

    [request] = named(spans_of(exporter), "chat")
    assert ("ERROR", None) == (request.status, request.said)
    assert error_type == request.attributes["error.type"]


def test_what_the_sdk_sends_again_is_one_request(
    exporter: InMemorySpanExporter, provider: ProviderServer
) -> None:
    provider.script = lambda attempt, body: refused("0") if attempt == 1 else None

    questions(asked(provider, max_retries=1), runtime={"telemetry": "spans"}).run()

    [request] = named(spans_of(exporter), "chat")
    assert 2 == len(provider.requests)
    assert ("UNSET", False) == (request.status, "error.type" in request.attributes)


def test_the_end_of_a_run_is_an_error_of_its_spans(
    exporter: InMemorySpanExporter, provider: ProviderServer
) -> None:
    provider.script = lambda attempt, body: refused(status=401)

    with pytest.raises(FatalError):
        questions(asked(provider), runtime={"telemetry": "spans"}).run()

    spans = spans_of(exporter)
    shard = ["themis.shard generate", ["chat gpt-x"]]
    assert ["themis.run", ["themis.stage generate", shard]] == tree(spans)
    assert {"themis.run": "ERROR", "themis.stage generate": "UNSET"} | {
        "themis.shard generate": "ERROR",
        "chat gpt-x": "ERROR",
    } == {span.name: span.status for span in spans}


def test_a_cached_row_has_no_request_and_telemetry_moves_no_key(
    exporter: InMemorySpanExporter, provider: ProviderServer, tmp_path: Any
) -> None:
    off, on = (
        questions(
            asked(provider), 2, store=str(tmp_path), runtime={"telemetry": telemetry}
        )
        for telemetry in ("off", "content")
    )

    off.run()
    assert [] == spans_of(exporter)
    on.run()

    assert off.compile().fingerprint == on.compile().fingerprint
    spans = spans_of(exporter)
    assert [] == named(spans, "chat")
    assert [2, 2, 2] == [
        span.attributes["themis.rows.cached"] for span in named(spans, "themis.stage")
    ]


def test_a_disabled_sdk_switches_it_off(
    exporter: InMemorySpanExporter,
    provider: ProviderServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    questions(asked(provider), runtime={"telemetry": "spans"}).run()

    assert [] == spans_of(exporter)


@pytest.mark.parametrize("api_mode", ["responses", "chat_completions"])
@pytest.mark.parametrize("status", [200, 400, 500])
def test_no_secret_is_in_a_span(
    exporter: InMemorySpanExporter,
    provider: ProviderServer,
    monkeypatch: pytest.MonkeyPatch,
    api_mode: str,
    status: int,
) -> None:
    """The provider repeats everything that it is sent, and content is asked for."""
    monkeypatch.setenv("CANARY_HEADER", "canary-9b3c1e42-header")
    monkeypatch.setenv("CANARY_PASSWORD", "canary-pass77d0word")
    monkeypatch.setenv("CANARY_QUERY", "canary-e0a41b55-query")
    error = {"error": {}} if status != 200 else None
    provider.script = lambda attempt, body: Fault(status, echo=True, body=error)
    generator = asked(
        provider,
        api_mode=api_mode,
        base_url=f"http://me:${{CANARY_PASSWORD}}@127.0.0.1:{provider.port}/v1"
        "?key=${CANARY_QUERY}",
        headers={"X-Token": "${CANARY_HEADER}"},
    )

    questions(generator, runtime={"telemetry": "content"}).run()

    spans = spans_of(exporter)
    [request] = named(spans, "chat")
    assert "canary" in str(provider.requests)
    assert "canary" not in str(spans)
    # The echo has arrived, and is recorded with its secrets masked.
    assert "***" in str(request)


def test_a_generator_of_ones_own_has_spans_too(exporter: InMemorySpanExporter) -> None:
    """Spans that it makes itself are below that of the call."""

    class Thinker:
        component_id = "thinker"
        version = "1"
        model = "thinker-1"

        def fingerprint(self) -> str:
            return "1"

        async def generate(self, case: Any, context: Any) -> GenerationResult:
            with trace.get_tracer("mine").start_as_current_span("thinking"):
                calls = [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}]
                return GenerationResult(
                    final_output="done",
                    conversation=[
                        Message(role="user", content=[{"type": "text", "text": "Go"}]),
                        Message(role="assistant", tool_calls=calls),
                        Message(role="tool", tool_call_id="c1", content="7"),
                        Message(role="assistant", content="done"),
                    ],
                )

    questions(Thinker(), runtime={"telemetry": "content"}).run()

    spans = spans_of(exporter)
    [call] = named(spans, "chat")
    shard = ["themis.shard generate", ["chat thinker-1", ["thinking"]]]
    assert ["themis.stage generate", shard] == tree(spans)[1][:2]
    assert "thinker" == call.attributes["gen_ai.provider.name"]
    assert [
        {"role": "user", "parts": [{"type": "text", "content": "Go"}]},
        {
            "role": "assistant",
            "parts": [
                {"type": "tool_call", "id": "c1", "name": "f", "arguments": "{}"}
            ],
        },
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "c1", "response": "7"}],
        },
    ] == json.loads(call.attributes["gen_ai.input.messages"])


def test_a_batch_of_a_local_model_is_one_span(exporter: InMemorySpanExporter) -> None:
    class Local:
        component_id = "local"
        version = "1"
        model = "tiny"
        is_free = True

        def fingerprint(self) -> str:
            return "1"

        def generate_batch(self, cases: Any, contexts: Any) -> list[GenerationResult]:
            usage = TokenUsage(input_tokens=3, output_tokens=2)
            return [GenerationResult(final_output="x", usage=usage) for _ in cases]

    questions(Local(), 5, runtime={"telemetry": "spans", "batch_size": 4}).run()

    batches = named(spans_of(exporter), "chat tiny")
    assert {"INTERNAL"} == {span.kind for span in batches}
    counts = ("themis.rows.total", "gen_ai.usage.input_tokens")
    assert [[1, 3], [4, 12]] == sorted(
        [span.attributes[name] for name in counts] for span in batches
    )


def test_a_generator_that_calls_no_model_has_no_spans(
    exporter: InMemorySpanExporter,
) -> None:
    questions("builtin/demo_generator", 2, runtime={"telemetry": "spans"}).run()

    shard = ["themis.shard generate"]
    assert ["themis.stage generate", shard] == tree(spans_of(exporter))[1][:2]


def test_nothing_of_opentelemetry_is_imported_while_it_is_off() -> None:
    script = (
        "import sys\n"
        "from tests.support.asking import questions\n"
        "questions('builtin/demo_generator', 2).run()\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "[]\n" == done.stdout


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("OTEL_TRACES_EXPORTER", "otpl", "did you mean 'otlp'"),
        ("OTEL_METRICS_EXPORTER", "prometheus", "choose one of"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "4318"),
    ],
)
def test_a_wrong_variable_is_refused_before_anything_is_generated(
    monkeypatch: pytest.MonkeyPatch,
    provider: ProviderServer,
    name: str,
    value: str,
    says: str,
) -> None:
    monkeypatch.setenv(name, value)
    experiment = questions(asked(provider), runtime={"telemetry": "spans"})

    with pytest.raises(ConfigError, match=f"{name}='{value}'.*{says}"):
        experiment.run()

    assert [] == provider.requests


@pytest.mark.parametrize(
    ("given", "mode"), [(False, "off"), (True, "spans"), ("content", "content")]
)
def test_the_switch_is_a_word_or_what_yaml_makes_of_on_and_off(
    given: Any, mode: str
) -> None:
    assert mode == RuntimeConfig(telemetry=given).telemetry


def test_a_conversation_has_a_span_for_each_of_its_calls_alone(
    exporter: InMemorySpanExporter, tmp_path: Path
) -> None:
    """Tokens are counted once: the row that calls are put together to is no call."""
    spec = talk(tmp_path, [{"turns": ["Hi", "Bye"]}], runtime={"telemetry": "spans"})

    experiment_from_spec(Experiment, spec, where="test").run()

    calls = named(spans_of(exporter), "chat talker")
    assert [1, 3] == [span.attributes["gen_ai.usage.input_tokens"] for span in calls]


def test_a_run_is_below_the_span_of_the_application(
    exporter: InMemorySpanExporter,
) -> None:
    experiment = questions("builtin/demo_generator", 1, runtime={"telemetry": "spans"})

    with trace.get_tracer("application").start_as_current_span("job"):
        experiment.run()

    [job, [run, _]] = tree(spans_of(exporter))
    assert ("job", "themis.run") == (job, run)


def test_runs_that_go_in_step_are_beside_each_other(
    exporter: InMemorySpanExporter, tmp_path: Path
) -> None:
    """Neither is a part of the other."""
    cells = matrix(tmp_path, 0.2, 0.95, runtime={"telemetry": "spans"})

    run_matrix_until_decided(cells)

    runs = named(spans_of(exporter), "themis.run")
    assert [None, None] == [span.parent for span in runs]
