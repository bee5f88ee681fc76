"""What an edit costs: the table of the documentation, each row exactly, in process and through
the flow.

Every edit is made to an experiment whose rows are all in the store. `generate`, `parse`
and `score` count the calls of the components; `reduce` counts the rows of the summary
that were computed.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.counting import CALLS
from tests.support.drivers import (
    DRIVERS,
    MATRIX_DRIVERS,
    flow_outcome,
    run_in_process,
    run_matrix_in_process,
)
from tests.support.media import png
from tests.support.talking import noted, talk, user

N, K = 6, 2
Spec = dict[str, Any]
Edit = Callable[[Spec], None]


def base(store: Path) -> Spec:
    """Six cases, two samples, three shards, one metric; every score is 1 but that of
    case 4.
    """
    return {
        "name": "costs",
        "generation": {
            "generator": {"use": "tests.support.counting:Generator"},
            "reducer": "builtin/mean",
        },
        "evaluation": {
            "parsers": [{"use": "tests.support.counting:Parser"}],
            "metrics": [{"use": "tests.support.counting:Metric", "id": "first"}],
        },
        "datasets": [
            {"dataset_id": "numbers", "cases": [case(number) for number in range(N)]}
        ],
        "storage": {"store": str(store)},
        "runtime": {"shard_size": 2},
        "seeds": [11, 12],
    }


def case(number: int, **fields: Any) -> Spec:
    expected = "wrong" if number == 4 else str(number)
    topic = "low" if number < 3 else "high"
    return {
        "case_id": f"case-{number}",
        "input": str(number),
        "expected_output": expected,
        "metadata": {"topic": topic},
        **fields,
    }


def setting(path: str, value: Any) -> Edit:
    """An edit that sets one value by its dotted path."""

    def edit(spec: Spec) -> None:
        target: Any = spec
        *parents, last = path.split(".")
        for part in parents:
            target = (
                target[int(part)]
                if isinstance(target, list)
                else target.setdefault(part, {})
            )
        target[int(last) if isinstance(target, list) else last] = value

    return edit


def cases(change: Callable[[list[Spec]], list[Spec]]) -> Edit:
    """An edit of the list of cases."""

    def edit(spec: Spec) -> None:
        spec["datasets"][0]["cases"] = change(spec["datasets"][0]["cases"])

    return edit


def changed_case(number: int, **fields: Any) -> Edit:
    return cases(
        lambda known: [
            {**item, **fields} if index == number else item
            for index, item in enumerate(known)
        ]
    )


GENERATOR = "generation.generator"
EDITS: dict[str, tuple[Edit, tuple[int, int, int, int]]] = {
    "nothing": (lambda spec: None, (0, 0, 0, 0)),
    # Texts of 1, 3 and 5 hold the prompt; the value of 3 does too, and its score falls.
    "prompt spec": (
        setting("generation.prompt_spec.prefix", "p"),
        (N * K, 3 * K, 1 * K, 1),
    ),
    "instructions": (
        setting("generation.prompt_spec.instructions", "p"),
        (N * K, 3 * K, 1 * K, 1),
    ),
    "prompt spec, all texts identical": (
        setting("generation.prompt_spec.suffix", "s"),
        (N * K, 0, 0, 0),
    ),
    "a metric added": (
        lambda spec: spec["evaluation"]["metrics"].append(
            {"use": "tests.support.counting:Metric", "scale": 0.5}
        ),
        (0, 0, N * K, 1),
    ),
    "a metric changed": (setting("evaluation.metrics.0.scale", 0.25), (0, 0, N * K, 1)),
    "parser changed, same values": (
        setting("evaluation.parsers.0.suffix", "x"),
        (0, N * K, 0, 0),
    ),
    "one expected output changed": (
        changed_case(0, expected_output="wrong"),
        (0, 0, K, 1),
    ),
    "one case's metadata changed": (
        changed_case(4, metadata={"topic": "low"}),
        (0, 0, 0, 0),
    ),
    "a case added": (cases(lambda known: [*known, case(7)]), (K, K, K, 1)),
    "a case added in front": (cases(lambda known: [case(7), *known]), (K, K, K, 1)),
    "a case removed": (cases(lambda known: known[:-1]), (0, 0, 0, 1)),
    "cases reordered": (cases(lambda known: known[::-1]), (0, 0, 0, 0)),
    "cases renamed": (
        cases(
            lambda known: [
                {**item, "case_id": f"new-{index}"} for index, item in enumerate(known)
            ]
        ),
        (0, 0, 0, 0),
    ),
    "a case duplicated": (
        cases(lambda known: [*known, {**known[0], "case_id": "again"}]),
        (K, 0, 0, 1),
    ),
    "samples": (setting("seeds", [11, 12, 13, 14, 15]), (N * 3, N * 3, N * 3, 1)),
    "temperature": (setting(f"{GENERATOR}.temperature", 0.7), (N * K, 0, 0, 0)),
    "seed": (setting("seeds", [21, 22]), (N * K, N * K, N * K, 1)),
    "max tokens": (setting(f"{GENERATOR}.max_tokens", 8), (N * K, 0, 0, 0)),
    "model": (setting(f"{GENERATOR}.model", "m2"), (N * K, 0, 0, 0)),
    "base_url": (setting(f"{GENERATOR}.base_url", "http://two"), (N * K, 0, 0, 0)),
    "interval": (setting("evaluation.statistics.interval", "bootstrap"), (0, 0, 0, 1)),
    "error policy": (setting("evaluation.statistics.errors", "zero"), (0, 0, 0, 1)),
    "clusters": (setting("evaluation.statistics.cluster_by", "topic"), (0, 0, 0, 1)),
    "concurrency": (setting("runtime.max_concurrency", 1), (0, 0, 0, 0)),
    "timeout": (setting("runtime.timeout_s", 60.0), (0, 0, 0, 0)),
    "batch size": (setting("runtime.batch_size", 1), (0, 0, 0, 0)),
    "shard size": (setting("runtime.shard_size", 4), (0, 0, 0, 0)),
    "batches": (setting("runtime.batch", {"when": "cheaper"}), (0, 0, 0, 0)),
    "api key": (setting(f"{GENERATOR}.api_key", "${THEMIS_TEST_KEY}"), (0, 0, 0, 0)),
}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEMIS_TEST_KEY", "sesame")


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> Spec:
    """The experiment of the table, on each kind of store."""
    storage = (
        {}
        if request.param == "folder"
        else {"storage": request.getfixturevalue("s3_storage")}
    )
    return {**base(tmp_path / "store"), **storage}


@pytest.fixture(params=list(DRIVERS))
def driver(request: pytest.FixtureRequest) -> Any:
    if request.param == "in process":
        return lambda spec, folder: DRIVERS["in process"](spec, folder, "")
    api_url = request.getfixturevalue("prefect_api")
    return lambda spec, folder: DRIVERS["through the flow"](spec, folder, api_url)


def cost(driver: Any, spec: Spec, folder: Path) -> tuple[int, int, int, int]:
    """Run and count: generator, parser and metric calls, then summary rows."""
    CALLS.clear()
    result = driver(spec, folder)
    return (
        CALLS["generate"],
        CALLS["parse"],
        CALLS["score"],
        result.manifest.summary_computed,
    )


@pytest.mark.parametrize("name", EDITS)
def test_edit_costs_what_the_table_says(
    name: str, spec: Spec, driver: Any, tmp_path: Path
) -> None:
    """An edit to a warm experiment costs exactly the calls and rows that the table
    says.
    """
    edit, expected = EDITS[name]
    run_in_process(spec, tmp_path, "")
    edited = copy.deepcopy(spec)
    edit(edited)

    assert expected == cost(driver, edited, tmp_path)


TEMPLATE = "{{ question }} answer {{ number }}"
FEW_SHOT = "generation.few_shot"


def question(number: int, **fields: Any) -> Spec:
    return {
        "question": f"Which is {number}?",
        "number": number,
        "label": number % 3,
        "note": "none",
        **fields,
    }


def example(name: str) -> Spec:
    return {"question": name, "number": 0, "label": 0}


def template_base(folder: Path) -> Spec:
    """Six questions in a file, put into words by a template, one sample each.

    The generator answers with its prompt, the parser finds the number in it, and the
    labels 0, 1 and 2 stand for 0, 1 and 2. The first example of the pool is the first
    question itself, which therefore is given the second one.
    """
    columns = {"expected_output": {"column": "label", "map": ["0", "1", "2"]}}
    questions = [question(number) for number in range(N)]
    pool = [question(0), example("one"), example("two")]
    return {
        **base(folder / "store"),
        "generation": {
            "generator": {"use": "tests.support.counting:Echo"},
            "prompt_spec": {"template": TEMPLATE},
            "few_shot": {
                "k": 1,
                "data": {"path": str(folder / "pool.jsonl"), "columns": columns},
            },
        },
        "datasets": [
            {
                "dataset_id": "questions",
                "path": str(folder / "questions.jsonl"),
                "columns": columns,
            }
        ],
        "seeds": [11],
        "files": {"questions": questions, "pool": pool},
    }


def written(spec: Spec, folder: Path) -> Spec:
    """Write the files of an experiment, and return it without them."""
    for name, rows in spec["files"].items():
        lines = [json.dumps(row) + "\n" for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    return {name: value for name, value in spec.items() if name != "files"}


TEMPLATE_EDITS: dict[str, tuple[Edit, tuple[int, int, int, int]]] = {
    "nothing": (lambda spec: None, (0, 0, 0, 0)),
    # The prompts of 1, 3 and 5 are other texts; every number is found again.
    "template": (
        setting(
            "generation.prompt_spec.template",
            "{% if number % 2 %}Say: {% endif %}" + TEMPLATE,
        ),
        (N, 3, 0, 0),
    ),
    "a column of the template, in one case": (
        setting("files.questions.2.question", "Which is two?"),
        (1, 1, 0, 0),
    ),
    "a column that no template names": (
        setting("files.questions.2.note", "some"),
        (0, 0, 0, 0),
    ),
    "one label of a file": (setting("files.questions.2.label", 0), (0, 0, 1, 1)),
    "label map": (
        setting("datasets.0.columns.expected_output.map.1", "one"),
        (0, 0, 2, 1),
    ),
    "an example that no case is given": (
        setting("files.pool.2.question", "three"),
        (0, 0, 0, 0),
    ),
    "an example that one case is given": (
        setting("files.pool.1.question", "another"),
        (1, 1, 0, 0),
    ),
    "an example added behind": (
        lambda spec: spec["files"]["pool"].append(example("four")),
        (0, 0, 0, 0),
    ),
    "number of examples": (setting(f"{FEW_SHOT}.k", 2), (N, N, 0, 0)),
    "layout of examples": (setting(f"{FEW_SHOT}.separator", " "), (N, N, 0, 0)),
}


@pytest.fixture(
    params=["in process", pytest.param("through the flow", marks=pytest.mark.slow)]
)
def quick_driver(request: pytest.FixtureRequest) -> Any:
    """Both drivers; the flow, whose tasks `EDITS` cover, with the slow tests."""
    is_flow = request.param == "through the flow"
    api_url = request.getfixturevalue("prefect_api") if is_flow else ""
    return lambda spec, folder: DRIVERS[request.param](spec, folder, api_url)


@pytest.mark.parametrize("name", TEMPLATE_EDITS)
def test_edit_of_templates_and_examples_costs_what_the_table_says(
    name: str, quick_driver: Any, tmp_path: Path
) -> None:
    """Also where prompts are made of columns, labels and examples."""
    edit, expected = TEMPLATE_EDITS[name]
    spec = template_base(tmp_path)
    run_in_process(written(spec, tmp_path), tmp_path, "")
    edit(spec)

    assert expected == cost(quick_driver, written(spec, tmp_path), tmp_path)


def picture(number: int) -> Spec:
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image", "path": f"{number}.png"},
    ]
    return {"input": parts, "expected_output": "x"}


def media_base(folder: Path) -> Spec:
    """Six cases in a file, each with an image beside it; the images are different."""
    for number in range(N):
        (folder / f"{number}.png").write_bytes(png(number))
    data = {"dataset_id": "pictures", "path": str(folder / "pictures.jsonl")}
    return {
        **base(folder / "store"),
        "generation": {"generator": {"use": "tests.support.counting:Reader"}},
        "datasets": [data],
        "seeds": [11],
        "files": {"pictures": [picture(number) for number in range(N)]},
    }


def renamed(spec: Spec, folder: Path) -> None:
    (folder / "2.png").rename(folder / "two.dat")
    spec["files"]["pictures"][2]["input"][1]["path"] = "two.dat"


def swapped(spec: Spec, folder: Path) -> None:
    rows = spec["files"]["pictures"]
    rows[0]["input"], rows[1]["input"] = rows[1]["input"], rows[0]["input"]


MEDIA_EDITS: dict[
    str, tuple[Callable[[Spec, Path], Any], tuple[int, int, int, int]]
] = {
    "nothing": (lambda spec, folder: None, (0, 0, 0, 0)),
    "a file that a case names renamed": (renamed, (0, 0, 0, 0)),
    "two cases name each other's files": (swapped, (0, 0, 0, 0)),
    "a file that a case names changed": (
        lambda spec, folder: (folder / "2.png").write_bytes(png(99)),
        (1, 1, 1, 0),
    ),
    "it became what another case names": (
        lambda spec, folder: (folder / "2.png").write_bytes(png(3)),
        (1, 0, 0, 0),
    ),
}


@pytest.mark.parametrize("name", MEDIA_EDITS)
def test_edit_of_a_file_costs_what_the_table_says(
    name: str, quick_driver: Any, tmp_path: Path
) -> None:
    """Files of cases are known by their content, wherever it is."""
    edit, expected = MEDIA_EDITS[name]
    spec = media_base(tmp_path)
    run_in_process(written(spec, tmp_path), tmp_path, "")
    edit(spec, tmp_path)

    assert expected == cost(quick_driver, written(spec, tmp_path), tmp_path)


def matrix(store: Path) -> Spec:
    """Two models by two prompts over the same experiment; all texts of the models are
    equal.
    """
    models = {name: {f"{GENERATOR}.model": name} for name in ("m1", "m2")}
    prompts = {
        name: {"generation.prompt_spec.prefix": prefix}
        for name, prefix in {"plain": "", "loud": "p"}.items()
    }
    return {**base(store), "matrix": {"model": models, "prompt": prompts}}


MATRIX_EDITS: dict[str, tuple[Edit, tuple[int, int, int, int]]] = {
    "nothing": (lambda spec: None, (0, 0, 0, 0)),
    # Two cells, whose texts are those of the other models.
    "a model added": (
        setting("matrix.model.m3", {f"{GENERATOR}.model": "m3"}),
        (2 * N * K, 0, 0, 0),
    ),
    # Two cells, which have their texts in common: those of 1, 3 and 5, and a value.
    "a prompt added": (
        setting("matrix.prompt.q", {"generation.prompt_spec.prefix": "q"}),
        (2 * N * K, 3 * K, 1 * K, 0),
    ),
    "a prompt changed": (
        setting("matrix.prompt.loud", {"generation.prompt_spec.prefix": "q"}),
        (2 * N * K, 3 * K, 1 * K, 0),
    ),
    "a value renamed": (
        lambda spec: spec["matrix"]["model"].update(
            renamed=spec["matrix"]["model"].pop("m2")
        ),
        (0, 0, 0, 0),
    ),
    "cells excluded": (setting("matrix.exclude", [{"prompt": "loud"}]), (0, 0, 0, 0)),
    "another baseline": (setting("matrix.baseline", "m2-loud"), (0, 0, 0, 0)),
    # All answers are equal, and so are their scores under either parser.
    "an axis of parsers": (
        lambda spec: spec["matrix"].update(
            parser={
                name: {"evaluation.parsers.0.suffix": suffix}
                for name, suffix in {"old": "", "new": "x"}.items()
            }
        ),
        (0, 9 * K, 0, 0),
    ),
    "an axis of metrics": (
        lambda spec: spec["matrix"].update({"evaluation.metrics.0.scale": [1.0, 0.5]}),
        (0, 0, 7 * K, 2),
    ),
    # Four of six are right with `plain` now, as were with `loud`: one summary is new.
    "one expected output changed": (
        changed_case(0, expected_output="wrong"),
        (0, 0, K, 1),
    ),
}


@pytest.fixture(
    params=["in process", pytest.param("through the flow", marks=pytest.mark.slow)]
)
def matrix_driver(request: pytest.FixtureRequest) -> Any:
    is_flow = request.param == "through the flow"
    api_url = request.getfixturevalue("prefect_api") if is_flow else ""
    return lambda spec, folder: MATRIX_DRIVERS[request.param](spec, folder, api_url)


@pytest.mark.parametrize("name", MATRIX_EDITS)
def test_edit_of_a_matrix_costs_what_the_table_says(
    name: str, matrix_driver: Any, tmp_path: Path
) -> None:
    """An edit costs the rows of the cells that it touches, and a row that they share
    once.
    """
    edit, expected = MATRIX_EDITS[name]
    edited = matrix(tmp_path / "store")
    run_matrix_in_process(edited, tmp_path, "")
    edit(edited)
    CALLS.clear()

    results = matrix_driver(edited, tmp_path)

    assert expected == (
        CALLS["generate"],
        CALLS["parse"],
        CALLS["score"],
        sum(result.manifest.summary_computed for result in results),
    )


def test_first_run_computes_everything_once(
    spec: Spec, driver: Any, tmp_path: Path
) -> None:
    """A run on an empty store calls each component once a row."""
    assert (N * K, N * K, N * K, 1) == cost(driver, spec, tmp_path)


def test_duplicate_is_free_for_a_deterministic_generator(
    spec: Spec, driver: Any, tmp_path: Path
) -> None:
    """A duplicated case costs nothing where the generator declares itself
    deterministic.
    """
    spec["generation"]["generator"]["use"] = (
        "tests.support.counting:DeterministicGenerator"
    )
    run_in_process(spec, tmp_path, "")
    EDITS["a case duplicated"][0](spec)

    assert (0, 0, 0, 1) == cost(driver, spec, tmp_path)


def test_metadata_costs_only_the_slices_over_it(
    spec: Spec, driver: Any, tmp_path: Path
) -> None:
    """A case that moves from one slice to another costs the summary rows of these two,
    and nothing else.
    """
    spec["evaluation"]["slices"] = ["topic"]
    run_in_process(spec, tmp_path, "")
    EDITS["one case's metadata changed"][0](spec)

    assert (0, 0, 0, 2) == cost(driver, spec, tmp_path)


def test_metadata_costs_a_metric_that_reads_it(
    spec: Spec, driver: Any, tmp_path: Path
) -> None:
    """One case's changed metadata is scored again by a metric that declares that it
    reads metadata.
    """
    spec["evaluation"]["metrics"][0]["use"] = "tests.support.counting:MetadataMetric"
    run_in_process(spec, tmp_path, "")
    EDITS["one case's metadata changed"][0](spec)

    assert (0, 0, K, 0) == cost(driver, spec, tmp_path)


_MODULE = '''
from tests.support.counting import Generator as Counting, Parser, Metric, count
from themis_lib import GenerationResult

MARK = "{mark}"

class Generator(Counting):
    """{docstring}"""
    component_id = "tests/edited"

    async def generate(self, case, ctx):
        # {comment}
        count("generate")
        return GenerationResult(final_output=f"answer {{case.input}}/{{ctx.seed}}{{MARK[1:]}}")
'''


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (
            {"comment": "another comment", "docstring": "Another docstring."},
            (0, 0, 0, 0),
        ),
        ({"mark": "y"}, (N * K, 0, 0, 0)),
    ],
    ids=["comments and docstrings", "body"],
)
def test_code_is_identity(
    edit: dict[str, str],
    expected: tuple[int, ...],
    spec: Spec,
    driver: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Editing what a user's component does costs its stage; editing its comments and
    docstrings costs nothing.
    """
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"edited_{abs(hash(tmp_path))}"
    text = {"mark": "x", "comment": "a comment", "docstring": "A docstring."}
    spec["generation"]["generator"]["use"] = f"{name}:Generator"
    (tmp_path / f"{name}.py").write_text(_MODULE.format(**text))
    run_in_process(spec, tmp_path, "")
    (tmp_path / f"{name}.py").write_text(_MODULE.format(**{**text, **edit}))
    sys.modules.pop(name)

    assert expected == cost(driver, spec, tmp_path)


