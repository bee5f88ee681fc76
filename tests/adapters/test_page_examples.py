"""Examples of generators that bring their own clients: each is a program that runs as
it stands.
"""

from __future__ import annotations

import ast
import runpy
from pathlib import Path
from typing import Any

import pytest

CUSTOM = '''\
from __future__ import annotations

from themis_lib import Experiment
from themis_lib.core.config import EvaluationConfig, GenerationConfig, StorageConfig
from themis_lib.core.models import Case, Dataset, GenerationResult


class CustomGenerator:
    """Small example generator that satisfies the Generator protocol."""

    component_id = "generator/custom_example"
    version = "1.0"

    def fingerprint(self) -> str:
        return "custom-example-generator"

    async def generate(self, case: Case, ctx: object) -> GenerationResult:
        del ctx
        return GenerationResult(
            candidate_id=f"{case.case_id}-candidate",
            final_output={"answer": "4"},
        )


def run_example() -> dict[str, object]:
    """Execute an experiment with a custom generator instance."""
    experiment = Experiment(
        generation=GenerationConfig(generator=CustomGenerator()),
        evaluation=EvaluationConfig(
            metrics=["builtin/exact_match"], parsers=["builtin/json_identity"]
        ),
        storage=StorageConfig(store="memory"),
        datasets=[
            Dataset(
                dataset_id="sample",
                cases=[
                    Case(
                        case_id="case-1",
                        input={"question": "2+2"},
                        expected_output={"answer": "4"},
                    )
                ],
            )
        ],
    )
    result = experiment.run()
    return {"run_id": result.run_id, "status": result.status.value}


if __name__ == "__main__":
    print(run_example())
'''

OPENAI = '''\
from __future__ import annotations

from types import SimpleNamespace

from themis_lib import Experiment, InMemoryRunStore
from themis_lib.adapters import openai
from themis_lib.core.config import EvaluationConfig, GenerationConfig, StorageConfig
from themis_lib.core.models import Case, Dataset


class _FakeResponses:
    async def create(self, **kwargs: object) -> object:
        return SimpleNamespace(
            id="resp-1",
            output_text="4",
            usage=SimpleNamespace(input_tokens=3, output_tokens=1),
            headers={"x-ratelimit-limit-requests": "60"},
            model_dump=lambda mode="json": {"request": kwargs, "output_text": "4"},
        )


class _FakeClient:
    @property
    def responses(self) -> _FakeResponses:
        return _FakeResponses()


def run_example() -> dict[str, object]:
    """Execute the OpenAI adapter against a fake injected client."""
    store = InMemoryRunStore()
    generator = openai(
        "gpt-fake",
        client=_FakeClient(),
        instructions="Answer with only the final number.",
    )
    experiment = Experiment(
        generation=GenerationConfig(generator=generator),
        evaluation=EvaluationConfig(),
        storage=StorageConfig(store="memory"),
        datasets=[
            Dataset(
                dataset_id="sample",
                cases=[Case(case_id="case-1", input={"question": "2+2"})],
            )
        ],
        seeds=[7],
    )
    result = experiment.run(store=store)
    if not result.cases:
        raise RuntimeError("OpenAI example expected at least one case result")
    if not result.cases[0].generated_candidates:
        raise RuntimeError("OpenAI example expected at least one generated candidate")
    candidate = result.cases[0].generated_candidates[0]
    artifact_keys = [] if candidate.artifacts is None else sorted(candidate.artifacts)
    return {
        "run_id": result.run_id,
        "status": result.status.value,
        "artifact_keys": artifact_keys,
    }


if __name__ == "__main__":
    print(run_example())
'''

