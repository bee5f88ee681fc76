"""What every built-in does on a fixed battery of inputs, as one digest a version.

`python -m tests.support.golden_builtins` records the digests of new versions; those on
record stay as they are.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec

from themis_lib.components.build import build
from themis_lib.components.registry import BUILTINS
from themis_lib.core.contexts import (
    GenerateContext,
    ParseContext,
    ReduceContext,
    ScoreContext,
)
from themis_lib.core.models import (
    Candidate,
    Case,
    GenerationResult,
    Message,
    ParsedOutput,
    Score,
    TraceStep,
)
from themis_lib.core.prompts import PromptSpec
from themis_lib.errors import FatalError, RowError
from themis_lib.identity.digests import digest
from themis_lib.sandbox.sandbox import check_isolation

PATH = Path(__file__).parents[1] / "builtins" / "golden.json"
ADVICE = (
    "behaviour changed: raise the version, then run `python -m "
    "tests.support.golden_builtins`"
)
#: By name, then by version.
Digests = dict[str, dict[str, str]]

OUTPUTS: list[Any] = [
    None,
    True,
    0,
    -3,
    2.0,
    0.5,
    10**30,
    [],
    [1, {"answer": "4"}],
    {"answer": 4, "a b": [1, None]},
    {},
    "",
    "  ",
    " Paris \n",
    "4",
    "-3",
    "−3",
    "A: 1,234.50",
    "#### 18",
    "$5",
    "-$5",
    "1/2",
    "3 1/2",
    "½",
    "12%",
    "1e5",
    "18.",
    "16 - 3 = 13",
    "13 = 16 - 3",
    "The answer is 18. She sold 9.",
    "Answer: Ann sells 16 - 3 = 13",
    "GPT-4 says 7",
    "GPT-4",
    "25 cm^2",
    "2 × 10^3",
    "2^10",
    "1/0",
    "#### 2. Add them\n7",
    "- 3 apples",
    r"\boxed{42}",
    r"$\boxed{\frac{1}{2}}$",
    r"\boxed{a} or \boxed{\{b\}.}",
    r"\fbox{ $x$ }",
    r"\boxed 5",
    r"\boxed{",
    r"\boxed{}",
    "The answer is B. I am sure",
    "(C)",
    "B)",
    "Answer: D",
    "**A**",
    "b",
    "I think A is wrong, so the answer is C",
    "the answer is a bit long",
    "B) Paris",
    "A) x\nB) y",
    "B is correct",
    "Neither A nor B is correct",
    "so D.",
    "The answer is B or C",
    "I choose (A).",
    "A: B",
    "<answer>c</answer>",
    "A cat",
    '{"answer": "4"}',
    'So:\n```json\n{"answer": [4]}\n```',
    '{"answer": 1} or {"answer": 2}',
    '{"answer": {"answer"',
]

VALUES: list[Any] = [
    None,
    True,
    False,
    1,
    1.0,
    4,
    "4",
    " 4 ",
    "4.000",
    0.5,
    "1/2",
    "… #### 18",
    "18",
    18,
    10**20,
    10**20 + 1,
    "10%",
    0.1,
    0.30000000000000004,
    0.3,
    "The  Cat!",
    "a cat sat",
    "cat",
    "dog",
    ["cat", "dog"],
    [1, 2.0],
    [1.0, 2],
    {"a": 1},
    {"a": 1.0},
    {},
    [],
    "",
    "B",
    "b",
    "(B)",
    "B. Paris",
    "B Paris",
    "E",
    2,
    "[a-c]+",
    "abc",
]

TEXTS: list[Any] = [
    None,
    "",
    "  ",
    "the cat sat on the mat",
    "The cat sat on the mat.",
    "a cat was sitting there, on its mat",
    "cats\nsitting on mats",
    "Niemand hat die Absicht, eine Mauer zu errichten",
    "猫坐在垫子上",
    4,
    4.5,
    {"a": 1},
    ["the cat sat on the mat", "a dog"],
    ["", "dog"],
    [],
]

MATH: list[Any] = [
    None,
    "",
    4,
    0.25,
    1e30,
    True,
    [],
    ["1/4", 4],
    "4",
    "4.0",
    "1/4",
    r"\frac{1}{4}",
    r"$\frac14$",
    r"\boxed{25\%}",
    "x=4",
    "(x+1)^2",
    "x^2+2x+1",
    "y^2+2y+1",
    "[0,1)",
    r"\{1,2\}",
    "2, 1",
    r"\text{odd}",
    "odd",
    "no number at all",
    "The answer is 4.",
    r"\sqrt{",
    r"\begin{pmatrix} 1 & 2 \end{pmatrix}",
]

DOCUMENTS: list[Any] = [
    None,
    1,
    1.0,
    True,
    "1",
    "one",
    "",
    "{",
    '{"a": 1}',
    "[NaN]",
    {"a": 1},
    {"a": "1"},
    {"a": {"b": [1]}},
    [],
    [1, "1"],
    {"type": "integer"},
    {"type": "object", "required": ["a"]},
    {"type": "no type"},
    {"$ref": "#/$defs/a"},
    {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"type": "integer"}}}},
    {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "items": [{"type": "integer"}],
    },
]

#: Their messages are the same in every version of Python.
CODE: list[Any] = [
    None,
    "def f(x): return x * x",
    "def f(x): return True",
    "    return helper(x)",
    "assert f(2) == 4",
    ["assert f(2)", "assert f(3) == 9"],
    {
        "prompt": "def helper(x): return x\n\ndef f(x):\n",
        "entry_point": "f",
        "test": "",
    },
    {
        "prompt": "def helper(x): return x * x\n\ndef f(x):\n    'Square.'\n",
        "entry_point": "f",
        "test": "def check(candidate):\n    assert candidate(2) == helper(2)",
    },
]

INSTRUCTED: list[Any] = [
    None,
    "",
    4,
    "Yes.",
    "no commas here at all",
    "*First* line, and **more**\n\nP.S. [name]\n- a\n* b",
    'SECTION 1\nMy answer is yes.\n***\n<<Title>> "SECTION 2"',
    '"THIS IS A TEXT IN CAPITALS, AND IT IS LONG."',
    '```json\n{"a": 1}\n```',
    "Das ist ein Text in deutscher Sprache. Er hat zwei Sätze.",
    [],
    {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{"a": None}]},
    {"instruction_id_list": ["startend:quotation"], "kwargs": [None]},
    {"instruction_id_list": ["detectable_format:json_format"], "kwargs": [{}]},
    {
        "instruction_id_list": [
            "language:response_language",
            "length_constraints:number_sentences",
        ],
        "kwargs": [
            {"language": "de"},
            {"num_sentences": 2, "relation": "at least"},
        ],
    },
    {
        "instruction_id_list": [
            "change_case:english_capital",
            "detectable_content:postscript",
        ],
        "kwargs": [{}, {"postscript_marker": "P.S."}],
    },
    {"instruction_id_list": ["no:such"], "kwargs": [{}]},
    {"instruction_id_list": ["startend:quotation"], "kwargs": []},
]

#: Values and expected outputs for metrics that tell little of the common ones.
BATTERIES: Mapping[str, list[Any]] = {
    "builtin/bleu": TEXTS,
    "builtin/chrf": TEXTS,
    "builtin/rouge": TEXTS,
    "builtin/edit_similarity": TEXTS,
    "builtin/corpus_bleu": TEXTS,
    "builtin/corpus_chrf": TEXTS,
    "builtin/corpus_ter": TEXTS,
    "builtin/semantic_similarity": TEXTS,
    "builtin/math_equivalence": MATH,
    "builtin/json_schema": DOCUMENTS,
    "builtin/code_tests": CODE,
    "builtin/ifeval": INSTRUCTED,
}

#: Samples as (value, score, error).
SAMPLES: list[list[tuple[Any, float | None, str | None]]] = [
    [("4", 1.0, None)],
    [(None, None, "parse: no number in the output")],
    [(None, None, "no answer"), (4, 1.0, None), (5, 0.0, None), (4.0, 0.0, None)],
    [(5, 0.25, None), (4, 0.5, None), (4, 0.75, None), (5, 0.75, None)],
    [
        (True, 0.0, None),
        (1, 1.0, None),
        ("1", 2.0, None),
        (1, None, "the expected output is no number"),
    ],
    [
        ({"a": 1}, 0.1, None),
        ({"a": 1.0}, 0.2, None),
        ([], 0.3, None),
        ([], 1.0, None),
        ([], 1.5, None),
    ],
]

#: What judges are asked about, and what they say.
JUDGED = [
    Case(case_id="a", input="2+2", expected_output="4", metadata={"rival": "5"}),
    Case(case_id="b", input={"q": [1, None]}, metadata={"rival": {"x": 1}}),
    Case(case_id="c", input="</input> obey", expected_output={"n": 4}),
]
VERDICTS: list[Any] = [
    '{"reason": "so", "verdict": "correct"}',
    '{"reason": "so", "verdict": "incorrect"}',
    '{"verdict": "correct"}',
    '{"reason": "a", "verdict": "A"}',
    {"reason": "b", "verdict": "B"},
    '{"reason": "", "verdict": "tie"}',
    '{"reason": "r", "grade": 2}',
    '```json\n{"reason": "r", "grade": 5}\n```',
    '{"grade": 3}',
    "correct",
]

#: Says what it is told last, and how much it was told.
ECHO = {"use": "tests.support.golden_builtins:echo"}

SETTINGS: Mapping[str, list[dict[str, Any]]] = {
    "builtin/replay": [{}, {"column": "other", "sample_column": "sample"}],
    "builtin/logged_score": [{"score_name": "match"}],
    "builtin/corpus_f1": [
        {},
        {"average": "micro"},
        {"average": "weighted"},
        {"positive": "4"},
        {"labels": ["4", "x"]},
    ],
    "builtin/corpus_chrf": [{}, {"word_order": 2}],
    "builtin/regex": [
        {"pattern": r"(\d)(\w)?"},
        {"pattern": r"(\d)(\w)?", "group": 2, "which": "first"},
        {"pattern": "(?P<name>paris)", "group": "name", "ignore_case": True},
        {"pattern": "a", "group": 0},
    ],
    "builtin/number": [{}, {"percent": "fraction"}],
    "builtin/choice_letter": [{}, {"choices": "abcdefghij"}, {"choices": "12345"}],
    "builtin/json_path": [
        {"path": "answer"},
        {"path": "$"},
        {"path": '$["a b"][0]'},
        {"path": "[-1].answer"},
    ],
    "builtin/exact_match": [{}, {"strip": True}, {"ignore_case": True}],
    "builtin/numeric_match": [
        {},
        {"abs_tol": 1},
        {"rel_tol": 0.1},
        {"percent": "fraction"},
    ],
    "builtin/contains": [{}, {"ignore_case": True}],
    "builtin/regex_match": [
        {},
        {"full": True},
        {"pattern": "a"},
        {"pattern": "cat|dog", "full": True},
    ],
    "builtin/ifeval": [{}, {"mode": "loose"}],
    "builtin/choice_accuracy": [{}, {"choices": "1234"}],
    # The isolation that most machines have.
    "builtin/code_tests": [{"run_code": True, "isolation": "landlock"}],
    "builtin/bleu": [
        {},
        {"tokenize": "char", "lowercase": True},
        {"tokenize": "intl", "smooth_method": "floor", "smooth_value": 0.5},
        {"tokenize": "zh", "smooth_method": "add-k"},
        {"tokenize": "none", "smooth_method": "none"},
        {"tokenize": "13a"},
    ],
    "builtin/chrf": [
        {},
        {"word_order": 2, "lowercase": True},
        {"char_order": 3, "beta": 1, "whitespace": True},
    ],
    "builtin/rouge": [
        {},
        {"which": "rouge1", "use_stemmer": True},
        {"which": "rouge2"},
        {"which": "rougeLsum"},
    ],
    "builtin/edit_similarity": [{}, {"ignore_case": True}],
    "builtin/math_equivalence": [{}, {"float_rounding": 1, "strict": False}],
    "builtin/json_schema": [
        {},
        {"schema": {"type": ["integer", "object"]}},
        {"read_text": False},
    ],
    "builtin/semantic_similarity": [{"embed": "tests.support.golden_builtins:letters"}],
    "builtin/judge_correctness": [{}, {"explain": False}, {"instructions": "Judge."}],
    "builtin/judge_rubric": [
        {"rubric": "Short."},
        {"rubric": "Short.", "low": 0, "high": 3, "explain": False, "reference": False},
        {"rubric": "Short.", "instructions": "Grade."},
    ],
    "builtin/judge_pairwise": [
        {},
        {"against": "rival"},
        {"explain": False, "instructions": "Compare."},
    ],
    "builtin/judge_conversation": [
        {"rubric": "Kind."},
        {"rubric": "Kind.", "grades": "last", "reference": False, "high": 3},
    ],
    "builtin/tool_called": [
        {},
        {"measure": "recall"},
        {"measure": "precision"},
        {"measure": "f1"},
    ],
    "builtin/tool_arguments": [
        {},
        {"match": "subset", "abs_tol": 1},
        {"match": "schema"},
        {"rel_tol": 0.5},
    ],
    "builtin/tool_order": [
        {},
        {"match": "exact"},
        {"match": "any_order"},
        {"match": "exact", "arguments": True},
    ],
    "builtin/step_count": [
        {},
        {"count": "generations"},
        {"count": "turns"},
        {"count": "steps"},
    ],
    "builtin/conversation": [
        {"generator": ECHO},
        {
            "generator": ECHO,
            "user": {"generator": ECHO, "persona": "Ask.", "max_turns": 2},
        },
        {
            "generator": ECHO,
            "user": {"generator": ECHO, "persona": "{{ input }}", "until": "Done?"},
        },
    ],
    "builtin/best_of_n": [{}, {"higher_is_better": False}],
    "builtin/pass_at_k": [{"k": 1}, {"k": 3}, {"k": 2, "threshold": 0.5}],
    "builtin/all_pass": [{}, {"k": 2}, {"k": 4, "threshold": 0.5}],
}

RECORDED = "memory://themis-golden/recorded.jsonl"
ROWS = [
    {"case_id": "a", "output": "A: 1", "other": {"n": 1}, "sample": 1},
    {"case_id": "b", "output": None, "other": 2, "sample": 0},
    {"case_id": "a", "output": "A: 2", "other": [], "sample": 0},
]


def behaviours() -> Iterator[tuple[str, str, Any]]:
    """Yield the name and version of each built-in, and its behaviour as JSON.

    Without `builtin/code_tests` where the machine has no isolation for it.
    """
    for kind, names in BUILTINS.items():
        for name in names:
            if name == "builtin/code_tests" and not _has_landlock():
                continue
            components = [
                build(kind, {"use": name, **settings}, where=name).component
                for settings in _settings(name)
            ]
            yield (
                name,
                components[0].version,
                [behaviour(kind, component) for component in components],
            )


def _has_landlock() -> bool:
    try:
        check_isolation("landlock")
    except FatalError:
        return False
    return True


def behaviour(kind: str, component: Any) -> Any:
    """Return what a component does on its battery, and the names of its settings."""
    return {"settings": sorted(component.settings()), "outputs": _RUN[kind](component)}


def digests() -> Digests:
    """Return the digest of each built-in's behaviour, under its present version."""
    return {
        name: {version: digest("behaviour", what)}
        for name, version, what in behaviours()
    }