def test_setting_that_a_fingerprint_forgets_costs_the_same(
    spec: Spec, tmp_path: Path
) -> None:
    """Settings are identity, whatever a component's `fingerprint()` covers."""
    spec["generation"]["generator"]["use"] = "tests.support.counting:HidingGenerator"
    run_in_process(spec, tmp_path, "")
    edit, expected = EDITS["temperature"]
    edit(spec)

    assert expected == cost(lambda *given: run_in_process(*given, ""), spec, tmp_path)


def test_setting_that_is_declared_runtime_is_hidden(spec: Spec, tmp_path: Path) -> None:
    """Negative control: a component that calls a setting `runtime` which changes what
    it says fails the table.
    """
    spec["generation"]["generator"]["use"] = "tests.support.counting:LyingGenerator"
    run_in_process(spec, tmp_path, "")
    edit, expected = EDITS["temperature"]
    edit(spec)

    assert expected != cost(lambda *given: run_in_process(*given, ""), spec, tmp_path)


def test_flow_shows_cached_for_unchanged_shards(
    prefect_api: str, spec: Spec, tmp_path: Path
) -> None:
    """Through the flow, every task of an unchanged shard ends `Cached`; a shard with a
    new case does not.
    """
    flow_outcome(spec, tmp_path, prefect_api)
    again = task_states(flow_outcome(spec, tmp_path, prefect_api), prefect_api)
    EDITS["a case added"][0](spec)
    grown = task_states(flow_outcome(spec, tmp_path, prefect_api), prefect_api)

    assert {"Cached"} == set(again.values())
    assert 12 == len(again)
    assert {name for name, state in grown.items() if state != "Cached"} == {
        f"{stage} numbers 6-6"
        for stage in ("generate", "parse", "score[first]", "reduce")
    }


