"""The documents of a task of lm-eval as cases, with the prompts that lm-eval makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

from themis_lib.core.lm_eval_dataset import LmEvalDataset
from themis_lib.data.columns import CaseTexts
from themis_lib.data.json_forms import json_row
from themis_lib.data.lm_eval_task import (
    LmEvalTask,
    bars_on_terminals,
    chance_of,
    load_task,
)
from themis_lib.errors import DatasetError, describe
from themis_lib.identity.digests import canonical_json

#: The key of a case's metadata that has the name of its task.
TASK = "lm_eval_task"


def lm_eval_cases(dataset: LmEvalDataset) -> Iterator[CaseTexts]:
    """Yield a case for each document of a task.

    The input is the prompt, few-shot context included: a text, messages, or where given
    answers are rated an object of `context` and `continuations` (see `llama_choice`).
    Metadata are the fields of the document, and the task's name. Raise `DatasetError`,
    naming the dataset and the document, as `load_task` does and for a document that
    lm-eval cannot render.
    """
    settings = dataset.model_dump_json(exclude={"metrics"})
    yield from _cases(settings, load_task(dataset))


# Cached: a run reads its data twice, and few-shot contexts take long to make.
@lru_cache(maxsize=8)
def _cases(
    settings: str,
    loaded: LmEvalTask,
) -> tuple[CaseTexts, ...]:
    dataset = LmEvalDataset.model_validate_json(settings)
    where = f"dataset {dataset.dataset_id!r}"
    cases = []
    for doc_id, requests in _requests_by_doc(dataset, loaded):
        name = f"{dataset.dataset_id}-{doc_id:04d}"
        document = requests[0].doc
        try:
            row = {**json_row(document), TASK: dataset.task}
            case_input = canonical_json(_input_of(requests))
            expected = _expected_text(loaded.task, document)
            metadata = canonical_json(row)
        except ValueError as error:
            raise DatasetError(f"{where}: document {doc_id}: {error}") from None
        cases.append((name, case_input, expected, metadata))
    return tuple(cases)


def _requests_by_doc(
    dataset: LmEvalDataset,
    loaded: LmEvalTask,
) -> Iterator[tuple[int, list[Any]]]:
    """Yield lm-eval's requests of each document, with its number."""
    task = loaded.task
    chat_template = _messages_as_they_are if dataset.apply_chat_template else None
    with chance_of(loaded.chance), bars_on_terminals():
        # Each time anew, so that every reading draws the same examples.
        task.set_fewshot_seed(seed=dataset.fewshot_random_seed)
        try:
            task.build_all_requests(
                limit=dataset.limit,
                apply_chat_template=dataset.apply_chat_template,
                fewshot_as_multiturn=dataset.fewshot_as_multiturn,
                chat_template=chat_template,
                system_instruction=dataset.system_instruction,
            )
        # Functions of the task's file, on data that may not fit them.
        except Exception as error:  # noqa: BLE001
            raise DatasetError(
                f"dataset {dataset.dataset_id!r}: lm-eval cannot make the prompts of "
                f"{dataset.task!r}: {describe(error)}"
            ) from None
    for doc_id, requests in groupby(task.instances, key=lambda one: one.doc_id):
        yield doc_id, sorted(requests, key=lambda one: one.idx)


def _messages_as_they_are(
    messages: list[dict[str, Any]],
    *,
    add_generation_prompt: bool = True,
) -> list[dict[str, Any]]:
    # Servers and the engine apply the model's own template to messages.
    del add_generation_prompt
    return [{"role": turn["role"], "content": turn["content"]} for turn in messages]


def _input_of(requests: Sequence[Any]) -> Any:
    """Return the input of a case: its prompt, or what is to be rated behind which."""
    kinds = sorted({str(request.request_type) for request in requests})
    if kinds == ["generate_until"] and len(requests) == 1:
        return requests[0].args[0]
    if kinds != ["loglikelihood"]:
        raise ValueError(f"lm-eval asks for {' and '.join(kinds)} in one document")
    contexts = [request.args[0] for request in requests]
    # One context that all share is written once.
    shared = contexts[0] if len(set(contexts)) == 1 else contexts
    return {
        "context": shared,
        "continuations": [request.args[1] for request in requests],
    }


def _expected_text(
    task: Any,
    document: Any,
) -> str | None:
    """Return the right answer as JSON: the text of a choice, or what the task says."""
    target = task.doc_to_target(document)
    if getattr(task, "multiple_input", 0):
        # Tasks such as WinoGrande: the choices are in the contexts.
        target = task.doc_to_text(document)
    if isinstance(target, int) and task.config.doc_to_choice is not None:
        choices = task.doc_to_choice(document)
        # Some documents have no label: -1, or one beyond the choices.
        return canonical_json(choices[target]) if 0 <= target < len(choices) else None
    return None if target is None else canonical_json(target)
