"""Conversations of many turns: what is sent, what is kept, and what a change costs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.talking import noted, run, talk, user
from themis_lib import Case, ConfigError, RunStatus
from themis_lib.builtins.simulated_user import SimulatedUser
from themis_lib.components.build import build
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.prompts import PromptSpec
from themis_lib.errors import ComponentError, RowError
from themis_lib.report.cost_table import cost_rows
from themis_lib.report.markdown import cost_line

SCRIPT = {"turns": ["Hi", "And then?", "Bye"]}


def row(result: Any, index: int = 0) -> dict[str, Any]:
    found = result.table("outputs").to_pylist()[index]
    for name in ("output", "conversation", "trace", "artifacts"):
        found[name] = None if found[name] is None else json.loads(found[name])
    return found


def said(output: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(turn["role"], turn["content"]) for turn in output["conversation"]]


def test_script_is_answered_turn_by_turn(tmp_path: Path):
    """Each turn is one call, whose history is all that was sent and answered before; the
    last answer is the output, and tokens are summed.
    """
    result = run(
        talk(
            tmp_path,
            [SCRIPT],
            prompt_spec={"instructions": "Be kind.", "suffix": "!"},
        )
    )

    output = row(result)
    roles = ["system", "user", "assistant", "user", "assistant", "user", "assistant"]
    assert roles == [role for role, _ in said(output)]
    assert ("user", "And then?\n\n!") == said(output)[3]
    assert output["output"] == said(output)[-1][1]
    assert output["output"].startswith("Bye\n\n! ")
    assert (1 + 3 + 5, 3) == (output["input_tokens"], output["output_tokens"])
    events = [(step["event"], step["metadata"]["turn"]) for step in output["trace"]]
    assert [
        (event, turn) for turn in (1, 2, 3) for event in ("turn", "generation")
    ] == events
    assert {"turns": 3} == output["artifacts"]["conversation"]
    assert RunStatus.COMPLETED == result.status


@pytest.mark.parametrize(
    ("edited", "calls"),
    [
        (SCRIPT, 0),
        ({"turns": ["Hi", "And then?", "Bye", "Wait"]}, 1),
        ({"turns": ["Hi", "And then?", "Good bye"]}, 1),
        ({"turns": ["Hi", "What?", "Bye"]}, 2),
        ({"turns": ["Hello", "And then?", "Bye"]}, 3),
        ({"turns": ["Hi", "And then?"]}, 0),
    ],
)
def test_edit_of_a_turn_pays_for_it_and_those_after_it(
    tmp_path: Path, edited: Any, calls: int
):
    """An edit of turn t of n pays for the turns t to n, a turn more for one."""
    run(talk(tmp_path, [SCRIPT, {"turns": ["Hi", "And then?", "No"]}]))
    before = len(noted(tmp_path / "calls.log"))

    again = run(talk(tmp_path, [edited, {"turns": ["Hi", "And then?", "No"]}]))

    assert 6 == before
    assert calls == len(noted(tmp_path / "calls.log")) - before
    other = talk(tmp_path / "other", [edited, {"turns": ["Hi", "And then?", "No"]}])
    (tmp_path / "other").mkdir()
    fresh = run(other)
    assert row(fresh)["conversation"] == row(again)["conversation"]


def test_equal_turns_of_two_cases_are_independent_draws(tmp_path: Path):
    """Cases that begin alike share no answer, unless the model is deterministic; renamed
    ones are found.
    """
    cases = [{"turns": ["Hi", "A"]}, {"turns": ["Hi", "B"]}, {"turns": ["Hi", "A"]}]
    run(talk(tmp_path, cases, samples=2))
    assert 12 == len(noted(tmp_path / "calls.log"))
    run(talk(tmp_path, cases, samples=2, names=["x", "y", "z"]))
    assert 12 == len(noted(tmp_path / "calls.log"))

    steady = tmp_path / "steady"
    steady.mkdir()
    run(talk(steady, cases, samples=2, model="SteadyTalker"))
    # Of a seed: the first turn that all share, and the two second ones.
    assert 2 * 3 == len(noted(steady / "calls.log"))


def test_turns_are_safe_when_they_are_answered(tmp_path: Path):
    """A turn that fails for now leaves those before it paid: the next run asks on."""
    spec = talk(tmp_path, [SCRIPT], generator={"fails_at": "Bye"})
    failed = run(spec)
    spec = talk(tmp_path, [SCRIPT])
    result = run(spec)

    assert RunStatus.FAILED == failed.status
    assert RunStatus.COMPLETED == result.status
    assert ["Hi", "And then?", "Bye", "Bye"] == noted(tmp_path / "calls.log")
    (generate, *_), (step,) = result.manifest.stages, result.manifest.steps
    assert (3, 1, 2) == (step.rows, step.computed, step.cached)
    # The tokens of the row, and those of the one call that this run made.
    assert (9, 5) == (
        generate.usage.input_tokens,
        generate.usage_computed.input_tokens,
    )


def test_turn_that_fails_for_good_ends_the_conversation(tmp_path: Path):
    """What was said is kept with the reason, and nothing is asked again."""
    spec = talk(tmp_path, [SCRIPT], generator={"refuses": "And then?"})

    first, second = run(spec), run(spec)

    output = row(first)
    assert output["output"] is None
    assert "turn 2: the model refused" == output["error"]
    assert ["user", "assistant", "user"] == [role for role, _ in said(output)]
    assert output["conversation"] == row(second)["conversation"]
    assert 2 == len(noted(tmp_path / "calls.log"))


@pytest.mark.parametrize("model", ["SyncTalker", "BatchTalker"])
def test_every_kind_of_generator_can_be_the_model(tmp_path: Path, model: str):
    """Functions that block and batch generators hold the same conversations; turns that
    wait at the same time are one batch.
    """
    cases = [{"turns": [f"Hi {number}", "Bye"]} for number in range(4)]
    (tmp_path / "other").mkdir()

    result = run(talk(tmp_path, cases, model=model))
    expected = run(talk(tmp_path / "other", cases))

    for index in range(4):
        assert (
            row(expected, index)["conversation"] == row(result, index)["conversation"]
        )
    if model == "BatchTalker":
        assert ["4", "4"] == noted(tmp_path / "calls.log")


def test_seeds_differ_by_turn_and_sample(tmp_path: Path):
    """The same words at another turn or in another sample are another draw."""
    result = run(talk(tmp_path, [{"turns": ["Hi", "Hi"]}], samples=2))

    answers = [
        text
        for index in (0, 1)
        for role, text in said(row(result, index))
        if role == "assistant"
    ]
    assert 4 == len(set(answers))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"turn": ["Hi"]}, "no field 'turn'; did you mean 'turns'?"),
        ({"turns": []}, "`turns` is a list"),
        ({"turns": ["Hi", 4]}, "turns[1] is 4"),
        (4, "the input is no conversation"),
    ],
)
def test_input_that_is_no_script_is_an_error_of_its_row(
    tmp_path: Path, value: Any, reason: str
):
    """It says what is wrong, and nobody is asked."""
    result = run(talk(tmp_path, [value]))

    assert reason in row(result)["error"]
    assert [] == noted(tmp_path / "calls.log")


def test_simulated_user_sees_the_other_side(tmp_path: Path):
    """Roles are flipped, the persona is filled in from the case, instructions and prompt
    material of the model stay hidden, and the stop text ends the conversation unsent.
    """
    spec = talk(
        tmp_path,
        [{"goal": "a refund"}],
        conversation={"user": user(tmp_path)},
        prompt_spec={"instructions": "Secret.", "prefix": "Hidden."},
        cost={
            "prices": {
                "talker": {"input": 1, "output": 2},
                "customer": {"input": 10, "output": 5},
            }
        },
    )
    result = run(spec)

    output = row(result)
    asked = [json.loads(line) for line in noted(tmp_path / "user.log")]
    assert "You want a refund." in asked[0][0]["content"]
    assert "Secret" not in json.dumps(asked)
    own = [turn for turn in asked[-1] if turn["role"] == "assistant"]
    assert ["I have read 2", "I have read 4", "I have read 6"] == [
        turn["content"] for turn in own
    ]
    roles = [turn["role"] for turn in asked[-1]]
    assert ["system", "user", "assistant", "user", "assistant", "user"] == roles[:6]
    assert {"turns": 3, "ended": "stop"} == output["artifacts"]["conversation"]
    assert "STOP" not in json.dumps(output["conversation"])
    assert ["Hidden.\n\nI have read 2", "Hidden.\n\nI have read 4"] == [
        text for role, text in said(output) if role == "user"
    ][:2]


def test_cost_is_that_of_both_models(tmp_path: Path):
    """Cost is the model's tokens at its price and the user's at the user's; a run that
    finds everything paid nothing.
    """
    prices = {
        "talker": {"input": 1, "output": 2},
        "customer": {"input": 10, "output": 5},
    }
    spec = talk(
        tmp_path,
        [{"goal": "a refund"}],
        conversation={"user": user(tmp_path)},
        cost={"prices": prices},
    )
    first, second = run(spec), run(spec)

    # Three turns: the model reads 1, 3 and 5 messages. The user reads 2, 4, 6 and 8,
    # a hundred tokens each, and writes two tokens a time.
    model = (1 + 3 + 5) * 1 + 3 * 2
    customer = (2 + 4 + 6 + 8) * 100 * 10 + 4 * 2 * 5
    by_hand = pytest.approx((model + customer) / 1e6)
    assert by_hand == first.manifest.cost
    assert by_hand == first.manifest.cost_paid
    assert by_hand == second.manifest.cost
    assert 0 == second.manifest.cost_paid


@pytest.mark.parametrize(
    ("settings", "ended", "turns"),
    [
        ({"max_turns": 2}, "max_turns", 2),
        ({"until": "Is it settled?"}, "until", 3),
        ({"stop": "Bye"}, "stop", 3),
    ],
)
def test_stop_rules_end_a_conversation(
    tmp_path: Path, settings: dict[str, Any], ended: str, turns: int
):
    """A number of turns, a question that is answered by yes, or a text that it writes."""
    spec = talk(
        tmp_path,
        [{"goal": "x", "opening": "Hello"}],
        conversation={"user": user(tmp_path, **settings)},
    )

    output = row(run(spec))

    about = output["artifacts"]["conversation"]
    assert (ended, turns) == (about["ended"], about["turns"])
    assert ("user", "Hello") == said(output)[0]


@pytest.mark.parametrize(
    ("conversation", "message"),
    [
        ({"user": {"generator": "x", "personna": "y"}}, "personna"),
        ({"user": {"generator": "builtin/nobody", "persona": "y"}}, "builtin/nobody"),
        ({"user": {"generator": "builtin/demo_generator", "persona": "{{"}}, "persona"),
        ({"tools": ["tests.support.talking:TOOL_LOG"]}, "is not a function"),
        ({"tools": ["tests.support.talking:note"] * 2}, "two functions"),
        ({"max_steps": 0}, "max_steps"),
        (
            {"generator": {"use": "tests.support.talking:Blind", "log": ""}},
            "does not read `input`",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anybody_is_asked(
    tmp_path: Path, conversation: dict[str, Any], message: str
):
    """A setting that cannot be used is refused with its place."""
    with pytest.raises((ComponentError, ConfigError), match=message) as error:
        run(talk(tmp_path, [SCRIPT], conversation=conversation))

    assert "generation.generator" in str(error.value)


def test_thoughts_of_earlier_turns_are_not_sent_back(tmp_path: Path):
    """History has the answers alone; a thought that was cut off ends the conversation."""
    result = run(
        talk(tmp_path, [SCRIPT, {"turns": ["Hi", "And then?"]}], model="Thinker")
    )

    sent = [json.loads(line) for line in noted(tmp_path / "calls.log")]
    for messages in sent:
        assert "Hm." not in json.dumps(messages)
    assert "To Hi: yes." == max(sent, key=len)[1]["content"]
    cut, whole = row(result), row(result, 1)
    assert "turn 3: the output is a thought that was cut off" in cut["error"]
    assert "To And then?: yes." == whole["output"]
    assert "Hm." == whole["reasoning"]
    assert "Hm." not in json.dumps(whole["conversation"])


def test_model_that_cannot_be_told_of_tools_is_refused(tmp_path: Path):
    """Tools need a generator that takes them."""
    with pytest.raises(ComponentError, match="with_tools"):
        run(
            talk(
                tmp_path,
                [SCRIPT],
                model="BatchTalker",
                conversation={"tools": ["tests.support.talking:add"]},
            )
        )


def test_conversation_by_hand_needs_no_store(tmp_path: Path):
    """Called outside a run, it makes its calls at once."""
    spec = talk(tmp_path, [])["generation"]["generator"]
    generator = build("generator", spec, where="test").component
    ctx = GenerateContext("run", "case", "data", 1, None, PromptSpec())

    result = asyncio.run(generator.generate(Case(case_id="a", input=SCRIPT), ctx))

    assert 6 == len(result.conversation)
    assert 3 == len(noted(tmp_path / "calls.log"))


def test_persona_is_a_text():
    """A user that a model plays is not told of an image in words."""
    seeing = SimulatedUser(generator="x", persona="You see {{ picture }}")
    picture = {"type": "image", "url": "https://x.test/1.png"}

    with pytest.raises(RowError, match="the persona: it prints an image"):
        seeing.told({"picture": picture})


def test_cost_is_that_of_each_request_by_its_own_length(tmp_path: Path):
    """A tier holds for a long request: the sum of a conversation's is none. The table
    has the tokens of both models.
    """
    prices = {
        "talker": {
            "input": 1,
            "output": 0,
            "tiers": [{"above": 4, "input": 3, "output": 0}],
        },
        "customer": {
            "input": 1,
            "output": 0,
            "tiers": [{"above": 700, "input": 5, "output": 0}],
        },
    }
    spec = talk(
        tmp_path,
        [{"goal": "a refund"}],
        conversation={"user": user(tmp_path)},
        cost={"prices": prices},
    )
    first, second = run(spec), run(spec)

    # The model reads 1, 3 and 5 messages, the user 200, 400, 600 and 800 tokens.
    by_hand = pytest.approx((1 + 3 + 5 * 3 + 200 + 400 + 600 + 800 * 5) / 1e6)
    assert by_hand == first.manifest.cost
    assert by_hand == first.manifest.cost_paid
    assert by_hand == second.manifest.cost
    assert 0 == second.manifest.cost_paid
    input_rows = [
        cells[:4] for cells in cost_rows(first.manifest) if "input" in cells[1]
    ]
    assert [
        ("generate", "input, requests above 4", "5", "5"),
        ("generate", "input", "4", "4"),
        ("step[user]", "input, requests above 700", "800", "800"),
        ("step[user]", "input", "1,200", "1,200"),
    ] == input_rows


def test_cost_of_a_conversation_that_failed_is_shown(tmp_path: Path):
    """No row has a result, and the calls before the failure were paid all the same."""
    prices = {
        "talker": {"input": 1, "output": 2},
        "customer": {"input": 10, "output": 5},
    }
    spec = talk(
        tmp_path,
        [{"goal": "a refund"}],
        generator={"fails_at": "I have read 4"},
        conversation={"user": user(tmp_path)},
        cost={"prices": prices},
        runtime={"retries": 0},
    )
    result = run(spec)

    # The model answers once. The user speaks twice, to 2 messages and to 4.
    paid = (1 + 2 + (2 + 4) * 100 * 10 + 2 * 2 * 5) / 1e6
    assert pytest.approx(paid) == result.manifest.cost_paid
    assert "step[user]: $0.0060 of $0.00" in (cost_line(result) or "")
    assert [
        ("generate", "input", "1", "0"),
        ("generate", "output", "1", "0"),
        ("step[user]", "input", "600", "0"),
        ("step[user]", "output", "4", "0"),
    ] == [cells[:4] for cells in cost_rows(result.manifest)]