def task_states(outcome: Any, api_url: str) -> dict[str, str]:
    """The state of each task of a flow run as the server recorded it."""
    import asyncio

    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.settings import PREFECT_API_URL, temporary_settings

    async def read() -> dict[str, str]:
        async with get_client() as client:
            runs = await client.read_task_runs(
                flow_run_filter=FlowRunFilter(
                    id=FlowRunFilterId(any_=[outcome.flow_run_id])
                )
            )
        return {run.name: run.state.name for run in runs}

    with temporary_settings({PREFECT_API_URL: api_url}):
        return asyncio.run(read())


TALK = {"turns": ["Hi", "And then?", "What else?", "Bye"]}
#: Edits of a conversation of four turns, two samples, and the turns that they pay for.
TALK_EDITS: dict[str, tuple[Edit, int]] = {
    "nothing": (lambda spec: None, 0),
    "a turn added": (changed_case(0, input={"turns": [*TALK["turns"], "Wait"]}), K),
    "a turn removed": (changed_case(0, input={"turns": TALK["turns"][:3]}), 0),
    "turn 3 edited": (
        changed_case(0, input={"turns": ["Hi", "And then?", "Why?", "Bye"]}),
        2 * K,
    ),
    "turn 1 edited": (
        changed_case(0, input={"turns": ["Hello", *TALK["turns"][1:]]}),
        4 * K,
    ),
    "a case renamed": (changed_case(0, case_id="new"), 0),
    "a metric added": (
        lambda spec: spec["evaluation"]["metrics"].append("builtin/step_count"),
        0,
    ),
    "instructions": (
        setting("generation.prompt_spec.instructions", "Be brief."),
        4 * K,
    ),
    "concurrency": (setting("runtime.max_concurrency", 1), 0),
}


@pytest.mark.parametrize("edit", list(TALK_EDITS))
def test_edit_of_a_conversation_costs_what_the_table_says(
    tmp_path: Path, edit: str
) -> None:
    """An edit of turn t of n pays for the turns t to n of each sample, and no others."""
    change, expected = TALK_EDITS[edit]
    spec = talk(tmp_path, [TALK], samples=K)
    run_in_process(spec, tmp_path, "")
    paid = len(noted(tmp_path / "calls.log"))

    change(spec)
    run_in_process(spec, tmp_path, "")

    assert 4 * K == paid
    assert expected == len(noted(tmp_path / "calls.log")) - paid


def test_longer_conversation_with_a_simulated_user_pays_for_new_turns(
    tmp_path: Path,
) -> None:
    """More turns for the user are asked for; those there were are found."""
    spec = talk(
        tmp_path,
        [{"goal": "a refund"}],
        conversation={"user": user(tmp_path, max_turns=1)},
    )
    run_in_process(spec, tmp_path, "")
    spec["generation"]["generator"]["user"]["max_turns"] = 2
    run_in_process(spec, tmp_path, "")

    assert 2 == len(noted(tmp_path / "calls.log"))
    assert 2 == len(noted(tmp_path / "user.log"))
