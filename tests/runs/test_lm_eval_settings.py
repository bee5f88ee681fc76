"""Experiments on tasks of lm-eval: prompts, added metrics, sampling and refusals."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from tests.support.lm_eval_tasks import overrides_for
from themis_lib import (
    Case,
    ConfigError,
    DatasetError,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    GenerationResult,
    LmEvalDataset,
    PromptSpec,
    RowError,
    evaluate,
)
from themis_lib.adapters import llama, openai, vllm
from themis_lib.data.datasets import case_rows
from themis_lib.data.lm_eval_task import load_task

pytest.importorskip("lm_eval")
# Of lm-eval and the libraries below it.
pytestmark = pytest.mark.filterwarnings("ignore")


class Own:
    """A generator of one's own that knows nothing of sampling."""

    component_id: ClassVar[str] = "own"
    version: ClassVar[str] = "1"

    def fingerprint(self) -> str:
        return ""

    def generate(self, case: Case, ctx: Any) -> Any:
        raise NotImplementedError


def task(
    name: str,
    folder: Path,
    **settings: Any,
) -> LmEvalDataset:
    data = folder / name
    data.mkdir(exist_ok=True)
    overrides = {**overrides_for(name, data), **settings.pop("overrides", {})}
    return LmEvalDataset(task=name, overrides=overrides, **settings)


def compiled(
    *datasets: LmEvalDataset,
    generator: Any = "builtin/replay",
    **settings: Any,
) -> Any:
    if generator == "builtin/replay":
        path = Path(datasets[0].overrides["dataset_kwargs"]["data_files"]["train"])
        recorded = path.with_name("recorded.jsonl")
        recorded.write_text('{"case_id": "x", "output": "y"}\n')
        generator = {"use": generator, "path": str(recorded)}
    evaluation = settings.pop("evaluation", EvaluationConfig())
    return Experiment(
        generation=GenerationConfig(generator=generator, **settings),
        evaluation=evaluation,
        datasets=list(datasets),
    ).compile()


def metric_ids(pipeline: Any) -> list[str]:
    return [stage.metric_id for stage in pipeline.scores]


def test_the_tasks_metrics_are_added(tmp_path):
    """Behind those of the experiment, each filter's by itself."""
    dataset = task("gsm8k", tmp_path)

    pipeline = compiled(
        dataset, evaluation=EvaluationConfig(metrics=["builtin/numeric_match"])
    )

    assert [
        "numeric_match",
        "exact_match,strict-match",
        "exact_match,flexible-extract",
    ] == metric_ids(pipeline)


def test_some_metrics_are_kept(tmp_path):
    """By lm-eval's name of the metric, or of the metric behind a filter."""
    named = task("gsm8k", tmp_path, metrics=["exact_match,flexible-extract"])
    other = task("arc_easy", tmp_path, metrics=["acc"])

    assert ["exact_match,flexible-extract"] == metric_ids(compiled(named))
    assert ["acc"] == metric_ids(compiled(other))


def test_what_is_no_mean_over_cases_is_left_out_and_said(tmp_path):
    """Perplexity is of the whole data set."""
    pipeline = compiled(task("lambada_openai", tmp_path))

    assert ["acc"] == metric_ids(pipeline)
    assert (
        "dataset 'lambada_openai': lm-eval's perplexity is no mean over cases, and left "
        "out",
    ) == pipeline.notes


@pytest.mark.parametrize("name", ["acc_nrm", "perplexity"])
def test_a_metric_that_cannot_be_kept_is_refused(tmp_path, name):
    """An unknown one with the nearest, and one that is no mean."""
    with pytest.raises(ConfigError, match=f"metrics: .*{name!r}"):
        compiled(task("lambada_openai", tmp_path, metrics=[name]))


def test_tasks_with_other_metrics_need_a_choice(tmp_path):
    """A metric scores all cases, so that datasets keep the same ones."""
    first = task("arc_easy", tmp_path)
    other = task("winogrande", tmp_path)

    with pytest.raises(ConfigError, match="keep those that both have with `metrics`"):
        compiled(first, other)
    kept = compiled(first.model_copy(update={"metrics": ["acc"]}), other)

    assert ["acc"] == metric_ids(kept)


def test_a_task_twice_is_two_datasets_of_one_metric(tmp_path):
    """With other numbers of examples; scored otherwise, it is refused."""
    none, one = (
        task("piqa", tmp_path, num_fewshot=shots, dataset_id=f"piqa-{shots}")
        for shots in (0, 1)
    )
    changed = task(
        "piqa", tmp_path, dataset_id="changed", overrides={"doc_to_target": "goal"}
    )

    assert ["acc", "acc_norm"] == metric_ids(compiled(none, one))
    with pytest.raises(ConfigError, match="scores the task 'piqa' otherwise"):
        compiled(none, changed)


