"""Few-shot examples: which are chosen, how they look, and what their edits cost."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tests.support.counting import CALLS
from tests.support.media import as_base64, png, write_jsonl
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


def test_later_system_messages_stay_where_they_are(pool: Path) -> None:
    """Only those that a conversation begins with come before the examples."""
    settings = spec(pool, layout="turns", k=1)
    turns = [
        {"role": "developer", "content": "Wrap."},
        {"role": "user", "content": "1"},
        {"role": "system", "content": "Now."},
        {"role": "user", "content": "2"},
    ]

    first, *rest = turns
    assert [
        first,
        {"role": "user", "content": "100"},
        {"role": "assistant", "content": "<100>"},
        *rest,
    ] == prompt(settings, turns)


def test_case_is_never_its_own_example(pool: Path) -> None:
    """It is skipped by its content, and the next example takes its place."""
    assert "101 <101>\n\n102 <102>\n\n100" == prompt(spec(pool), "100")


def test_case_is_known_by_its_prompt(pool: Path, tmp_path: Path) -> None:
    """Its input may hold what no prompt shows: its answer must not be before it."""
    settings = spec(pool)
    settings["generation"]["prompt_spec"] = {"template": "{{ a }}"}
    settings["generation"]["few_shot"]["data"]["columns"] = {}
    write(pool, [{"a": n, "expected_output": f"<{n}>"} for n in range(3)])
    write(tmp_path / "cases.jsonl", [{"a": 0, "source": "quiz"}])
    settings["datasets"] = [
        {
            "dataset_id": "d",
            "path": str(tmp_path / "cases.jsonl"),
            "columns": {"input": ["a", "source"]},
        }
    ]

    assert "1 <1>\n\n2 <2>\n\n0" == prompt(settings, {"a": 0, "source": "quiz"})


@pytest.mark.parametrize("number", [1, 1.0])
def test_other_spelling_of_a_number_is_the_same_case(pool: Path, number: float) -> None:
    """Parquet makes whole numbers of floats, JSON lines do not."""
    write(pool, [{"input": n, "expected_output": n, "part": 0} for n in range(3)])

    assert f"0 0\n\n2 2\n\n{number}" == prompt(spec(pool), number)


@pytest.mark.parametrize("per_case", [False, True])
def test_repeated_examples_are_one(pool: Path, per_case: bool) -> None:
    """No prompt has one twice, and a case that the pool repeats has as many as others."""
    settings = spec(pool, choose="seeded", per_case=per_case)
    before = [prompt(settings, str(number)) for number in range(100, 110)]

    write(pool, [row(number) for number in range(100, 110)] * 3)

    assert before == [prompt(settings, str(number)) for number in range(100, 110)]
    assert {2} == {text.count("<") for text in before}


def test_repeated_examples_of_different_groups_do_not_follow_the_order(
    pool: Path,
) -> None:
    """They look the same, but a stratified choice takes them from one group."""
    settings = spec(pool, choose="stratified", by="part", k=3)
    rows = [row(number) for number in range(100, 104)]
    rows.append({**row(100), "part": 1})
    write(pool, rows)
    before = prompt(settings)
    write(pool, rows[::-1])

    assert before == prompt(settings)


def test_generator_that_reads_no_input_has_no_examples(
    pool: Path, tmp_path: Path
) -> None:
    """They would change nothing: a recording is played back as it is."""
    recording = tmp_path / "outputs.jsonl"
    write(recording, [{"case_id": str(number), "output": "a"} for number in range(6)])
    settings = spec(pool)
    settings["generation"]["generator"] = {
        "use": "builtin/replay",
        "path": str(recording),
    }

    with pytest.raises(ConfigError, match=r"generation\.few_shot: .*`input`"):
        stage(settings)


def test_one_long_prompt_does_not_take_its_space_for_all(pool: Path) -> None:
    """The texts of a shard are as many and as long as they are."""
    settings = spec(pool)
    settings["datasets"][0]["cases"] += [
        {"case_id": f"c{number}", "input": f"short {number}"} for number in range(400)
    ]
    settings["datasets"][0]["cases"].append({"case_id": "l", "input": "x" * 2**20})
    settings["runtime"] = {"shard_size": 1000}
    tracemalloc.start()
    try:
        Experiment.model_validate(settings).run()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 200 * 2**20


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
        (
            {"choose": ["few_shot-0001", "few_shot-0001"]},
            "the pool has 1 different example",
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


def test_id_that_two_examples_have_is_refused(pool: Path) -> None:
    """Which of them was meant is not known."""
    settings = spec(pool, choose=["a", "b"])
    settings["generation"]["few_shot"]["data"]["columns"]["case_id"] = "id"
    ids = zip("aab", range(3), strict=True)
    write(pool, [{**row(number), "id": name} for name, number in ids])

    with pytest.raises(ConfigError, match="more than one case 'a'"):
        stage(settings)


def test_example_that_cannot_be_rendered_is_named(pool: Path) -> None:
    """By its case id."""
    settings = spec(pool)
    settings["generation"]["prompt_spec"] = {"template": "{{ input.text }}"}

    with pytest.raises(ConfigError, match=r"few_shot\.data: case 'few_shot-0000'"):
        stage(settings)


def test_conversations_take_examples_as_turns(pool: Path) -> None:
    """A text before a list of messages would be neither."""
    settings = spec(pool)
    settings["generation"]["prompt_spec"] = {
        "template": [{"role": "user", "content": "{{ input }}"}]
    }

    with pytest.raises(ConfigError, match="layout: turns"):
        stage(settings)


def with_image(red: int, folder: Path) -> list[Any]:
    (folder / f"{red}.png").write_bytes(png(red))
    return [{"type": "image", "path": f"{red}.png"}]


def test_examples_may_have_images(tmp_path: Path) -> None:
    """As turns; the files of the pool are read as those of the data are."""
    pool = write_jsonl(tmp_path / "pool.jsonl", [with_image(1, tmp_path)])
    data = write_jsonl(tmp_path / "data.jsonl", [with_image(2, tmp_path)])
    settings: dict[str, Any] = {
        "generation": {
            "generator": {"use": "tests.support.counting:Seen"},
            "few_shot": {"k": 1, "data": {"path": str(pool)}, "layout": "turns"},
        },
        "datasets": [{"dataset_id": "d", "path": str(data)}],
        "storage": {"store": str(tmp_path / "store")},
    }

    run = Experiment.model_validate(settings).run()

    (candidate,) = run.cases[0].generated_candidates
    assert [as_base64(png(1)), "x", as_base64(png(2))] == candidate.final_output
    settings["generation"]["few_shot"]["layout"] = "text"
    with pytest.raises(ConfigError, match=r"made of content parts.*`layout: turns`"):
        Experiment.model_validate(settings).compile()
