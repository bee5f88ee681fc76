"""The page of a run, in a browser as a person uses it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.report.conftest import CONTROLS, Visit, names
from tests.support.reported_runs import HOSTILE, echo_run, run
from tests.support.table_files import with_table_files
from themis_lib import Case, Dataset, Experiment, Price, PromptSpec, RunResult
from themis_lib.core.prompts import render_conversation
from themis_lib.errors import StoreError
from themis_lib.report.html import (
    configuration_yaml,
    model_name,
    model_settings,
    report_html,
    write_report,
)
from themis_lib.runs.manifest import GateOutcome, GateRecord, RunStatus

CONVERSATION = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "yes"},
]


def listed(page: Any) -> list[str]:
    """The ids in the list."""
    return page.locator("[role=option] .id").all_text_contents()


def prompt(page: Any) -> list[dict[str, str]]:
    """The prompt of the selected case."""
    turns = page.locator(".detail section:has(> h4:text-is('Prompt')) .turn")
    return [
        {
            "role": turn.locator(".role").text_content(),
            "content": turn.locator("pre").text_content(),
        }
        for turn in turns.all()
    ]


def right(count: int) -> list[str]:
    return [
        f"case-{number:03d}" for number in range(count) if number % 3 and number != 5
    ]


def test_summary_is_there_without_scripts(visit: Visit) -> None:
    """Name, status, means and intervals can be read where scripts are off; the cases
    say that they need them.
    """
    result = echo_run()

    text = visit(
        report_html(result),
        lambda page: page.inner_text("body"),
        java_script_enabled=False,
    )

    whole = result.summary[0]
    for expected in (
        "echo",
        "partial failure",
        f"{whole.mean:.3f}",
        f"{whole.low:.3f} – {whole.high:.3f}",
        "kind=odd",
    ):
        assert expected in text
    assert "Scripts are off" in text


def test_filters_by_mouse(visit: Visit) -> None:
    """Outcome, slice and metric narrow the list; a click on a case shows what came out;
    Clear brings all back.
    """

    def act(page: Any) -> list[Any]:
        page.select_option("#filter-outcome", label="score 1")
        by_outcome = listed(page)
        page.select_option("#filter-slice", label="kind=odd")
        by_slice = listed(page)
        page.click("[role=option]:nth-child(2)")
        shown = page.locator(".detail h3").text_content()
        output = page.locator(
            ".detail section:has(> h4:text-is('Output')) pre"
        ).text_content()
        page.click("text=Clear")
        return [
            by_outcome,
            by_slice,
            shown,
            output,
            len(listed(page)),
            page.text_content(".found"),
        ]

    by_outcome, by_slice, shown, output, every, found = visit(
        report_html(echo_run()), act
    )

    odd = [name for name in right(12) if int(name[-3:]) % 2]
    assert (right(12), odd) == (by_outcome, by_slice)
    assert f"{odd[1]} questions" == shown
    assert f"question {int(odd[1][-3:])}" + " and more" * int(odd[1][-3:]) == output
    assert (12, "12 cases") == (every, found)


def test_filters_by_keyboard(visit: Visit) -> None:
    """Without a mouse: / to search, Tab and arrows to choose, arrows through the list,
    Enter to read, Escape back.
    """

    def act(page: Any) -> list[Any]:
        page.keyboard.press("/")
        page.keyboard.type("question 1")
        page.wait_for_selector("text=3 of 12 cases")
        by_text = listed(page)
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.id")
        page.keyboard.press("s")
        page.wait_for_selector("text=No cases under these filters.")
        outcome = page.input_value("#filter-outcome")
        page.locator("#list").focus()
        page.keyboard.press("Enter")
        reading = page.evaluate("document.activeElement.className")
        page.keyboard.press("Escape")
        return [
            by_text,
            focused,
            outcome,
            reading,
            page.evaluate("document.activeElement.id"),
        ]

    by_text, focused, outcome, reading, back = visit(report_html(echo_run()), act)

    assert ["case-001", "case-010", "case-011"] == by_text
    assert ("filter-outcome", "0", "detail", "list") == (
        focused,
        outcome,
        reading,
        back,
    )


def test_arrows_walk_through_all_pages(visit: Visit) -> None:
    """The list shows a page at a time; End goes to its last case, and the selected one
    is announced.
    """

    def act(page: Any) -> list[Any]:
        page.locator("#list").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("j")
        third = page.locator("[aria-selected=true] .id").text_content()
        page.keyboard.press("End")
        active = page.locator(
            f"#{page.get_attribute('#list', 'aria-activedescendant')} .id"
        ).text_content()
        return [third, active, len(listed(page)), page.text_content(".pages")]

    third, active, on_page, pages = visit(report_html(echo_run(250)), act)

    assert ("case-002", "case-249", 50) == (third, active, on_page)
    assert "201 – 250" in pages


def test_bars_and_failed_rows_lead_to_their_cases(visit: Visit) -> None:
    """A bar of a distribution, a slice of the summary and a failed row are links to the
    cases they stand for.
    """

    def act(page: Any) -> list[Any]:
        page.click("a[data-metric=exact_match][data-outcome='0']")
        wrong = listed(page)
        page.click("a[data-metric=length][data-slice='kind=odd']")
        odd, metric = listed(page), page.input_value("#filter-metric")
        page.click("#failures details summary")
        page.click("a[data-case='case-005']")
        return [
            wrong,
            odd,
            metric,
            page.locator(".detail h3").text_content(),
            page.text_content(".detail .error"),
        ]

    wrong, odd, metric, shown, reason = visit(report_html(echo_run()), act)

    assert ["case-000", "case-003", "case-006", "case-009"] == wrong
    assert ([f"case-{number:03d}" for number in range(1, 12, 2)], "length") == (
        odd,
        metric,
    )
    assert "case-005 questions" == shown
    assert "refused" in reason


def test_a_click_moves_the_page_only_to_what_is_out_of_sight(visit: Visit) -> None:
    """Where list and case are side by side the page stays; on a phone it goes down to
    the case, also from a link.
    """
    html = report_html(echo_run())

    def by_click(page: Any) -> list[float]:
        page.evaluate("document.getElementById('browser').scrollIntoView()")
        before = page.evaluate("(scrollBy(0, -150), scrollY)")
        page.click("[role=option]:nth-child(3)")
        return [
            before,
            page.evaluate("scrollY"),
            page.evaluate("document.querySelector('.detail').offsetTop"),
        ]

    def by_link(page: Any) -> float:
        page.click("#failures details summary")
        page.click("a[data-case='case-005']")
        return float(
            page.evaluate(
                "document.querySelector('.detail').getBoundingClientRect().top"
            )
        )

    before, after, _ = visit(html, by_click, viewport={"width": 1280, "height": 600})
    _, below, top = visit(html, by_click, viewport={"width": 390, "height": 600})

    assert before == after
    assert abs(below - top) < 30
    assert abs(visit(html, by_link, viewport={"width": 390, "height": 600})) < 30


def test_every_slice_of_the_summary_leads_to_its_cases(visit: Visit) -> None:
    """A slice without a value, one of very many, and one whose column has `=` in its
    name.
    """
    made = [
        Case(
            case_id=str(number),
            input="a",
            metadata={"topic": f"t{number}", **({"a=b": "c"} if number == 7 else {})},
        )
        for number in range(70)
    ]
    result = run(
        Dataset(dataset_id="d", cases=made),
        metrics=[{"use": "tests.support.reported_runs:Length", "id": "length"}],
        slices=["topic", "a=b"],
    )

    def act(page: Any) -> list[Any]:
        found = []
        for name in ("topic=t42", "a=b=c", "a=b=null"):
            page.click(f"a[data-slice='{name}']")
            found.append(
                (page.input_value("#filter-slice"), page.text_content(".found"))
            )
        return found

    expected = [
        ("topic=t42", "1 of 70 cases"),
        ("a=b=c", "1 of 70 cases"),
        ("a=b=null", "69 of 70 cases"),
    ]

    assert expected == visit(report_html(result), act)


def test_gates_and_policies_are_told(visit: Visit) -> None:
    """How each gate ended and why; and what cases without a score are to the mean."""
    result = echo_run()
    gate = GateRecord(
        gate="exact_match >= 0.9",
        metric_id="exact_match",
        dataset_id="questions",
        slice="all",
        estimate=0.6,
        outcome=GateOutcome.UNDERPOWERED,
        low=0.4,
        high=0.95,
        reason="0.9 lies within 0.4 to 0.95",
    )
    judged = RunResult(
        result.store,
        result.run_id,
        result.manifest.model_copy(update={"gates": [gate]}),
    )

    text = visit(report_html(judged), lambda page: page.inner_text("#summary"))

    for expected in (
        "exact_match >= 0.9",
        "underpowered",
        gate.reason,
        "Cases without an answer count 0 in the mean",
        "Cases without an answer are left out",
    ):
        assert expected in text
    assert "Gates" not in visit(
        report_html(result), lambda page: page.inner_text("#summary")
    )


def test_numbers_in_json_keep_their_digits(visit: Visit) -> None:
    """JSON is shown with indents, and long or whole numbers as they stand."""
    value = {
        "n": 12345678901234567890,
        "list": [1.0, {}, []],
        "text": '{"a": [1, 2]}\\',
    }
    result = run(
        Dataset(
            dataset_id="d", cases=[Case(case_id="1", input="a", expected_output=value)]
        ),
        metrics=[],
    )

    def act(page: Any) -> str:
        return str(
            page.text_content(".detail section:has(> h4:text('Expected output')) pre")
        )

    text = visit(report_html(result), act)

    assert value == json.loads(text)
    assert (
        '  "list": [\n    1.0,\n    {},\n    []\n  ],\n  "n": 12345678901234567890,'
        in text
    )


def test_variances_name_their_dataset(visit: Visit) -> None:
    """Where a run has several datasets, each is told its own variances."""
    datasets = [
        Dataset(
            dataset_id=name,
            cases=[
                Case(case_id=str(at), input="x" * at * factor) for at in range(1, 4)
            ],
        )
        for name, factor in (("short", 1), ("long", 5))
    ]
    metrics = [{"use": "tests.support.reported_runs:Length", "id": "length"}]

    several = visit(
        report_html(run(*datasets, metrics=metrics, samples=2)),
        lambda page: page.inner_text("#summary"),
    )
    one = visit(
        report_html(run(datasets[0], metrics=metrics, samples=2)),
        lambda page: page.inner_text("#summary"),
    )

    assert "cases of short 1.000, within" in several
    assert "cases of long 25.000, within" in several
    assert (
        "Variance between cases 1.000, within a case (between its samples) 0.000."
        in one
    )


def test_one_case_has_no_interval(visit: Visit) -> None:
    """What a single case cannot tell is left out of the headline."""
    result = run(
        Dataset(dataset_id="d", cases=[Case(case_id="1", input="four")]),
        metrics=[{"use": "tests.support.reported_runs:Length", "id": "length"}],
    )

    assert "4.000 n = 1" == visit(
        report_html(result), lambda page: page.inner_text(".big")
    )


def test_a_reason_is_told_once(visit: Visit) -> None:
    """What only passes on that there is no output is not told again as the answer's own
    failure.
    """

    def act(page: Any) -> list[str]:
        page.click("[role=option]:nth-child(6)")
        return list(page.locator(".detail h4").all_text_contents())

    assert ["Prompt", "Expected output", "No output"] == visit(
        report_html(echo_run()), act
    )


def hostile_run() -> RunResult:
    """A run with a script in every place that a person or a model fills, and an output
    of a megabyte.
    """
    hostile = [
        Case(
            case_id=f"{HOSTILE} {number}",
            input=text,
            expected_output=HOSTILE,
            metadata={HOSTILE: f"{HOSTILE}{number}"},
        )
        for number, text in enumerate(
            (HOSTILE, f"refuse {HOSTILE}", "x" * 1_000_000 + HOSTILE)
        )
    ]
    metrics = [
        {"use": "builtin/exact_match", "id": "a<b>&\"'"},
        {"use": "tests.support.reported_runs:Length", "id": "length"},
    ]
    return run(
        Dataset(dataset_id="<b>data</b>", cases=hostile),
        metrics=metrics,
        name=HOSTILE,
        slices=[HOSTILE],
        spec=PromptSpec(instructions=HOSTILE, prefix="</script>", suffix="<!--"),
    )


def test_what_a_model_wrote_is_text(visit: Visit) -> None:
    """Markup in inputs, outputs, ids, metadata, errors and names is shown as it stands,
    and does nothing.
    """
    result = hostile_run()

    def act(page: Any) -> list[Any]:
        page.evaluate(
            "document.querySelectorAll('details').forEach((node) => { node.open = "
            "true; })"
        )
        first = page.inner_text(".detail")
        page.keyboard.press("j")
        refused = page.inner_text(".detail")
        elements = page.evaluate(
            "[document.scripts.length, document.images.length, "
            "document.querySelectorAll('b b').length]"
        )
        return [
            page.title(),
            first,
            refused,
            elements,
            page.inner_text("header"),
            page.inner_text("#summary"),
        ]

    title, first, refused, elements, header, summary = visit(report_html(result), act)

    assert f"{HOSTILE} · {result.run_id}" == title
    assert [2, 0, 0] == elements
    assert (
        first.count(HOSTILE) >= 6
    )  # id, metadata's name and value, prompt, expected output, output
    assert f"refused refuse {HOSTILE}" in refused
    assert HOSTILE in header
    assert "a<b>&\"'" in summary


def test_a_megabyte_is_cut_and_says_so(visit: Visit) -> None:
    """A very long output is shown as far as a page bears it, with its length and the
    table that has all of it.
    """
    result = hostile_run()

    def act(page: Any) -> list[Any]:
        page.locator("#list").focus()
        page.keyboard.press("End")
        output = page.locator(".detail section:has(> h4:text-is('Output'))")
        return [
            len(output.locator("pre").text_content()),
            output.locator(".cut").text_content(),
        ]

    length, note = visit(report_html(result), act)

    assert 100_000 == length
    assert f"The first 100,000 of {1_000_000 + len(HOSTILE):,} characters" in note
    assert f"{result.location}, table outputs, case" in note


def test_policy_refuses_what_was_not_written_here(visit: Visit) -> None:
    """The negative control: markup put into the page by force runs nothing, and the
    console says why.
    """

    def act(page: Any) -> str:
        page.evaluate(
            "() => document.body.insertAdjacentHTML('beforeend', '<p "
            'onclick="document.title = 1" id=bait>bait</p>\')'
        )
        page.click("#bait")
        return page.title()

    result = echo_run()

    assert f"echo · {result.run_id}" == visit(report_html(result), act, complaints=1)


def test_controls_have_names(visit: Visit) -> None:
    """Every control and every scrolling region has a name in the accessibility tree."""

    def act(page: Any) -> list[tuple[str, str]]:
        page.evaluate(
            "document.querySelectorAll('details').forEach((node) => { node.open = "
            "true; })"
        )
        return names(page, CONTROLS)

    found = visit(report_html(echo_run(120, samples=2)), act)

    assert [] == [role for role, name in found if not name.strip()]
    assert {
        "button",
        "link",
        "searchbox",
        "combobox",
        "listbox",
        "option",
        "DisclosureTriangle",
    } <= {role for role, _ in found}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(
    visit: Visit, width: int, scheme: str
) -> None:
    """On a phone and on a desk, in light and dark: the page does not scroll sideways,
    and follows the scheme.
    """

    def act(page: Any) -> list[int]:
        paper = page.evaluate(
            "getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]"
        )
        return [page.evaluate("document.documentElement.scrollWidth"), int(paper) > 128]

    size = {"width": width, "height": 800}

    assert [width, scheme == "light"] == visit(
        report_html(hostile_run()), act, viewport=size, color_scheme=scheme
    )


@pytest.mark.parametrize(
    "value",
    ["plain", {"question": "2+2", "options": ["a", "b"]}, 7, CONVERSATION],
)
@pytest.mark.parametrize(
    "spec",
    [
        PromptSpec(),
        PromptSpec(
            instructions="Be brief.", prefix="Q:", blocks=[{"a": 1}], suffix="A:"
        ),
    ],
)
def test_prompt_is_what_was_sent(visit: Visit, value: Any, spec: PromptSpec) -> None:
    """The page makes of input and prompt spec the same messages as the generators
    do.
    """
    result = run(
        Dataset(dataset_id="d", cases=[Case(case_id="1", input=value)]),
        metrics=[],
        spec=spec,
    )

    assert render_conversation(spec, value) == visit(report_html(result), prompt)


def test_samples_are_shown_one_by_one(visit: Visit) -> None:
    """Each sample has its output, score, trace and conversation; the chosen one is
    open.
    """

    def act(page: Any) -> list[Any]:
        samples = page.locator("details.sample")
        return [
            samples.count(),
            [sample.get_attribute("open") for sample in samples.all()],
            page.text_content(".detail"),
        ]

    count, opened, text = visit(report_html(echo_run(samples=3)), act)

    assert (3, ["", None, None]) == (count, opened)
    for expected in (
        "Trace, 1 steps",
        "look up",
        "Conversation, 1 messages",
        "7 input tokens",
        "The whole output is the answer.",
    ):
        assert expected in text


def test_a_run_that_stopped_has_a_page(visit: Visit) -> None:
    """A run without tables says why it stopped, and that there is nothing to see."""
    result = echo_run()
    manifest = result.manifest.model_copy(
        update={
            "error": "interrupted",
            "stages": result.manifest.stages[:1],
            "tables": "files",
        }
    )
    stopped = RunResult(
        result.store,
        "never-written",
        manifest.model_copy(update={"run_id": "never-written"}),
    )

    text = visit(report_html(stopped), lambda page: page.inner_text("body"))

    for expected in ("interrupted", "No scores", "No cases: the run left no tables."):
        assert expected in text


def test_a_run_under_way_has_a_page(visit: Visit) -> None:
    """It says that the run has not ended, and of nothing that it has stopped or
    lacks.
    """
    result = echo_run()
    update = {
        "status": RunStatus.RUNNING,
        "finished_at": None,
        "run_id": "under-way",
        "stages": [],
        "tables": "files",
    }
    running = RunResult(
        result.store, "under-way", result.manifest.model_copy(update=update)
    )

    text = visit(report_html(running), lambda page: page.inner_text("main"))

    assert "No scores: the run has not ended." in text
    assert "No cases: the run has not ended." in text


def test_a_lost_table_is_named() -> None:
    """A run that came to its end has all of its tables; there is no page without
    one.
    """
    result = with_table_files(echo_run())
    result.store.remove(f"runs/{result.run_id}/results.parquet")

    with pytest.raises(
        StoreError, match="has lost its table 'results'; check the store"
    ):
        report_html(result)


@pytest.mark.parametrize("until", ["generate", "parse", "score"])
def test_a_run_that_ends_early_has_a_page(visit: Visit, until: str) -> None:
    """Cases can be browsed whatever stage was the last."""
    result = echo_run(until=until)

    assert [f"case-{number:03d}" for number in range(12)] == visit(
        report_html(result), listed
    )


def test_the_same_run_gives_the_same_bytes() -> None:
    """A page has no date but the run's: made twice, from the store alone, it is the
    same.
    """
    result = echo_run(samples=2)

    assert report_html(result) == report_html(RunResult(result.store, result.run_id))


def test_a_page_is_written_beside_the_tables() -> None:
    """The address that is returned is that of the page in the store."""
    result = echo_run()

    address = write_report(result)

    assert f"{result.location}/report.html" == address
    assert report_html(result).encode() == result.store.read_bytes(
        f"runs/{result.run_id}/report.html"
    )


@pytest.mark.slow
def test_ten_thousand_cases_open_at_once(visit: Visit) -> None:
    """A page of 10,000 cases weighs less than 15 MB, can be used in less than 2 s, and
    finds text as quickly.
    """
    html = report_html(echo_run_of(10_000))

    def act(page: Any) -> list[Any]:
        began = time.perf_counter()
        page.reload()
        page.wait_for_selector("[role=option]")
        opened = time.perf_counter()
        page.fill("#filter-text", "number 4242 ")
        page.wait_for_selector("text=1 of 10,000 cases")
        return [opened - began, time.perf_counter() - opened]

    opened_s, found_s = visit(html, act)

    assert len(html.encode()) < 15e6
    assert opened_s < 2
    assert found_s < 2


def echo_run_of(count: int) -> RunResult:
    """Cases of some 800 characters each, under two metrics."""
    text = (
        "Which of these towns lies furthest from the sea, and why was it built there? "
        * 5
    )
    made = [
        Case(
            case_id=f"q{number}",
            input=f"number {number} {number * 7919 % 1000003} {text}",
            metadata={"kind": str(number % 7)},
        )
        for number in range(count)
    ]
    return run(
        Dataset(dataset_id="many", cases=made),
        metrics=[{"use": "tests.support.reported_runs:Length", "id": "length"}],
        slices=["kind"],
    )


def experiment_of(
    generator: dict[str, Any],
    *,
    datasets: list[dict[str, Any]] | None = None,
    storage: dict[str, Any] | None = None,
    **generation: Any,
) -> Experiment:
    """An experiment as a file would say it."""
    cases = [{"case_id": "a", "input": "x", "expected_output": "x"}]
    return Experiment.model_validate(
        {
            "generation": {"generator": generator, **generation},
            "evaluation": {"metrics": ["builtin/exact_match"]},
            "datasets": datasets or [{"dataset_id": "d", "cases": cases}],
            **({"storage": storage} if storage else {}),
        }
    )


def test_head_says_what_was_asked_of_which_model(visit: Visit) -> None:
    """The model by its name, its settings, and the prompt around the input."""
    run = experiment_of(
        {"use": "tests.support.reported_runs:Echo", "prefix": "> "},
        prompt_spec={"instructions": "Be <b>short</b>.", "suffix": "Go."},
    ).run()

    head = visit(report_html(run), lambda page: page.locator("header").inner_text())

    assert "tests/echo · prefix >" in head
    assert "Be <b>short</b>." in head
    assert "the case's input\n\nGo." in head


def test_local_model_has_its_name() -> None:
    """Not the digest of its file; records of earlier versions have only that."""
    manifest = echo_run_of(1).manifest
    identity = {
        "generator": {"component_id": "llama", "settings": {"model": "ab" * 32}}
    }
    stage = manifest.stages[0].model_copy(update={"identity": identity})
    earlier = manifest.model_copy(update={"stages": [stage], "model": None})

    assert "llama · abababababab" == model_name(earlier)
    assert "llama · tiny" == model_name(earlier.model_copy(update={"model": "tiny"}))


def test_recording_is_named_by_its_file(tmp_path: Path) -> None:
    """Of the path of a generator's file the heading has the name alone."""
    recording = tmp_path / "recorded.jsonl"
    recording.write_text('{"case_id": "a", "output": "x"}\n')
    experiment = experiment_of({"use": "builtin/replay", "path": str(recording)})

    assert {"path": "recorded.jsonl"} == model_settings(experiment.run().manifest)