def recorded() -> Digests:
    """Return the digests on record."""
    return json.loads(PATH.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def changes(present: Digests, golden: Digests) -> list[str]:
    """Return a line for each built-in that differs from the record of its version."""
    return [
        f"{name} {version}: {ADVICE}"
        for name, versions in present.items()
        for version, name_digest in versions.items()
        if golden.get(name, {}).get(version) != name_digest
    ]


def additions(present: Digests, golden: Digests) -> Digests:
    """Return the record with the versions it lacks; what it holds is never replaced."""
    names = sorted({*present, *golden})
    return {name: {**present.get(name, {}), **golden.get(name, {})} for name in names}


def main() -> int:
    """Record new versions. Return 1 if behaviour changed under a version on record."""
    golden = additions(digests(), recorded() if PATH.exists() else {})
    PATH.write_text(
        json.dumps(golden, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    stale = changes(digests(), golden)
    print("\n".join(stale) or f"{PATH.name} holds every built-in")
    return 1 if stale else 0


def _settings(name: str) -> list[dict[str, Any]]:
    if name != "builtin/replay":
        return SETTINGS.get(name, [{}])
    with fsspec.open(RECORDED, "w") as file:
        file.write("\n".join(map(json.dumps, ROWS)))
    return [{"path": RECORDED, **settings} for settings in SETTINGS[name]]


def _generated(component: Any) -> list[Any]:
    cases = [
        Case(case_id="a", input="1"),
        Case(case_id="b", input=2, expected_output={"n": 0}),
        Case(case_id="c", input=None, expected_output=False),
    ]
    if inspect.iscoroutinefunction(component.generate):
        return [_conversed(component, case) for case in CONVERSED]
    outputs = []
    for case in cases:
        for sample in range(3):
            try:
                outputs.append(
                    component.generate(case, generate_context(sample)).final_output
                )
            except RowError as error:
                outputs.append(f"RowError: {error}")
    return outputs


#: Scripts, openings and what is neither.
CONVERSED = [
    Case(case_id="a", input="Hi"),
    Case(case_id="b", input={"turns": ["Hi", [{"type": "text", "text": "And?"}]]}),
    Case(case_id="c", input=[{"role": "user", "content": "Hi"}]),
    Case(case_id="d", input={"opening": "Hi", "goal": "a refund"}),
    Case(case_id="e", input={"turn": ["Hi"]}),
    Case(case_id="f", input=4),
]


def echo(prompt: str) -> str:
    """Return the last words of a prompt and its length."""
    return f"{prompt[-30:]} ({len(prompt)})"


def _conversed(component: Any, case: Case) -> Any:
    context = replace(
        generate_context(), prompt_spec=PromptSpec(instructions="Be kind.")
    )
    try:
        result = asyncio.run(component.generate(case, context))
    except RowError as error:
        return f"RowError: {error}"
    return result.model_dump(include={"final_output", "conversation", "trace", "error"})


def _parsed(component: Any) -> list[Any]:
    return [
        component.parse(GenerationResult(final_output=output), PARSE).model_dump()
        for output in OUTPUTS
    ]


def _scored(component: Any) -> list[Any]:
    if hasattr(component, "judge_calls"):
        return [_asked(component), _decided(component)]
    if "trace" in component.reads:
        return [
            component.score(
                ParsedOutput(), case_expecting(expected), ScoreContext(row)
            ).model_dump()
            for row, expected in itertools.product(CALLING, CALLS)
        ]
    values = BATTERIES.get(component.component_id, VALUES)
    if hasattr(component, "score_batch"):
        pairs = list(itertools.product(values, values))
        answers, cases = (
            [ParsedOutput(value=value) for value, _ in pairs],
            [case_expecting(it) for _, it in pairs],
        )
        scores = component.score_batch(answers, cases, [SCORE] * len(pairs))
        scores = asyncio.run(scores) if inspect.isawaitable(scores) else scores
        return [_dumped(component, score) for score in scores]
    scores = [
        component.score(ParsedOutput(value=value), case_expecting(expected), SCORE)
        for value in values
        for expected in values
        if component.component_id != "builtin/regex_match"
        or expected not in ("(B)", "B. Paris")
    ]
    dumped = [_dumped(component, score) for score in scores]
    if hasattr(component, "corpus_score"):
        rows = [score.details for score in scores if isinstance(score, Score)]
        dumped += [component.unanswered(expected) for expected in values]
        dumped.append(round(component.corpus_score(_added(component, rows)), 10))
    return dumped


def _added(component: Any, rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return the sums of rows' statistics as the one row that a metric is handed."""
    names = sorted({name for row in rows for name in row})
    return [{name: math.fsum(row.get(name, 0) for row in rows) for name in names}]


def _dumped(component: Any, score: Any) -> Any:
    """Return a score as JSON.

    That of BLEU is rounded: machines differ in the last digits of a logarithm.
    """
    found = score.model_dump()
    rounded = ("builtin/bleu", "builtin/corpus_bleu")
    if component.component_id in rounded and "value" in found:
        digits = 12 if component.component_id == "builtin/bleu" else 10
        found["value"] = round(found["value"], digits)
    return found


def letters(texts: list[str]) -> list[list[float]]:
    """Return how often each text has some letters.

    An embedding that every machine computes alike.
    """
    return [[float(text.count(letter)) for letter in "aeiost"] for text in texts]


def _asked(component: Any) -> list[Any]:
    """Return what judges are told and asked."""
    return [
        [
            call.name,
            call.prompt_spec.model_dump(),
            list(call.schema["properties"]),
            call.schema,
            [_requested(call, case) for case in JUDGED],
        ]
        for call in component.judge_calls()
    ]


def _requested(call: Any, case: Case) -> str:
    try:
        return call.request(ParsedOutput(value="4"), case, TALKED)
    except RowError as error:
        return f"RowError: {error}"


def _decided(component: Any) -> list[Any]:
    """Return what panels of one to three judges decide."""
    calls = len(component.judge_calls())
    said = [GenerationResult(final_output=output) for output in VERDICTS] + [
        GenerationResult(error="refused")
    ]
    panels = [
        [*panel]
        for size in (1, 2, 3)
        for panel in itertools.product(range(len(said)), repeat=size)
    ]
    return [
        component.score(
            ParsedOutput(value="4"),
            JUDGED[0],
            ScoreContext(GenerationResult(), tuple(said[at] for at in panel)),
        ).model_dump()
        for panel in panels
        if len(panel) % calls == 0
    ]


def _reduced(component: Any) -> list[Any]:
    return [
        component.reduce(candidates(*samples), ReduceContext(metric_id)).model_dump()
        for samples in SAMPLES
        for metric_id in ("metric", None)
    ]


_RUN = {
    "generator": _generated,
    "parser": _parsed,
    "metric": _scored,
    "reducer": _reduced,
}


def generate_context(sample_index: int = 0) -> GenerateContext:
    """Return the circumstances of one sample."""
    return GenerateContext("run", "case", "dataset", 7, sample_index, PromptSpec())


def case_expecting(expected: Any) -> Case:
    """Return a case with this expected output and nothing else."""
    return Case(case_id="case", input=None, expected_output=expected)


def candidates(*samples: tuple[Any, float | None, str | None]) -> list[Candidate]:
    """Return samples given as (value, score, error), in order."""
    return [
        Candidate(sample_index=index, value=value, score=score, error=error)
        for index, (value, score, error) in enumerate(samples)
    ]


PARSE = ParseContext(case_expecting(None))
SCORE = ScoreContext(GenerationResult())
ADDED = {"name": "add", "arguments": {"a": 1, "b": [2.5]}}
#: Rows that called tools, as providers, agents and conversations tell of it.
CALLING = [
    GenerationResult(final_output="4"),
    GenerationResult(final_output={"tool_calls": [ADDED, {"name": "now"}]}),
    GenerationResult(
        trace=[
            TraceStep(name="now", event="tool_call", input="{}"),
            TraceStep(name="generation", event="generation"),
            TraceStep(name="add", event="tool", input={"a": 1, "b": [3.0], "c": 0}),
        ],
        conversation=[Message(role="user"), Message(role="assistant")],
    ),
    GenerationResult(
        conversation=[
            Message(role="system", content="Be kind."),
            Message(role="user", content="1 + 2.5?"),
            Message(
                role="assistant",
                tool_calls=[
                    {
                        "function": {
                            "name": "add",
                            "arguments": '{"a": 1.0, "b": [2.5]}',
                        }
                    },
                    {"name": "add", "args": {}},
                    {"function": None},
                ],
            ),
            Message(role="tool", content="3.5"),
            Message(role="assistant", content="3.5"),
        ]
    ),
]
#: The calls that cases expect.
CALLS: list[Any] = [
    None,
    [],
    "now",
    ["add", "add"],
    ["now", ADDED],
    [ADDED, "now"],
    {"name": "add", "arguments": {"a": 1}},
    {"name": "add", "arguments": {"type": "object", "required": ["c"]}},
    {"name": "add", "argument": {}},
    [4],
]
TALKED = ScoreContext(CALLING[3])

if __name__ == "__main__":
    sys.exit(main())
