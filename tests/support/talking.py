"""Models and users for conversations, named in experiments as `tests.support.talking:…`.

Every call is a line of a file, so that calls of processes that were killed count too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from themis_lib import Case, Experiment, GenerationResult, RunResult
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import TokenUsage
from themis_lib.errors import RowError, TransientError
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.identity.digests import digest


@dataclass(frozen=True)
class Talker:
    """Answers with what was said last, and with a digest of all that it was told.

    Its tokens are as many as the messages that it reads, and one that it writes.
    """

    log: str
    delay_s: float = 0.0
    fails_at: str = ""
    refuses: str = ""
    wants: str = ""

    component_id = "tests/talker"
    version = "1"
    reads = ("input",)
    model = "talker"
    runtime = ("log", "delay_s", "fails_at")

    def fingerprint(self) -> str:
        return f"{self.refuses}/{self.wants}"

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        said = case.input[-1]["content"]
        note(self.log, said)
        await asyncio.sleep(self.delay_s)
        if self.fails_at and self.fails_at == said:
            raise TransientError("503: overloaded")
        if self.refuses and self.refuses == said:
            raise RowError("the model refused")
        return answer(case, ctx)

    def with_tools(self, tools: Sequence[dict[str, Any]]) -> ToolTalker:
        return ToolTalker(self.log, wants=json.dumps(tools))


@dataclass(frozen=True)
class ToolTalker(Talker):
    """Calls a tool for each turn `tool: {…}`, and repeats what the tool returned."""

    component_id = "tests/tool_talker"

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        said = case.input[-1]["content"]
        note(self.log, said)
        if case.input[-1]["role"] == "user" and said.startswith("call "):
            calls = json.loads(said.removeprefix("call "))
            return GenerationResult(final_output={"tool_calls": calls})
        return GenerationResult(final_output=said)


class Thinker(Talker):
    """Thinks before it answers; its last thought is cut off."""

    component_id = "tests/thinker"

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        said = case.input[-1]["content"]
        note(self.log, json.dumps(case.input))
        if said == "Bye":
            return GenerationResult(final_output="<think>What is")
        return GenerationResult(final_output=f"<think>Hm.</think>\n\nTo {said}: yes.")


class SyncTalker(Talker):
    component_id = "tests/sync_talker"

    def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:  # type: ignore[override]
        note(self.log, case.input[-1]["content"])
        return answer(case, ctx)


@dataclass(frozen=True)
class BatchTalker:
    """Answers many conversations at a time; its log has the size of each batch."""

    log: str

    component_id = "tests/batch_talker"
    version = "1"
    reads = ("input",)
    runtime = ("log",)

    def fingerprint(self) -> str:
        return ""

    async def generate_batch(
        self, cases: Sequence[Case], contexts: Sequence[GenerateContext]
    ) -> list[GenerationResult]:
        note(self.log, str(len(cases)))
        return list(map(answer, cases, contexts))


class Blind(Talker):
    component_id = "tests/blind"
    reads = ("metadata",)


class SteadyTalker(Talker):
    component_id = "tests/steady_talker"
    deterministic = True


@dataclass(frozen=True)
class Customer:
    """Plays a user: says how many messages it has read, and stops after some of them."""

    log: str
    patience: int = 3

    component_id = "tests/customer"
    version = "1"
    reads = ("input",)
    model = "customer"
    runtime = ("log",)

    def fingerprint(self) -> str:
        return str(self.patience)

    async def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        note(self.log, json.dumps(case.input))
        usage = TokenUsage(input_tokens=100 * len(case.input), output_tokens=2)
        if "yes or no" in case.input[-1]["content"]:
            said = "Yes." if len(case.input) > 7 else "no"
        elif len(case.input) > 2 * self.patience:
            said = "Bye. ###STOP###"
        else:
            said = f"I have read {len(case.input)}"
        return GenerationResult(final_output=said, usage=usage)


def answer(case: Case, ctx: GenerateContext) -> GenerationResult:
    told = digest("told", [case.input, ctx.seed, ctx.prompt_spec.instructions])[:6]
    usage = TokenUsage(input_tokens=len(case.input), output_tokens=1)
    return GenerationResult(
        final_output=f"{case.input[-1]['content']} {told}", usage=usage
    )


def note(log: str, said: str) -> None:
    with Path(log).open("a") as file:
        file.write(f"{said}\n")


def noted(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def talk(
    folder: Path,
    inputs: Sequence[Any],
    *,
    model: str = "Talker",
    samples: int = 1,
    generator: dict[str, Any] | None = None,
    names: Sequence[str] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """An experiment of conversations, its calls logged in `calls.log` of the folder."""
    log = str(folder / "calls.log")
    asked = {"use": f"tests.support.talking:{model}", "log": log, **(generator or {})}
    return {
        "name": "talks",
        "generation": {
            "generator": {
                "use": "builtin/conversation",
                "generator": asked,
                **settings.pop("conversation", {}),
            },
            "prompt_spec": settings.pop("prompt_spec", {}),
            "candidate_policy": {"num_samples": samples},
        },
        "evaluation": {
            "parsers": ["builtin/text"],
            "metrics": settings.pop("metrics", []),
        },
        "datasets": [
            {
                "dataset_id": "talks",
                "cases": [
                    {
                        "case_id": names[index] if names else f"case-{index}",
                        "input": item,
                    }
                    for index, item in enumerate(inputs)
                ],
            }
        ],
        "storage": {"store": str(folder / "store")},
        **settings,
    }


def run(spec: dict[str, Any]) -> RunResult:
    return experiment_from_spec(Experiment, spec, where="spec").run()


def user(folder: Path, **settings: Any) -> dict[str, Any]:
    """A simulated user, its calls logged in `user.log` of the folder."""
    return {
        "generator": {
            "use": "tests.support.talking:Customer",
            "log": str(folder / "user.log"),
        },
        "persona": "You want {{ goal }}.",
        **settings,
    }


def add(a: float, b: float = 1.0) -> float:
    """Return the sum of two numbers."""
    note(_tool_log(), f"add {a} {b}")
    return a + b


async def look_up(key: str) -> dict[str, str]:
    """Return what is known of a key."""
    note(_tool_log(), f"look_up {key}")
    if key == "missing":
        raise KeyError(key)
    if key == "down":
        raise ConnectionError("the service is down")
    return {"key": key}


def _tool_log() -> str:
    return str(TOOL_LOG[0])


TOOL_LOG = [Path("/dev/null")]