VLLM = '''\
from __future__ import annotations

from types import SimpleNamespace

from themis_lib import Experiment
from themis_lib.adapters import vllm
from themis_lib.core.config import EvaluationConfig, GenerationConfig, StorageConfig
from themis_lib.core.models import Case, Dataset


class _FakeResponses:
    async def create(self, **kwargs: object) -> object:
        return SimpleNamespace(
            id="vllm-resp-1",
            output_text="4",
            usage=SimpleNamespace(input_tokens=3, output_tokens=1),
            headers={"x-ratelimit-limit-requests": "120"},
            model_dump=lambda mode="json": {"request": kwargs, "output_text": "4"},
        )


class _FakeChatCompletions:
    async def create(self, **kwargs: object) -> object:
        return SimpleNamespace(
            id="chat-1",
            choices=[SimpleNamespace(message=SimpleNamespace(content="4"))],
            usage=SimpleNamespace(prompt_tokens=3, completion_tokens=1),
            headers={"x-ratelimit-limit-requests": "120"},
            model_dump=lambda mode="json": {
                "request": kwargs,
                "choices": [{"message": {"content": "4"}}],
            },
        )


class _FakeChat:
    @property
    def completions(self) -> _FakeChatCompletions:
        return _FakeChatCompletions()


class _FakeClient:
    @property
    def responses(self) -> _FakeResponses:
        return _FakeResponses()

    @property
    def chat(self) -> _FakeChat:
        return _FakeChat()


def run_example() -> dict[str, object]:
    """Execute the vLLM adapter against a fake injected client."""
    generator = vllm(
        "fake-vllm",
        base_url="http://localhost:8000/v1",
        client=_FakeClient(),
        api_mode="chat_completions",
    )
    experiment = Experiment(
        generation=GenerationConfig(generator=generator),
        evaluation=EvaluationConfig(),
        storage=StorageConfig(store="memory"),
        datasets=[
            Dataset(
                dataset_id="sample",
                cases=[Case(case_id="case-1", input={"question": "2+2"})],
            )
        ],
        seeds=[7],
    )
    result = experiment.run()
    return {
        "run_id": result.run_id,
        "status": result.status.value,
        "api_mode": generator.api_mode,
    }


if __name__ == "__main__":
    print(run_example())
'''

LANGGRAPH = '''\
from __future__ import annotations

from themis_lib import Experiment
from themis_lib.adapters import langgraph
from themis_lib.core.config import EvaluationConfig, GenerationConfig, StorageConfig
from themis_lib.core.models import Case, Dataset


class _FakeGraph:
    async def ainvoke(self, payload: object) -> object:
        return {"answer": "4", "input": payload}

    async def astream_events(self, payload: object, *, version: str):
        del version
        yield {
            "name": "plan",
            "event": "step",
            "data": {"input": payload, "output": {"proposed_answer": "4"}},
        }


def run_example() -> dict[str, object]:
    """Execute the LangGraph adapter against a fake graph."""
    generator = langgraph(_FakeGraph(), graph_id="fake-graph", output_key="answer")
    experiment = Experiment(
        generation=GenerationConfig(generator=generator),
        evaluation=EvaluationConfig(),
        storage=StorageConfig(store="memory"),
        datasets=[
            Dataset(
                dataset_id="sample",
                cases=[Case(case_id="case-1", input={"question": "2+2"})],
            )
        ],
        seeds=[7],
    )
    result = experiment.run()
    trace_steps = len(result.cases[0].generated_candidates[0].trace or [])
    return {
        "run_id": result.run_id,
        "status": result.status.value,
        "trace_steps": trace_steps,
    }


if __name__ == "__main__":
    print(run_example())
'''

#: Each program, and what it prints beside the id of its run.
EXAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "custom": (CUSTOM, {"status": "completed"}),
    "openai": (
        OPENAI,
        {
            "status": "completed",
            "artifact_keys": [
                "provider_request_id",
                "rate_limit",
                "raw_response",
                "response_headers",
            ],
        },
    ),
    "vllm": (VLLM, {"status": "completed", "api_mode": "chat_completions"}),
    "langgraph": (LANGGRAPH, {"status": "completed", "trace_steps": 1}),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs_as_it_stands(
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A program with a client of its own needs no key and no server, and completes."""
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "VLLM_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    program, expected = EXAMPLES[name]
    path = tmp_path / "example.py"
    path.write_text(program)

    runpy.run_path(str(path), run_name="__main__")

    printed = ast.literal_eval(capsys.readouterr().out)
    assert printed.pop("run_id")
    assert expected == printed