def test_configuration_reproduces_the_run(visit: Visit, tmp_path: Path) -> None:
    """Written to a file as it is on the page, it finds every row."""
    (tmp_path / "cases.jsonl").write_text(
        '{"case_id": "a", "input": "x", "expected_output": "x"}\n'
    )
    experiment = experiment_of(
        {"use": "tests.support.reported_runs:Echo", "prefix": "> "},
        datasets=[{"dataset_id": "d", "path": str(tmp_path / "cases.jsonl")}],
        storage={"store": str(tmp_path / "store")},
    )
    page = report_html(experiment.run())
    shown = visit(page, lambda page: page.locator("#configuration").inner_text())
    (tmp_path / "again.yaml").write_text(shown)

    again = Experiment.from_config(tmp_path / "again.yaml").run()

    assert {0} == {record.computed for record in again.manifest.stages}


def test_configuration_names_what_no_file_can_hold() -> None:
    """Objects by their class, and cases in memory by their number."""
    shown = configuration_yaml(echo_run_of(2).manifest)

    assert shown is not None
    assert "generator: <Echo>" in shown
    assert "cases: <2 in memory>" in shown


def test_configuration_names_the_command_that_runs_it() -> None:
    """A reader of the page can type it as it is."""
    page = report_html(echo_run_of(1))

    assert "<code>themis run experiment.yaml</code> finds the rows of this run" in page


