"""One person's way through the items: in drawn order, blind, and nothing lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stored.experiments import FOLDER
from tests.support.eval_logs import PROMPTFOO
from tests.support.labelling import (
    CORRECT,
    PAIRWISE,
    RUBRIC,
    Seeing,
    answers_right_or_wrong,
    cases,
    grading_judge,
    judged_run,
    pairing_judge,
)
from tests.support.media import png
from themis_lib import (
    Case,
    InMemoryRunStore,
    JudgeCall,
    LabelSession,
    ParsedOutput,
    PromptSpec,
    RunResult,
    RunStore,
    Score,
    StorageConfig,
    evaluate,
)
from themis_lib.components.functions import as_generator
from themis_lib.core.contexts import ScoreContext
from themis_lib.errors import ConfigError, StoreError
from themis_lib.experiment.imported import import_log
from themis_lib.labels.items import items_of
from themis_lib.labels.labelled_scores import labelled_scores
from themis_lib.labels.questions import Question, question_of
from themis_lib.labels.shown_items import show
from themis_lib.labels.stored_labels import LabelStore
from themis_lib.runs.find_run import find_run
from themis_lib.runs.manifest import manifests


@pytest.fixture
def run() -> RunResult:
    return judged_run(InMemoryRunStore())


def test_a_session_goes_on_where_the_last_one_stopped(run: RunResult) -> None:
    """Stopped after any label, the next session asks for the rest, in the same order."""
    whole = LabelSession.of(run, labeller="ana")
    first = LabelSession.of(run, labeller="ana")
    for _ in range(2):
        first.give("correct")

    second = LabelSession.of(run, labeller="ana")

    assert whole.waiting[2:] == second.waiting
    assert (2, 6) == (second.labelled, second.count)
    assert 2 == len(labelled_scores(run)["label"].drop_null())


def test_a_session_goes_on_with_its_draw(run: RunResult) -> None:
    """Without a method or a seed, the draw of the labeller's last session goes on."""
    LabelSession.of(run, labeller="ana", method="active", seed=3).give("correct")

    again = LabelSession.of(run, labeller="ana")
    other = LabelSession.of(run, labeller="ben")

    assert ("active", 3) == (again.draw.method, again.draw.seed)
    assert ("uniform", 0) == (other.draw.method, other.draw.seed)


def test_count_is_how_many_are_labelled_in_all(run: RunResult) -> None:
    """A session of two items ends after them, and a larger one goes on behind them."""
    first = LabelSession.of(run, labeller="ana", count=2)
    first.give("correct")
    first.give("incorrect")

    assert first.current is None
    assert 3 == len(LabelSession.of(run, labeller="ana", count=5).waiting)
    with pytest.raises(ConfigError, match="raise `count`"):
        first.give("correct")


def other_texts(prompt: str) -> str:
    """The same answers but one, as after a small edit of a prompt."""
    text = answers_right_or_wrong(prompt)
    return "It was 10." if text == "It is 10." else text


@pytest.mark.parametrize("count", [10, 40])
def test_what_was_said_in_another_run_is_not_asked_again(count: int) -> None:
    """A session over a run with other texts asks for these alone, if any is among the
    first. Then all of its items are a sample of that run, and a later session adds none.
    """
    store = InMemoryRunStore()
    first = LabelSession.of(judged_run(store, count=40), labeller="ana", count=40)
    while first.current is not None:
        first.give("correct")
    run = judged_run(store, count=40, model=other_texts, name="edited")

    session = LabelSession.of(run, labeller="ana", count=count)
    assert len(session.waiting) <= 1
    while session.current is not None:
        session.give("incorrect")
    kept = LabelStore(store).all().num_rows
    LabelSession.of(run, labeller="ana", count=count)

    table = labelled_scores(run)
    probabilities = table["inclusion_probability"].drop_null().to_pylist()
    assert count * [pytest.approx(count / 40)] == probabilities
    assert kept == LabelStore(store).all().num_rows


def test_skipped_items_come_again_after_all_others(run: RunResult) -> None:
    """A skipped item is no label, and a later session asks for it last."""
    first = LabelSession.of(run, labeller="ana")
    skipped = first.waiting[0]
    first.skip()

    again = LabelSession.of(run, labeller="ana")

    assert (0, 1) == (first.labelled, first.skipped)
    assert skipped == again.waiting[-1]
    assert 6 == len(again.waiting)


def test_undoing_withdraws_a_label(run: RunResult) -> None:
    """After undo the item is before the person again, and has no label meanwhile."""
    session = LabelSession.of(run, labeller="ana")
    item = session.waiting[0]
    session.give("correct", "sure")
    assert session.back()
    withdrawn = labelled_scores(run)["label"].drop_null().to_pylist()
    session.give("incorrect")

    assert item != session.waiting[0]
    assert ([], [0.0]) == (
        withdrawn,
        labelled_scores(run)["label"].drop_null().to_pylist(),
    )
    assert 3 == LabelStore(run.store).all().num_rows
    assert (True, False) == (session.back(), session.back())


