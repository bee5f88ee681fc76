"""The page of every setting that an experiment's file may have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from themis_lib.core.experiment_spec import ExperimentSpec
from tools.reference.markdown import code, docstring, meaning, page, table
from tools.reference.type_names import type_name

#: The sections of an experiment that no fingerprint covers.
_RUNTIME = ("runtime", "storage", "cost", "name", "about")
#: What changes no row of a stage, but the summary, or what people read.
_SUMMARY = ("evaluation.slices", "evaluation.agreement", "evaluation.statistics")
_INTRODUCTION = """\
An experiment is a YAML file. An unknown key, a wrong type or a missing file is refused
before anything is generated, with the place and the nearest valid choice.

*Identity* says what a change of the setting costs: `rows` is part of the fingerprint of
a stage, so that its rows are computed again; `data` chooses cases, and cases that were
there before cost nothing; `summary` computes the summary anew, which takes
milliseconds; `runtime` changes no result at all.
[What an edit costs](../concepts/what-an-edit-costs.md) has the numbers.

A component is a name (`builtin/exact_match`, `my_module:MyMetric`) or a mapping with
its settings: `{use: builtin/regex, id: year, pattern: '\\d{4}'}`. `id` is what it is
called in tables. [Components](components.md) lists those that are built in. A value
`${NAME}` is read from the environment when the experiment runs; literal credentials are
refused."""
_OVERRIDES = """\
Any setting can be replaced on the command line by its path, items of lists by their
number:

```console
$ themis run experiment.yaml generation.candidate_policy.num_samples=5 runtime.retries=0 --plan
…
```

`matrix:` makes one experiment for each combination of settings, by the same paths:
[Matrices](../guides/matrix.md)."""
_EXAMPLE = {
    "name": "sums",
    "generation": {
        "generator": {"use": "builtin/demo_generator"},
        "prompt_spec": {"instructions": "Add the numbers."},
        "candidate_policy": {"num_samples": 3},
        "reducer": "builtin/majority_vote",
    },
    "evaluation": {
        "parsers": ["builtin/number"],
        "metrics": [
            "builtin/numeric_match",
            {"use": "builtin/numeric_match", "id": "close", "abs_tol": 1.0},
        ],
        "slices": ["digits"],
        "statistics": {"no_answer": "zero", "interval": "bootstrap"},
    },
    "datasets": [
        {
            "dataset_id": "sums",
            "cases": [
                {
                    "case_id": "a",
                    "input": "2+2",
                    "expected_output": "4",
                    "metadata": {"digits": 1},
                }
            ],
        }
    ],
    "storage": {"store": "results"},
    "runtime": {"max_concurrency": 8, "timeout_s": 60},
    "cost": {"max_cost": 5.0},
    "identity": {"libraries": "scoring"},
}


def configuration_page() -> str:
    """Return the page."""
    example = yaml.safe_dump(_EXAMPLE, sort_keys=False, allow_unicode=True)
    sections = [_section(paths, model) for model, paths in _places().items()]
    return page(
        "Configuration",
        _INTRODUCTION,
        "## An example with every section",
        f'```yaml title="experiment.yaml"\n{example}```',
        _OVERRIDES,
        *sections,
    )


def _places() -> dict[type[BaseModel], list[str]]:
    """Return where each model is, its shortest path first; in the order of those."""
    found: dict[type[BaseModel], list[str]] = {}
    for path, model in sections_of(ExperimentSpec):
        if path not in found.setdefault(model, []):
            found[model].append(path)
    for paths in found.values():
        paths.sort(key=lambda path: path.count("."))
    order = [path for path, _ in sections_of(ExperimentSpec)]
    ordered = sorted(found.items(), key=lambda item: order.index(item[1][0]))
    return dict(ordered)


def sections_of(
    model: type[BaseModel], path: str = ""
) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield each model of an experiment behind its path, from the outside in."""
    yield path, model
    for name, field in model.model_fields.items():
        inner = f"{path}.{name}" if path else name
        for found, suffix in _models_in(field.annotation):
            yield from sections_of(found, inner + suffix)


def _models_in(
    annotation: Any, suffix: str = ""
) -> Iterator[tuple[type[BaseModel], str]]:
    """Yield the models in an annotation, with what leads to each from its setting."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, suffix
        return
    is_container = bool(get_args(annotation)) and hasattr(annotation, "__origin__")
    names = {"list": "[]", "dict": ".<name>", "Sequence": "[]"}
    origin = getattr(getattr(annotation, "__origin__", None), "__name__", "")
    for item in get_args(annotation):
        added = names.get(origin, "") if is_container else ""
        yield from _models_in(item, suffix + added)


def _section(paths: list[str], model: type[BaseModel]) -> str:
    path, *others = paths
    rows = []
    for name, field in model.model_fields.items():
        place = f"{path}.{name}" if path else name
        rows.append(
            (
                code(name),
                _type_of(field),
                _default_of(field),
                _identity_of(place),
                meaning("configuration", model, name),
            )
        )
    title = f"## `{path}`: {model.__name__}" if path else "## The file"
    header = ("setting", "type", "default", "identity", "meaning")
    parts = [title, docstring(model)]
    if others:
        parts.append(f"Also at {', '.join(map(code, others))}.")
    return "\n\n".join([*parts, table(header, rows)])


def _type_of(field: FieldInfo) -> str:
    name = type_name(field.annotation, tuple(field.metadata))
    # In mappings, `any` is any value; by itself or in a list it is a component.
    return {"any": "component", "list of any": "list of components"}.get(name, name)


def _default_of(field: FieldInfo) -> str:
    """Return a default as YAML writes it; "required" without one."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "its defaults"
    return code(yaml_text(value))


def yaml_text(value: Any) -> str:
    """Return a value in one line of YAML.

    >>> yaml_text(None), yaml_text([]), yaml_text("a"), yaml_text(" ")
    ('null', '[]', 'a', '" "')
    """
    # In quotes, so that spaces and ends of lines can be seen.
    if (isinstance(value, str) and value != " ".join(value.split())) or value == "":
        return json.dumps(value)
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True)
    return text.removesuffix("\n...\n").strip()


def _identity_of(path: str) -> str:
    """Return what a change of a setting costs."""
    top = path.partition(".")[0].partition("[")[0]
    if top in _RUNTIME:
        return "runtime"
    if top == "datasets":
        return "data"
    if path.startswith(_SUMMARY):
        return "summary"
    return "rows"
