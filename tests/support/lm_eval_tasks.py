"""Small data of the shapes that tasks of lm-eval read, and a model that they can ask."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: A document of each task by its number, and the answers that the model chooses from.
Rows = Callable[[int], dict[str, Any]]
_WORDS = ["red", "blue", "green", "yellow", "black"]


def _arc(n: int) -> dict[str, Any]:
    labels = ["A", "B", "C", "D"] if n % 2 else ["1", "2", "3"]
    texts = [f"{word} {n}" for word in _WORDS[: len(labels)]]
    choices = {"text": texts, "label": labels}
    return {
        "question": f"Which colour is {n}?",
        "choices": choices,
        "answerKey": labels[n % 3],
    }


def _hellaswag(n: int) -> dict[str, Any]:
    endings = [f"goes {word} [step] away {n}." for word in _WORDS[:4]]
    return {
        "activity_label": "Cooking",
        "ctx_a": f"A man [title] takes  {n} eggs.",
        "ctx_b": "he",
        "endings": endings,
        "label": str(n % 4),
    }


def _winogrande(n: int) -> dict[str, Any]:
    sentence = f"The cup {n} fell on the table because _ was not level."
    return {
        "sentence": sentence,
        "option1": "the cup",
        "option2": "the table",
        "answer": str(1 + n % 2),
    }


def _piqa(n: int) -> dict[str, Any]:
    return {
        "goal": f"Open jar {n}",
        "sol1": "Turn the lid left.",
        "sol2": "Hit it.",
        "label": n % 2,
    }


def _boolq(n: int) -> dict[str, Any]:
    return {
        "passage": f"Grass {n} is green.",
        "question": f"is grass {n} green",
        "label": n % 2,
    }


def _mmlu(n: int) -> dict[str, Any]:
    choices = [f"{word} {n}" for word in _WORDS[:4]]
    return {
        "question": f" Which colour is {n}? ",
        "subject": "anatomy",
        "choices": choices,
        "answer": n % 4,
    }


def _truthfulqa(n: int) -> dict[str, Any]:
    choices = [f"It is {word}." for word in _WORDS[:4]]
    return {
        "question": f"What is {n}?",
        "mc1_targets": {"choices": choices, "labels": [1, 0, 0, 0]},
        "mc2_targets": {"choices": choices, "labels": [1, 1, 0, 0]},
    }


def _gsm8k(n: int) -> dict[str, Any]:
    return {
        "question": f"What is {n} + 1?",
        "answer": f"{n} + 1 = {n + 1}\n#### {n + 1}",
    }


def _triviaqa(n: int) -> dict[str, Any]:
    return {
        "question": f"Which city is number {n}",
        "answer": {"aliases": ["The Hague", f"City {n}"]},
    }


def _drop(n: int) -> dict[str, Any]:
    no_date = {"day": "", "month": "", "year": ""}
    answer = {
        "number": str(n) if n % 2 else "",
        "date": no_date,
        "spans": [] if n % 2 else ["red", "blue"],
    }
    validated = {
        "number": [""],
        "date": [{"day": "3", "month": "May", "year": "1999"}],
        "spans": [[]],
    }
    return {
        "query_id": str(n),
        "passage": f"There were {n} cups, red and blue.",
        "question": "How many?",
        "answer": answer,
        "validated_answers": validated,
    }


def _bbh(n: int) -> dict[str, Any]:
    return {"input": f"not ( True ) or {n} is", "target": "True" if n % 2 else "False"}


def _math(n: int) -> dict[str, Any]:
    return {
        "problem": f"Compute ${n}+1$.",
        "solution": f"It is $\\boxed{{{n + 1}}}$.",
        "level": "Level 1",
    }


def _lambada(n: int) -> dict[str, Any]:
    return {"text": f"He took {n} cups and then the {_WORDS[n % 5]}"}


def _copa(n: int) -> dict[str, Any]:
    return {
        "premise": f"The man {n} fell.",
        "choice1": "He slipped.",
        "choice2": "He sang.",
        "question": "cause" if n % 2 else "effect",
        "label": n % 2,
    }


def _openbookqa(n: int) -> dict[str, Any]:
    choices = {
        "text": [f"{word} {n}" for word in _WORDS[:4]],
        "label": ["A", "B", "C", "D"],
    }
    return {
        "question_stem": f"The colour of {n} is",
        "choices": choices,
        "answerKey": "ABCD"[n % 4],
    }


def _gpqa(n: int) -> dict[str, Any]:
    return {
        "Question": f"What is {n}?",
        "Correct Answer": f"right {n}",
        "Incorrect Answer 1": f"wrong {n}",
        "Incorrect Answer 2": f"worse {n}",
        "Incorrect Answer 3": f"worst {n}",
    }


#: Task, few-shot examples, the documents, and what the model answers.
TASKS: dict[str, tuple[int | None, Rows, list[str]]] = {
    "arc_easy": (2, _arc, []),
    "hellaswag": (1, _hellaswag, []),
    "winogrande": (2, _winogrande, []),
    "piqa": (None, _piqa, []),
    "boolq": (1, _boolq, []),
    "mmlu_anatomy": (3, _mmlu, []),
    "truthfulqa_mc1": (None, _truthfulqa, []),
    "truthfulqa_mc2": (None, _truthfulqa, []),
    "gsm8k": (
        3,
        _gsm8k,
        [f"It is {n}.\n#### {n}\n\nQuestion: 6" for n in range(41, 51)],
    ),
    "triviaqa": (1, _triviaqa, [" the hague", "City 1", "Nowhere", "City 2. It is"]),
    "drop": (2, _drop, ["3", "red, blue", "May 3 1999", "blue", "1. More"]),
    "bbh_zeroshot_boolean_expressions": (
        None,
        _bbh,
        [" True", "So it is False.", "(A)", ""],
    ),
    "hendrycks_math_algebra": (1, _math, [f"It is ${n}$" for n in range(41, 51)]),
    "lambada_openai": (None, _lambada, []),
    "copa": (1, _copa, []),
    "openbookqa": (0, _openbookqa, []),
    "gpqa_main_zeroshot": (None, _gpqa, []),
}
_SPLITS = ("train", "validation", "test", "dev")
_DOCUMENTS = 10


def overrides_for(
    task: str,
    folder: Path,
) -> dict[str, Any]:
    """Write a task's documents, other ones in each split, and return what reads them."""
    rows = TASKS[task][1]
    files = {}
    for start, split in enumerate(_SPLITS):
        path = folder / f"{split}.jsonl"
        numbers = range(20 * start, 20 * start + _DOCUMENTS)
        path.write_text("".join(json.dumps(rows(n)) + "\n" for n in numbers))
        files[split] = str(path)
    return {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files},
    }


def rated(
    context: str,
    continuation: str,
) -> tuple[float, bool]:
    """Return a log-likelihood and whether it is greedy, by the texts alone."""
    digest = hashlib.sha256(f"{context}|{continuation}".encode()).digest()
    return -1 - int.from_bytes(digest[:2], "big") / 4096, digest[2] % 2 == 0


def answered(
    prompt: str,
    answers: list[str],
) -> str:
    """Return one of the answers, by the prompt alone."""
    return answers[hashlib.sha256(prompt.encode()).digest()[0] % len(answers)]
