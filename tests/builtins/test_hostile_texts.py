"""Texts that make careless regular expressions take the square of their length.

What the library's own patterns read is whatever a model writes.
"""

from __future__ import annotations

import time

import pytest

from tests.support.golden_builtins import PARSE
from themis_lib.builtins.math_texts import as_latex, without_marks
from themis_lib.builtins.math_words import words
from themis_lib.builtins.parsers import (
    ChoiceLetter,
    JsonPath,
    MathAnswer,
    Number,
    Text,
)
from themis_lib.builtins.squad_metrics import normalize_answer
from themis_lib.builtins.text_forms import folded
from themis_lib.builtins.token_overlap import token_overlap
from themis_lib.builtins.verdicts import VerdictForm
from themis_lib.core.models import GenerationResult

CHARACTERS = 30_000
#: What is linear takes a small part of it, and what takes the square many times as long.
MOST_CPU_S = 4.0
#: Each is repeated up to the length of the text.
UNITS = [
    *("a", "1", " ", "\n", "*", "_", "$", "(", "[", "{", "\\", "`", ".", "-", "²", "✓"),
    *("1,", "1,1", "1,111,", "1.", "1/", "1 1/", "2^10", "1e1", "1 × 10^", "- ", "(- "),
    *("\\frac", "\\frac{1", "½", "1\\,", "\\text{", "\\boxed", "\\boxed{", "\\boxed "),
    *(
        "#### ",
        "A: \n",
        "answer is ",
        "Answer: ",
        "option: ",
        "choice: ",
        "correct a: ",
    ),
    *("the option is the ", "A or ", "A and B ", "B is not ", "so, ", "I choose "),
    *("**A** ", "**A", "__a ", "A) A) ", "> B", "\n> > ", "(B) ", "```", "```json\n"),
    *(
        '{"a":',
        "[1,",
        '["',
        "[{",
        "{}",
        "[]",
        "[[[[$",
        "no ",
        "it is ",
        "a, ",
        " and a",
    ),
    *("```{", "respuesta", "\nQ: what of it", "Question: a\n", "\nUser: a. b"),
    *("\u200b", "ＡＡ", "e\u0301", "i\u0307", "北", "√(", "1 000 ", "a an the "),
]
TEXTS = {
    **{unit: (unit * CHARACTERS)[:CHARACTERS] for unit in UNITS},
    "deep lists": "[" * 900 + "1," * (CHARACTERS // 2) + "x",
    "deep objects": '{"a":' * 900 + "1" * CHARACTERS + "x",
    "lists, each deep": ("[" * 900 + "$") * (CHARACTERS // 901),
    "a gap behind a marker": "answer is" + " " * CHARACTERS + "!",
    "a hedge behind a marker": "answer is " + "the " * (CHARACTERS // 4),
    "space behind an option": "B" + " " * CHARACTERS,
    "lines behind an option": "B" + "\n" * CHARACTERS,
    "space behind a question": "So\nQuestion" + " " * CHARACTERS + "x",
    "a channel without its message": "<|channel|>" + "a" * CHARACTERS,
    "a number behind space": " " * CHARACTERS + "1",
    "an open box": "\\boxed{" * (CHARACTERS // 14) + "}" * (CHARACTERS // 14),
}
VERDICT = VerdictForm("verdict", ("yes", "no"), explain=False)


def read_verdict(text):
    with pytest.raises(ValueError, match="unreadable verdict"):
        VERDICT.read(text)


def parsing(parser):
    return lambda text: parser.parse(GenerationResult(final_output=text), PARSE)


READERS = {
    "text": parsing(Text()),
    "number": parsing(Number()),
    "choice_letter": parsing(ChoiceLetter()),
    "math_answer": parsing(MathAnswer()),
    "json_path": parsing(JsonPath(path="a.b")),
    "verdict": read_verdict,
    "mathematics": lambda text: as_latex(without_marks(text)),
    "words": words,
    "folded": folded,
    "f1": lambda text: token_overlap(text, "the cat"),
    "squad": normalize_answer,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_time_grows_with_the_length_of_a_text(name):
    """And not with its square, whatever the text repeats."""
    slow = {}
    for what, text in TEXTS.items():
        for ending in ("", "!\nA"):
            began = time.process_time()
            READERS[name](text + ending)
            took = time.process_time() - began
            if took > MOST_CPU_S:
                slow[what] = took

    assert {} == slow