def test_report_of_an_earlier_record_has_no_configuration() -> None:
    """What is not known is left out."""
    result = echo_run_of(1)
    earlier = result.manifest.model_copy(update={"configuration": None, "model": None})

    page = report_html(RunResult(result.store, result.run_id, earlier))

    assert "<h3>Configuration</h3>" not in page


def test_address_names_filters_and_case(visit: Visit) -> None:
    """Opened elsewhere it shows the same: filters, order, and the case."""
    page_html = report_html(echo_run_of(12))

    def act(page: Any) -> tuple[str, str, str, str]:
        page.get_by_label("Order").select_option("highest")
        page.get_by_label("Text").fill("number 1")
        page.wait_for_timeout(300)
        page.locator("#list [role=option]").nth(1).click()
        before = page.get_by_role("article").locator("h3").inner_text()
        address = page.evaluate("location.hash")
        page.evaluate("location.hash = ''")
        page.reload()
        page.wait_for_timeout(300)
        plain = page.get_by_role("article").locator("h3").inner_text()
        page.evaluate(f"location.hash = {address!r}")
        page.wait_for_timeout(300)
        after = page.get_by_role("article").locator("h3").inner_text()
        return before, plain, after, page.get_by_label("Text").input_value()

    before, plain, after, text = visit(page_html, act)

    assert before == after
    assert before != plain
    assert "number 1" == text