def test_the_tasks_sampling_reaches_the_generator(tmp_path):
    """Stop texts, length and greedy decoding; what somebody has set is kept."""
    dataset = task("gsm8k", tmp_path)
    stops = ["Question:", "</s>", "<|im_end|>"]

    served = compiled(
        dataset, generator={"use": "vllm", "model": "m", "max_tokens": 512}
    ).generate.generator.component
    local = compiled(
        dataset, generator=llama(model="tiny")
    ).generate.generator.component

    assert (stops, 512, 0.0) == (served.stop, served.max_tokens, served.temperature)
    assert (stops, 256, 0.0) == (local.stop, local.max_tokens, local.temperature)
    assert "raw" == local.template


def test_what_the_generator_cannot_be_told_is_said(tmp_path):
    """A generator of one's own has no settings; the Responses API has no stop texts."""
    dataset = task("gsm8k", tmp_path)
    responses = openai("m", api_key="${KEY}", client=object())

    (own,) = compiled(dataset, generator=Own()).notes
    pipeline = compiled(dataset, generator=responses)

    assert own.startswith("generation.generator cannot be told max_tokens=256, stop=[")
    assert pipeline.notes[0].startswith("generation.generator cannot be told stop=[")
    assert 256 == pipeline.generate.generator.component.max_tokens


def test_tasks_that_ask_for_other_sampling_need_a_choice(tmp_path):
    """Unless the generator is given the setting."""
    first = task("triviaqa", tmp_path, metrics=["exact_match"])
    other = task(
        "bbh_zeroshot_boolean_expressions",
        tmp_path,
        overrides={
            "filter_list": [
                {"name": "remove_whitespace", "filter": [{"function": "take_first"}]}
            ]
        },
    )
    given = {"use": "vllm", "model": "m", "stop": ["\n"], "max_tokens": 99}

    with pytest.raises(
        ConfigError, match=r"asks for (stop|max_tokens)=.* give the generator"
    ):
        compiled(first, other, generator=vllm("m"))
    assert ["\n"] == compiled(
        first, other, generator=given
    ).generate.generator.component.stop


def test_a_generator_that_rates_nothing_is_refused(tmp_path):
    """Before anything is sent."""
    with pytest.raises(ConfigError, match="which 'vllm' does not do; use llama_choice"):
        compiled(task("piqa", tmp_path), generator=vllm("m"))


def test_a_literal_token_of_the_hub_is_refused(tmp_path):
    """Without its value, and with the place where it is read from."""
    dataset = task("gsm8k", tmp_path, overrides={"dataset_kwargs": {"token": "hf_abc"}})

    with pytest.raises(
        ConfigError, match=r"'gsm8k': overrides hold a.*HF_TOKEN"
    ) as said:
        compiled(dataset, generator=vllm("m"))
    assert "hf_abc" not in str(said.value)


def test_what_is_not_known_to_be_greedy_has_no_score(tmp_path):
    """A server that does not say which tokens are the likeliest has answered nothing."""
    dataset = task("lambada_openai", tmp_path, metrics=["acc"])
    metric = compiled(dataset, generator={"use": "llama_choice", "model": "tiny"})
    name, case_input, _, metadata = next(iter(case_rows(dataset)))
    case = Case(case_id=name, input=json.loads(case_input), metadata=metadata)
    rated = [{"text": "x", "logprob": -1.0, "is_greedy": None}]
    result = GenerationResult(final_output="x", artifacts={"choices": rated})

    with pytest.raises(RowError, match="is not known"):
        metric.scores[0].metric.component.score(
            None, case, SimpleNamespace(result=result)
        )


def test_prompts_are_lm_evals(tmp_path):
    """A template and few-shot examples would be others; nothing goes between a context
    and what is rated behind it.
    """
    with pytest.raises(
        ConfigError, match=r"generation\.prompt_spec\.template: lm-eval"
    ):
        compiled(task("gsm8k", tmp_path), prompt_spec=PromptSpec(template="{{ x }}"))
    with pytest.raises(ConfigError, match=r"generation\.prompt_spec: lm-eval makes"):
        compiled(task("piqa", tmp_path), prompt_spec=PromptSpec(prefix="Read."))


def test_messages_have_the_examples_as_turns(tmp_path):
    """With `apply_chat_template`, and the instruction as system message."""
    chat = task(
        "gsm8k",
        tmp_path,
        num_fewshot=1,
        limit=1,
        apply_chat_template=True,
        system_instruction="Be brief.",
    )

    (first,) = case_rows(chat)

    turns = json.loads(first[1])
    assert ["system", "user", "assistant", "user"] == [turn["role"] for turn in turns]
    assert "Be brief." == turns[0]["content"]
    assert "Question: What is 40 + 1?\nAnswer:" == turns[3]["content"]
    with pytest.raises(DatasetError, match="only a generated answer can follow"):
        compiled(task("piqa", tmp_path, apply_chat_template=True))


def test_a_case_has_the_fields_of_its_document(tmp_path):
    """As metadata, to slice by; its expected output is the text of the answer."""
    rows = list(case_rows(task("mmlu_anatomy", tmp_path, limit=2)))

    assert ["mmlu_anatomy-0000", "mmlu_anatomy-0001"] == [row[0] for row in rows]
    assert ('"A"', "anatomy", "mmlu_anatomy") == (
        rows[0][2],
        rows[0][3]["subject"],
        rows[0][3]["lm_eval_task"],
    )


