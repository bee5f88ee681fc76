"""The experiments of the store, and those of which a fingerprint alone is on record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from themis_lib import (
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    StorageConfig,
)
from themis_lib.core.models import Case
from themis_lib.core.prompts import PromptSpec

FOLDER = Path(__file__).parent
Spec = dict[str, Any]

_SUMS = [
    f"{left} + {right}"
    for left, right in ((0, 1), (1, 1), (2, 1), (7, 5), (123456, 654321), (1, 1))
]


def case(index: int, text: str) -> Spec:
    numbers = [int(word) for word in text.split(" + ") if word.isdigit()]
    return {
        "case_id": f"sum-{index}",
        "input": text,
        "expected_output": str(sum(numbers)),
        "metadata": {
            "topic": "large" if sum(numbers) > 10 else "small",
            "label": index % 2,
            "weight": 0.5,
        },
    }


def specs(store: str) -> dict[str, Spec]:
    """Experiments that can be written as data, by name."""
    own = {
        "name": "own components",
        "generation": {
            "generator": {"use": "tests.stored.components:Adder", "slip": 4},
            "prompt_spec": {
                "instructions": "Add.",
                "prefix": "Sum:",
                "blocks": ["Be exact.", {"n": 1}],
                "suffix": "Go.",
            },
            "reducer": "builtin/majority_vote",
        },
        "evaluation": {
            "parsers": [
                "builtin/number",
                {"use": "builtin/regex", "pattern": r"A: (\d+)"},
                {"use": "tests.stored.components:LastWord"},
            ],
            "metrics": [
                "builtin/exact_match",
                {"use": "builtin/numeric_match", "id": "close"},
                {"use": "tests.stored.components:Length", "most": 5},
                {"use": "tests.stored.components:BatchSteps", "id": "steps"},
                {
                    "use": "builtin/judge_correctness",
                    "id": "judged",
                    "judge": {"use": "tests.stored.components:Judge"},
                    "explain": False,
                },
            ],
            "slices": ["topic"],
            "agreement": {"judged": "label"},
            "statistics": {"interval": "bootstrap", "resamples": 200, "seed": 3},
        },
        "datasets": [
            {
                "dataset_id": "sums",
                "cases": [
                    *(case(index, text) for index, text in enumerate(_SUMS)),
                    case(9, "nothing"),
                ],
            }
        ],
        "storage": {"store": store},
        "runtime": {"shard_size": 3},
        "seeds": [11, 12, 12],
    }
    builtin = {
        "name": "built-in components",
        "generation": {
            "generator": {"use": "builtin/demo_generator"},
            "candidate_policy": {"num_samples": 2, "base_seed": 5},
            "reducer": {"use": "builtin/pass_at_k", "k": 2},
        },
        "evaluation": {
            "parsers": ["builtin/choice_letter", "builtin/math_answer", "builtin/text"],
            "metrics": [
                "builtin/contains",
                "builtin/f1",
                {"use": "builtin/regex_match", "pattern": "[0-9]"},
            ],
        },
        "datasets": [
            {
                "dataset_id": "file",
                "path": str(FOLDER / "cases.jsonl"),
                "columns": {
                    "input": "question",
                    "expected_output": "answer",
                    "metadata": ["topic"],
                },
                "filter": {"topic": ["a", "b"]},
                "sample": 5,
                "seed": 2,
            }
        ],
        "storage": {"store": store},
    }
    batch = {
        "name": "batches",
        "generation": {
            "generator": {"use": "tests.stored.components:BatchAdder"},
            "reducer": {"use": "tests.stored.components:Median"},
        },
        "evaluation": {
            "parsers": [{"use": "builtin/json_path", "path": "$.sum"}],
            "metrics": [{"use": "builtin/exact_match", "id": "exact"}],
        },
        "datasets": [
            {
                "dataset_id": "sums",
                "cases": [case(index, text) for index, text in enumerate(_SUMS)],
            }
        ],
        "storage": {"store": store},
    }
    replay = {
        **batch,
        "name": "recorded outputs",
        "generation": {
            "generator": {
                "use": "builtin/replay",
                "path": str(FOLDER / "outputs.jsonl"),
            }
        },
        "evaluation": {"metrics": ["builtin/exact_match", "builtin/choice_accuracy"]},
    }
    return {"own": own, "builtin": builtin, "batch": batch, "replay": replay}


def functions(store: str) -> Experiment:
    """An experiment of plain functions."""
    from tests.stored.components import first_letter, is_early, shout
    from themis_lib.components import functions as wrap

    return Experiment(
        name="functions",
        generation=GenerationConfig(
            generator=wrap.FunctionGenerator(shout),
            prompt_spec=PromptSpec(prefix="Say"),
        ),
        evaluation=EvaluationConfig(
            parsers=[wrap.FunctionParser(first_letter)],
            metrics=[wrap.FunctionMetric(is_early)],
        ),
        storage=StorageConfig(store=store),
        datasets=[
            Dataset(
                dataset_id="words",
                cases=[Case(case_id="w", input="apple", expected_output="APPLE")],
            )
        ],
    )


#: Generators whose rows cost money, and so are on record as fingerprints alone.
GENERATORS: dict[str, Spec] = {
    "openai": {
        "use": "openai",
        "model": "gpt-4.1-nano",
        "temperature": 0.5,
        "max_tokens": 20,
    },
    "openai chat": {
        "use": "openai",
        "model": "gpt-4.1-nano",
        "api_mode": "chat_completions",
        "base_url": "http://127.0.0.1:9/v1",
    },
    "openai schema": {
        "use": "openai",
        "model": "m",
        "schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
    "vllm": {
        "use": "vllm",
        "model": "Qwen/Qwen3-4B",
        "base_url": "http://127.0.0.1:9/v1",
    },
    "openai azure": {
        "use": "openai",
        "model": "deployment",
        "azure_endpoint": "https://team.openai.azure.com",
        "api_version": "2024-10-21",
        "api_mode": "chat_completions",
        "api_key": "${OPENAI_API_KEY}",
    },
    "any": {
        "use": "any",
        "model": "gemini:gemini-2.5-flash",
        "temperature": 0.5,
        "api_key": "${OPENAI_API_KEY}",
    },
    "lmstudio": {"use": "lmstudio", "model": "m"},
    "ollama": {"use": "ollama", "model": "llama3.2"},
    "openrouter": {
        "use": "openrouter",
        "model": "a/b",
        "api_key": "${OPENAI_API_KEY}",
    },
    "sglang": {"use": "sglang", "model": "m"},
    "langgraph": {
        "use": "langgraph",
        "graph": "tests.stored.graph:make_graph",
        "output_key": "answer",
    },
    "demo": {"use": "builtin/demo_generator"},
    "llama": {"use": "llama", "model": "tiny", "temperature": 0.7, "max_tokens": 16},
    "llama_choice": {"use": "llama_choice", "model": "tiny", "choices": ["A", "B"]},
}

COMPONENTS: dict[str, list[Spec | str]] = {
    "parsers": [
        "builtin/json_identity",
        "builtin/text",
        "builtin/number",
        "builtin/choice_letter",
        "builtin/math_answer",
        {"use": "builtin/regex", "pattern": "x"},
        {"use": "builtin/json_path", "path": "$.a"},
    ],
    "metrics": [
        "builtin/exact_match",
        "builtin/numeric_match",
        "builtin/contains",
        "builtin/f1",
        "builtin/choice_accuracy",
        {"use": "builtin/regex_match", "pattern": "x"},
        {"use": "builtin/judge_correctness", "judge": "tests.stored.components:Judge"},
        {
            "use": "builtin/judge_rubric",
            "rubric": "Is it kind?",
            "judge": "tests.stored.components:Judge",
        },
        {"use": "builtin/judge_pairwise", "judge": "tests.stored.components:Judge"},
    ],
    "reducer": [
        "builtin/first",
        "builtin/majority_vote",
        "builtin/best_of_n",
        "builtin/mean",
        "builtin/max",
        {"use": "builtin/pass_at_k", "k": 1},
        {"use": "builtin/all_pass"},
    ],
}


def fingerprint_specs() -> dict[str, Spec]:
    """Experiments whose stages' fingerprints are on record, by name."""
    found = {
        f"generator {name}": {"generation": {"generator": generator}}
        for name, generator in GENERATORS.items()
    }
    demo = {"generator": "builtin/demo_generator"}
    for kind, components in COMPONENTS.items():
        for component in components:
            name = component if isinstance(component, str) else component["use"]
            found[f"{kind} {name}"] = (
                {
                    "generation": {**demo, "reducer": component},
                    "evaluation": {"metrics": ["builtin/exact_match"]},
                }
                if kind == "reducer"
                else {"generation": demo, "evaluation": {kind: [component]}}
            )
    return found