@pytest.mark.parametrize(
    "address",
    ["#cases", "#browser?case=none&of=d", "#browser?%zz=%", "#browser?order=no"],
)
def test_any_address_opens(visit: Visit, address: str) -> None:
    """One that names nothing here shows all cases."""

    def act(page: Any) -> int:
        page.evaluate(f"location.hash = {address!r}")
        page.wait_for_timeout(200)
        return int(page.locator("#list [role=option]").count())

    assert 3 == visit(report_html(echo_run_of(3)), act)


def copied_case(page: Any) -> Any:
    return page.evaluate(
        """async () => {
            let text = null;
            navigator.clipboard.writeText = async (copied) => { text = copied; };
            [...document.querySelectorAll("button")]
                .find((button) => button.textContent === "Copy case").click();
            await new Promise((done) => setTimeout(done, 50));
            return text;
        }"""
    )


def test_case_is_copied_as_json(visit: Visit) -> None:
    """With everything that the page has of it."""
    copied = visit(report_html(echo_run_of(2)), copied_case)

    case = json.loads(copied)
    assert "many" == case["dataset_id"]
    assert (
        case["samples"][0]["output"]["output"].strip()
        == case["samples"][0]["answer"]["value"]
    )
    assert case["results"]


@pytest.mark.parametrize(
    "value",
    [
        {"t": 'a "b" \\ é {', "j": [None, True, 1.5, 12345678901234567890], "": {}},
        [None, []],
        None,
        12345678901234567890,
        "null",
        '{"a": 1}',
    ],
)
def test_value_is_copied_as_it_is(visit: Visit, value: Any) -> None:
    """JSON is JSON, with every digit, and `null` no text; text stays text."""
    case = Case(case_id="1", input=value, metadata={"t": "y", "n": "x"})
    result = run(
        Dataset(dataset_id="d", cases=[case]),
        metrics=[{"use": "tests.support.reported_runs:Length", "id": "length"}],
    )

    copied = visit(report_html(result), copied_case)

    shown = json.loads(copied)
    assert value == shown["input"]
    assert {"t": "y", "n": "x"} == shown["metadata"]
    assert isinstance(shown["samples"][0]["output"]["output"], str)