def test_the_same_examples_are_drawn_each_time(tmp_path):
    """By lm-eval's own seed, and others by another."""
    settings: dict[str, Any] = {"num_fewshot": 3}
    dataset = task("gsm8k", tmp_path, **settings)
    again = dataset.model_copy(update={"dataset_id": "again"})
    other = dataset.model_copy(update={"fewshot_random_seed": 5})

    first, second, third = (
        [row[1] for row in case_rows(one)] for one in (dataset, again, other)
    )

    assert first == second
    assert first != third


@pytest.mark.parametrize(
    ("name", "overrides", "reason"),
    [
        (
            "gsm8k",
            {"doc_to_txt": "x"},
            "overrides: tasks have no field 'doc_to_txt'; did",
        ),
        ("gsm8k", {"repeats": 4}, "scores 4 answers of a document as one"),
        ("gsm8k", {"unsafe_code": True}, "runs the model's code in this process"),
        (
            "gsm8k",
            {"output_type": "loglikelihood_rolling"},
            "asks for loglikelihood_rolling",
        ),
        (
            "gsm8k",
            {"doc_to_text": "{{ 1 / 0 }}"},
            "lm-eval cannot load the task 'gsm8k'",
        ),
        ("truthfulqa_mc1", {}, "num_fewshot=2: the task 'truthfulqa_mc1' has 0"),
    ],
)
def test_a_task_that_cannot_be_scored_here_is_refused(
    tmp_path, name, overrides, reason
):
    """By name, with what to do where there is something."""
    with pytest.raises(DatasetError) as caught:
        compiled(task(name, tmp_path, overrides=overrides, num_fewshot=2))
    assert reason in str(caught.value)


def test_more_examples_score_only_other_answers(tmp_path):
    """What a metric computes does not depend on how many examples the prompt has."""
    few, more, other = (
        compiled(task("gsm8k", tmp_path, num_fewshot=shots, overrides=overrides))
        for shots, overrides in (
            (1, {}),
            (3, {}),
            (1, {"doc_to_target": "{{question}}"}),
        )
    )

    assert few.scores[0].fingerprint == more.scores[0].fingerprint
    assert few.scores[0].fingerprint != other.scores[0].fingerprint


def test_functions_of_ones_own_tasks_count_with_their_file(tmp_path):
    """An edit of the file scores again."""
    code = tmp_path / "utils.py"
    (tmp_path / "mine.yaml").write_text(
        "task: mine\ndataset_path: json\noutput_type: generate_until\ntest_split: test\n"
        'doc_to_text: "{{question}}"\ndoc_to_target: "{{answer}}"\n'
        "process_results: !function utils.score\n"
        "metric_list: [{metric: right, aggregation: mean, higher_is_better: true}]\n"
    )
    fingerprints = []
    scores = []
    for right in ("1.0", "0.25"):
        code.write_text(f"def score(doc, results):\n    return {{'right': {right}}}\n")
        dataset = task(
            "gsm8k", tmp_path, include_path=str(tmp_path), dataset_id="own"
        ).model_copy(update={"task": "mine"})
        pipeline = compiled(dataset)
        fingerprints.append(pipeline.scores[0].fingerprint)
        one = load_task(dataset)
        scores.append(one.task.process_results({}, [""])["right"])

    assert [1.0, 0.25] == scores
    assert ["right"] == metric_ids(pipeline)
    assert fingerprints[0] != fingerprints[1]


def test_an_edit_of_local_data_is_read_in_the_same_process(tmp_path):
    """A notebook or a worker runs the documents as they are now."""
    dataset = task("gsm8k", tmp_path, num_fewshot=0)
    compiled(dataset)
    before = [row[1] for row in case_rows(dataset)]
    test = Path(dataset.overrides["dataset_kwargs"]["data_files"]["test"])
    test.write_text(test.read_text().replace("What is", "How much is"))

    compiled(dataset)
    after = [row[1] for row in case_rows(dataset)]

    assert [one.replace("What is", "How much is") for one in before] == after
    assert before != after


def test_a_task_that_generates_is_refused_where_answers_are_only_rated(tmp_path):
    """Before anything is rated."""
    with pytest.raises(ConfigError, match="'llama_choice' only rates given ones"):
        compiled(
            task("gsm8k", tmp_path),
            generator={"use": "llama_choice", "model": "tiny"},
        )


def test_a_function_is_evaluated_on_a_task(tmp_path):
    """With the task's own metrics, and no others."""
    result = evaluate(
        model=lambda text: "It is 41.\n#### 41",
        data=task("gsm8k", tmp_path, limit=4),
    )

    assert {
        "exact_match,strict-match": 0.25,
        "exact_match,flexible-extract": 0.25,
    } == {row.metric_id: row.mean for row in result.summary}


def test_other_processes_build_the_same_stages(tmp_path):
    """Without the datasets: metrics and sampling have become plain settings."""
    generator = {"use": "vllm", "model": "m"}
    pipeline = compiled(task("gsm8k", tmp_path), generator=generator)

    text = pipeline.experiment.portable_json()
    again = Experiment.model_validate_json(text).compile()

    assert pipeline.fingerprint == again.fingerprint
