"""Few-shot examples: which are chosen, how they look, and what their edits cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.counting import CALLS
from themis_lib import ConfigError, Experiment
from themis_lib.identity.digests import canonical_json
from themis_lib.stages.generate import GenerateStage


def row(number: int) -> dict[str, Any]:
    return {"input": str(number), "expected_output": f"<{number}>", "part": number % 2}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(item)}\n" for item in rows))


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "pool.jsonl"
    write(path, [row(number) for number in range(100, 110)])
    return path


def spec(pool: Path, **few_shot: Any) -> dict[str, Any]:
    """Six cases, and a model that answers with the length of its prompt."""
    data = {"path": str(pool), "columns": {"metadata": ["part"]}}
    cases = [{"case_id": str(number), **row(number)} for number in range(6)]
    for item in cases:
        del item["part"]
    return {
        "generation": {
            "generator": {"use": "tests.support.counting:Echo"},
            "few_shot": {"k": 2, "data": data, **few_shot},
        },
        "datasets": [{"dataset_id": "d", "cases": cases}],
        "storage": {"store": str(pool.parent / "store")},
    }


def stage(settings: dict[str, Any]) -> GenerateStage:
    return Experiment.model_validate(settings).compile().generate


def prompt(settings: dict[str, Any], case_input: Any = "1") -> Any:
    text = stage(settings).prompt_of(canonical_json(case_input)).prompt
    assert text is not None
    return json.loads(text)


def calls(settings: dict[str, Any]) -> int:
    CALLS.clear()
    Experiment.model_validate(settings).run()
    return CALLS["generate"]


def test_examples_come_first_with_their_answers(pool: Path) -> None:
    """A blank line between them, a space before an answer."""
    assert "100 <100>\n\n101 <101>\n\n1" == prompt(spec(pool))


def test_examples_as_turns(pool: Path) -> None:
    """A template's system message comes once, before all of them."""
    settings = spec(pool, layout="turns", k=1)
    turns = [
        {"role": "system", "content": "Wrap."},
        {"role": "user", "content": "n={{ input }}"},
    ]
    settings["generation"]["prompt_spec"] = {"template": turns}

    assert [
        {"role": "system", "content": "Wrap."},
        {"role": "user", "content": "n=100"},
        {"role": "assistant", "content": "<100>"},
        {"role": "user", "content": "n=1"},
    ] == prompt(settings)


def test_case_is_never_its_own_example(pool: Path) -> None:
    """It is skipped by its content, and the next example takes its place."""
    assert "101 <101>\n\n102 <102>\n\n100" == prompt(spec(pool), "100")


def test_fixed_examples_are_taken_by_id_and_in_order(pool: Path) -> None:
    settings = spec(pool, choose=["few_shot-0003", "few_shot-0001"])

    assert "103 <103>\n\n101 <101>\n\n1" == prompt(settings)


def test_seeded_choice_is_one_draw_for_all_cases(pool: Path) -> None:
    """So that they share the beginning of their prompts; another seed draws others."""
    settings = spec(pool, choose="seeded")
    first, second = prompt(settings), prompt(settings, "2")

    assert first.removesuffix("1") == second.removesuffix("2")
    assert first != prompt(spec(pool, choose="seeded", seed=5))


def test_stratified_choice_takes_of_each_group(pool: Path) -> None:
    """As many of each as of any other, as far as they go."""
    for k in (2, 4):
        settings = spec(pool, choose="stratified", by="part", k=k)
        numbers = [int(text.split()[0]) for text in prompt(settings).split("\n\n")[:k]]
        assert [0, 1] * (k // 2) == [number % 2 for number in numbers]


def test_order_of_the_pool_does_not_matter_to_a_draw(pool: Path) -> None:
    settings = spec(pool, choose="seeded", per_case=True)
    before = [prompt(settings, str(number)) for number in range(20)]

    write(pool, [row(number) for number in reversed(range(100, 110))])

    assert before == [prompt(settings, str(number)) for number in range(20)]


def test_edit_of_the_pool_generates_the_cases_that_it_touches(pool: Path) -> None:
    """None for an example that nobody has, all for one that all have."""
    settings = spec(pool)
    assert (6, 0) == (calls(settings), calls(settings))

    rows = [row(number) for number in range(100, 110)]
    write(pool, [*rows, row(110)])
    unused = calls(settings)
    rows[0]["expected_output"] = "<one hundred>"
    write(pool, rows)

    assert (0, 6) == (unused, calls(settings))


def test_draws_for_each_case_change_where_an_example_goes(pool: Path) -> None:
    """The others keep theirs, and their rows."""
    settings = spec(pool, choose="seeded", per_case=True)
    calls(settings)
    chosen = [prompt(settings, str(number)) for number in range(6)]
    gone = "103 <103>"
    touched = sum(gone in text for text in chosen)
    assert 0 < touched < 6

    write(pool, [row(number) for number in range(100, 110) if number != 103])

    assert touched == calls(settings)


def test_path_of_the_pool_is_no_identity(pool: Path, tmp_path: Path) -> None:
    """The same examples from another file cost nothing."""
    settings = spec(pool)
    calls(settings)
    moved = tmp_path / "moved.jsonl"
    pool.rename(moved)
    settings["generation"]["few_shot"]["data"]["path"] = str(moved)

    assert 0 == calls(settings)


def test_more_examples_are_another_prompt(pool: Path) -> None:
    """So is another separator; every case is asked again."""
    calls(spec(pool))

    assert (6, 6) == (calls(spec(pool, k=3)), calls(spec(pool, answer_separator=" = ")))


@pytest.mark.parametrize(
    ("few_shot", "message"),
    [
        ({"k": 11}, "k is 11, and the pool has 10"),
        (
            {"choose": ["few_shot-0033", "few_shot-0001"]},
            "did you mean 'few_shot-0003'",
        ),
        ({"choose": ["few_shot-0001"]}, r"1 id\(s\) for k=2"),
        ({"choose": "stratified", "by": "prt"}, "did you mean 'part'"),
        ({"by": "part"}, "choose: stratified"),
        ({"per_case": True}, "choose: seeded"),
    ],
)
def test_choice_that_cannot_be_made_is_refused(
    pool: Path, few_shot: dict[str, Any], message: str
) -> None:
    """Before anything is generated."""
    with pytest.raises((ConfigError, ValueError), match=message):
        stage(spec(pool, **few_shot))


def test_conversations_take_examples_as_turns(pool: Path) -> None:
    """A text before a list of messages would be neither."""
    settings = spec(pool)
    settings["generation"]["prompt_spec"] = {
        "template": [{"role": "user", "content": "{{ input }}"}]
    }

    with pytest.raises(ConfigError, match="layout: turns"):
        stage(settings)