def test_browser_that_refuses_an_address_shows_the_case(visit: Visit) -> None:
    """Some take no more than a hundred addresses in ten seconds, fewer than a key that
    is held down makes.
    """

    def act(page: Any) -> tuple[str, str]:
        page.evaluate(
            """() => {
                const replace = history.replaceState;
                history.replaceState = () => {
                    history.replaceState = replace;
                    throw new DOMException("too many", "SecurityError");
                };
            }"""
        )
        page.locator("#list").press("j")
        before = page.evaluate("location.hash")
        page.locator("#list").press("j")
        return before, page.evaluate("location.hash")

    before, after = visit(report_html(echo_run_of(3)), act)

    assert "" == before
    assert "case=q2" in after


def test_cases_are_ordered_by_what_they_took(visit: Visit) -> None:
    """By time, by tokens, and by dollars where the price is known."""
    result = echo_run_of(3)
    stage = result.manifest.stages[0].model_copy(
        update={"price": Price(input=1.0, output=10.0)}
    )
    priced = result.manifest.model_copy(
        update={"stages": [stage, *result.manifest.stages[1:]]}
    )

    def act(page: Any) -> list[str]:
        choices = page.get_by_label("Order").locator("option").all_inner_texts()
        page.get_by_label("Order").select_option("dearest")
        return [*choices, page.locator("#list [role=option]").first.inner_text()]

    *choices, first = visit(
        report_html(RunResult(result.store, result.run_id, priced)), act
    )

    assert ["slowest first", "most tokens first", "most dollars first"] == choices[-3:]
    assert "$0.000037" in first