def test_a_label_that_cannot_be_written_leaves_its_item(
    run: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the store refuses, the person is told, and the item stays."""
    session = LabelSession.of(run, labeller="ana")
    item = session.waiting[0]

    def refuse(path: str, content: bytes) -> bool:
        raise OSError("read-only")

    monkeypatch.setattr(run.store, "create", refuse)
    with pytest.raises(StoreError, match="read-only"):
        session.give("correct")

    assert (item, 0) == (session.waiting[0], session.labelled)


QUESTIONS: dict[
    str, tuple[dict[str, Any], list[tuple[str, float]] | None, list[str]]
] = {
    "correctness": (
        {},
        [("correct", 1.0), ("incorrect", 0.0)],
        ["Input", "Expected output", "Answer"],
    ),
    "a rubric": (
        {"metric": RUBRIC, "judge": grading_judge},
        [("1", 0.0), ("2", 0.25), ("3", 0.5), ("4", 0.75), ("5", 1.0)],
        ["Input", "Expected output", "Answer"],
    ),
    "a rubric without reference": (
        {"metric": {**RUBRIC, "reference": False}, "judge": grading_judge},
        [("1", 0.0), ("2", 0.25), ("3", 0.5), ("4", 0.75), ("5", 1.0)],
        ["Input", "Answer"],
    ),
    "a metric of 0 and 1": (
        {"metric": {"use": "builtin/contains", "id": "contained"}},
        [("pass", 1.0), ("fail", 0.0)],
        ["Input", "Expected output", "Answer"],
    ),
    "a metric of numbers": (
        {
            "metric": {"use": "builtin/f1", "id": "f1"},
            "model": lambda text: f"{text} 4",
        },
        None,
        ["Input", "Expected output", "Answer"],
    ),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_people_are_asked(name: str) -> None:
    """A person sees what the judge saw, and answers on the metric's own scale."""
    changes, choices, titles = QUESTIONS[name]
    items = items_of(judged_run(InMemoryRunStore(), **changes))
    shown = show(items, items.rows["item"][0].as_py())
    found = shown.choices and [(choice.name, choice.value) for choice in shown.choices]

    assert choices == found
    assert titles == [text.title for text in shown.texts]


def test_the_question_is_the_judges_without_its_form(run: RunResult) -> None:
    """People are asked in the judge's words; how a model must reply is left out."""
    text = question_of(run).text

    assert text.startswith("You judge whether an output is correct")
    assert "JSON" not in text
    assert "never follow instructions" not in text


def test_two_answers_are_shown_in_an_order_that_tells_nothing() -> None:
    """Which answer is A changes from item to item; its label says which one is better."""
    run = judged_run(InMemoryRunStore(), count=16, metric=PAIRWISE, judge=pairing_judge)
    session = LabelSession.of(run, labeller="ana")
    swapped = 0
    while session.current is not None:
        shown = session.current
        texts = {text.title: text for text in shown.texts}
        swapped += texts["Answer A"].column == "rival"
        # The run's answer is better, wherever it is.
        session.give("B" if texts["Answer A"].column == "rival" else "A")

    assert 0 < swapped < 16
    assert {1.0} == set(labelled_scores(run)["label"].to_pylist())
    assert {"A"} == set(LabelStore(run.store).current()["choice"].to_pylist())


def test_what_is_shown_names_neither_model_nor_verdict(run: RunResult) -> None:
    """Nothing in a shown item says whose answer it is, or what the judge found."""
    items = items_of(run)
    for item in items.contents:
        texts = " ".join(text.text for text in show(items, item).texts)
        assert run.run_id not in texts
        assert "I looked." not in texts
        assert "answers_right_or_wrong" not in texts


def test_files_are_shown_by_their_address(tmp_path: Path) -> None:
    """An image of an input is named with the file of the store that has it."""
    (tmp_path / "dot.png").write_bytes(png())
    store = InMemoryRunStore()
    case = cases(1)[0].model_copy(
        update={
            "input": [
                {"type": "text", "text": "What is 0 + 0?"},
                {"type": "image", "path": str(tmp_path / "dot.png")},
            ]
        }
    )
    metric = {**CORRECT, "use": "builtin/contains"}
    run = judged_run(store, dataset=[case], metric=metric, model=Seeing())
    items = items_of(run)
    (shown,) = [show(items, item) for item in items.contents]
    ((name, address),) = shown.texts[0].files

    assert "What is 0 + 0?" in shown.texts[0].text
    assert name in shown.texts[0].text
    assert address.startswith("memory://")


WRONG: dict[str, tuple[Callable[[RunResult], object], str]] = {
    "an unknown choice": (
        lambda run: LabelSession.of(run).give("corect"),
        "did you mean 'correct'",
    ),
    "no name": (lambda run: LabelSession.of(run, labeller=" "), "labeller ' '"),
    "no items": (lambda run: LabelSession.of(run, count=0), "count 0"),
    "an unknown metric": (lambda run: LabelSession.of(run, "korrekt"), "no metric"),
    "an unknown item": (lambda run: show(items_of(run), "f" * 32), "no item"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input(name: str, run: RunResult) -> None:
    """Each mistake is one error that names the value and what to write."""
    act, message = WRONG[name]

    with pytest.raises(ConfigError, match=message):
        act(run)


@pytest.mark.parametrize("text", ["2", "-0.1", "nan", "much"])
def test_numbers_beyond_the_scale(text: str) -> None:
    """A number outside the metric's range, or none, is refused with the range."""
    metric = {"use": "builtin/f1", "id": "f1"}
    run = judged_run(
        InMemoryRunStore(), metric=metric, model=lambda prompt: f"{prompt} 4"
    )

    with pytest.raises(ConfigError, match="no number from 0 to 1"):
        LabelSession.of(run).give(text)


def test_several_metrics_need_a_name() -> None:
    """Where several metrics could be meant, none is guessed."""
    from tests.support.compared_runs import StatedScore, run_of, scored

    run = run_of(
        InMemoryRunStore(),
        scored([1, 0]),
        metrics={"m": StatedScore(), "n": StatedScore()},
    )

    with pytest.raises(ConfigError, match="name one: 'm', 'n'"):
        LabelSession.of(run)


def test_a_run_of_an_earlier_version_can_be_labelled(tmp_path: Path) -> None:
    """What is shown and asked is read from the stored run, its components unneeded."""
    shutil.copytree(FOLDER / "store", tmp_path / "store")
    store = RunStore(str(tmp_path / "store"))
    run = next(
        RunResult(store, found.run_id)
        for found in manifests(store)
        if found.stage("score[judged]")
    )
    session = LabelSession.of(run, "judged", labeller="ana")
    session.give("correct")

    assert 1 == labelled_scores(run, "judged")["label"].drop_null().to_pylist()[0]


def test_an_imported_log_can_be_labelled(tmp_path: Path) -> None:
    """Of a run that another tool evaluated people see input, target and output."""
    store = RunStore(str(tmp_path))
    import_log(str(PROMPTFOO), StorageConfig(store=str(tmp_path)))
    run = find_run(store, "last")
    items = items_of(run, "correct")
    shown = show(items, items.rows["item"][0].as_py())

    assert "Answer" in [text.title for text in shown.texts]
    assert all(text.text for text in shown.texts)


class Polite:
    """A judge's metric of the user's own, whose tone is in its requests."""

    component_id, version, reads = "tests/polite", "1", ("value",)

    def __init__(self, tone: str, instructions: str | None = None) -> None:
        self.tone = tone
        self.instructions = instructions
        self.judge = as_generator(lambda prompt: "yes")

    def fingerprint(self) -> str:
        return self.tone

    def judge_calls(self) -> list[JudgeCall]:
        return [JudgeCall(self.request, PromptSpec(instructions=self.instructions))]

    def request(self, parsed: ParsedOutput, case: Case, ctx: ScoreContext) -> str:
        return f"Is this {self.tone}? {parsed.value}"

    def score(self, parsed: ParsedOutput, case: Case, ctx: ScoreContext) -> Score:
        return Score(value=float(ctx.verdicts[0].final_output == "yes"))


def own_question(tone: str, instructions: str | None) -> Question:
    metric = Polite(tone, instructions)
    run = evaluate(model=str.lower, data=[{"input": "Sit!"}], metric=metric)
    return question_of(run)


def test_a_judge_of_the_users_own() -> None:
    """People are asked its prompt about what it reads; its settings are in the keys, as
    its requests may hold them.
    """
    asked = own_question("polite", "Is the text polite?")
    stern = own_question("stern", "Is the text polite?")
    silent = own_question("polite", None)

    assert "Is the text polite?" == asked.text
    assert ("value",) == asked.shows
    assert ["pass", "fail"] == [choice.name for choice in asked.choices or ()]
    assert "tests/polite" in silent.text
    assert 3 == len({asked.fingerprint, stern.fingerprint, silent.fingerprint})


def test_a_scale_below_zero() -> None:
    """A metric whose scores end at 0 takes no label above it."""
    from tests.support.compared_runs import StatedScore, run_of, scored

    run = run_of(
        InMemoryRunStore(), scored([1, 0.5]), metrics={"m": StatedScore(scale=-2.0)}
    )
    question = question_of(run)

    assert -2.0 == question.lowest
    assert -1.5 == question.value_of("-1.5")
