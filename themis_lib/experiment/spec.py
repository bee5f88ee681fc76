"""Experiments in YAML: loading, overrides, and explanations of what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import copy
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from themis_lib.catalog.tasks import load_task
from themis_lib.errors import ConfigError, InputError, nearest
from themis_lib.experiment.data_file import use_data
from themis_lib.experiment.model_shorthand import (
    SHORTHANDS,
    drop_named,
    expand_shorthands,
)

M = TypeVar("M", bound=BaseModel)
# Messages speak of datasets, not of the members of the union that they are.
_UNION_MEMBERS = {"Dataset", "DatasetFile", "HubDataset", "LmEvalDataset"}
#: The setting that names a dataset, of whatever kind it is.
_NAME = "dataset_id"
#: How the value of an override begins that is not taken as text: a list, a mapping, a
#: quoted text, a tag.
_YAML_STARTS = ("[", "{", "'", '"', "!!")


def experiment_file(name: str | Path) -> Path:
    """Return the file of an experiment, or of the catalogue's task of that name.

    A file takes precedence. What looks like a path is one. Raise `ConfigError`, with the
    nearest task, for a name that is neither a file nor a task.
    """
    path = Path(name)
    if path.is_file() or path.suffix or path.name != str(name):
        return path
    try:
        return load_task(str(name)).path
    except ConfigError as error:
        raise ConfigError(
            f"no file {str(name)!r} in {Path.cwd()}, and {error}"
        ) from None


def load_spec(
    path: str | Path,
    *,
    overrides: Iterable[str] = (),
    data: str | None = None,
) -> dict[str, Any]:
    """Return the content of an experiment file with overrides applied.

    In place of a file, `path` may name a task of the catalogue. Raise `ConfigError` for a
    file that cannot be read and for an override that cannot be applied; see
    `apply_overrides`.
    """
    spec = read_spec(path)
    apply_overrides(spec, overrides, data=data, where=str(path))
    return spec


def read_spec(path: str | Path) -> dict[str, Any]:
    """Return the content of an experiment's file, or of a task's, as it is written.

    Raise `ConfigError` for a file that cannot be read.
    """
    try:
        text = experiment_file(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        # A relative path is looked for in the working directory: say which.
        place = "" if Path(path).is_absolute() else f" from {Path.cwd()}"
        raise ConfigError(
            f"experiment {str(path)!r} cannot be read{place}: {error}"
        ) from None
    spec = parse_yaml(text, where=str(path))
    if not isinstance(spec, dict):
        raise ConfigError(
            f"{path}: an experiment is a mapping with `generation` and `datasets`"
        )
    return spec


def apply_overrides(
    spec: dict[str, Any],
    overrides: Iterable[str],
    *,
    where: str,
    data: str | None = None,
) -> None:
    """Apply overrides, written `generation.prompt_spec.prefix=…`, to an experiment.

    `model=…` and `judge=…` are shorthands for the generator and the judge; the others
    are for what they name, in any order. `data` is a file to evaluate in place of the
    experiment's own data.
    """
    settings: list[str] = []
    for override in overrides:
        name = override.partition("=")[0].strip()
        if name not in SHORTHANDS:
            settings.append(override)
            continue
        drop_named(spec, name)
        apply_override(spec, override)
    expand_shorthands(spec, where=where)
    if data is not None:
        use_data(spec, data, where=where)
    for override in settings:
        apply_override(spec, override)


def parse_yaml(
    text: str,
    *,
    where: str,
) -> Any:
    """Return the value of a YAML text. Raise `ConfigError` with file and line."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        # A date that does not exist is a ValueError, without a mark.
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        problem = getattr(error, "problem", None) or error
        # YAML's messages have several lines.
        one_line = " ".join(str(problem).split())
        raise ConfigError(f"{place}: not YAML: {one_line}") from None


def refuse_repeated_keys(
    path: str | Path,
    section: str,
) -> None:
    """Raise `ConfigError` if a section of a YAML file has a key twice in one mapping.

    YAML's loader would silently keep the last of them.
    """
    import yaml

    text = Path(path).read_text(encoding="utf-8")
    root: Any = yaml.compose(text, yaml.SafeLoader)
    waiting: list[Any] = []
    for key, value in root.value:
        if key.value == section:
            waiting.append(value)
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            names: set[str] = set()
            for key, value in node.value:
                # The keys of templates and prompts are text; others name themselves.
                name = str(key.value)
                if name in names:
                    line = key.start_mark.line + 1
                    raise ConfigError(
                        f"{path}:{line}: {section}: {name!r} is there twice; "
                        "give each another name"
                    )
                names.add(name)
                waiting.append(value)


def apply_override(
    spec: dict[str, Any],
    override: str,
) -> None:
    """Set one value by its dotted path; list items by number (`datasets.0.limit=10`)."""
    path, equals, text = override.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"override {override!r}: write key.path=value")
    value = _override_value(text, override)
    set_setting(spec, path.strip(), value, where=f"override {override!r}")


def set_setting(
    spec: dict[str, Any],
    path: str,
    value: Any,
    *,
    where: str,
) -> None:
    """Set one value by its dotted path, as an override does.

    Raise `ConfigError`, which begins with `where`, for an item that a list lacks.
    """
    target: Any = spec
    *parents, last = path.split(".")
    for part in parents:
        position = _position_in(target, part, where)
        held = target[position] if isinstance(target, list) else target.get(position)
        if isinstance(held, str):
            # A component given by its name alone gets parameters.
            target[position] = {"use": held}
        elif isinstance(held, (dict, list)):
            # An anchor of YAML may have the same section elsewhere, which stays as it is.
            target[position] = copy(held)
        else:
            # A section that is missing, or has no value, begins empty.
            target[position] = {}
        target = target[position]
    target[_position_in(target, last, where)] = value


def _override_value(
    text: str,
    override: str,
) -> Any:
    """Return the value that an override sets.

    A list, a mapping or a quoted text is YAML, and so is a number, a boolean or null.
    Any other text is taken as it is: as YAML, a prompt that ends in a colon would be a
    mapping, and one with a `#` would lose its end.
    """
    stripped = text.strip()
    # YAML has no mapping as a key, which `{{` would begin.
    if stripped.startswith(("{{", "{%")):
        return stripped
    if stripped.startswith(_YAML_STARTS) or "\n" in stripped:
        return parse_yaml(text, where=f"override {override!r}")
    try:
        value = parse_yaml(text, where="override")
    except ConfigError:
        return stripped
    is_comment = value is None and stripped.startswith("#")
    return stripped if is_comment or isinstance(value, (str, list, dict)) else value


def _position_in(
    target: Any,
    part: str,
    where: str,
) -> Any:
    """Return the key, or in a list the index, that a part of a dotted path names."""
    if not isinstance(target, list):
        return part
    # An index counts from 0; -1 for the last item would be a typing error.
    is_number = re.fullmatch(r"\d+", part)
    if not is_number or int(part) >= len(target):
        raise ConfigError(
            f"{where}: {part!r} is not one of the {len(target)} items, counted from 0"
        )
    return int(part)


def experiment_from_spec(
    model: type[M],
    spec: Mapping[str, Any],
    *,
    where: str,
) -> M:
    """Return a model from plain data.

    Raise `ConfigError` with one line for the first thing that is wrong.
    """
    try:
        return model.model_validate(spec)
    except InputError:
        raise
    except ValidationError as error:
        raise ConfigError(f"{where}: {_explain_error(model, error)}") from None


def _explain_error(
    model: type[BaseModel],
    error: ValidationError,
) -> str:
    """Return what is wrong in one line: the first problem, and how to solve it."""
    problems: list[Any] = sorted(error.errors(), key=_rank)
    # A union reports problems for each of its members, most of which were not meant.
    outside = [problem for problem in problems if _union_at(problem["loc"]) is None]
    first = outside[0] if outside else _likely_problem(problems)
    place = _place_text(first["loc"])
    # The library's own validators say all of it themselves.
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return str(cause)
    if first["type"] == "extra_forbidden":
        *parents, name = first["loc"]
        known = _fields_at(model, parents)
        return f"unknown setting {place!r}; {nearest(str(name), known)}"
    if first["type"] == "missing":
        return f"the setting {place!r} is missing"
    # The message follows a colon.
    message = f"{first['msg'][:1].lower()}{first['msg'][1:]}"
    return f"{place}: {message}; got {first['input']!r}"


def _rank(problem: Any) -> tuple[bool, int]:
    # A misspelt setting explains others that seem to be missing; deeper ones are closer
    # to what was meant.
    return problem["type"] != "extra_forbidden", -len(problem["loc"])


def _likely_problem(problems: list[Any]) -> Any:
    """Return the problem to tell, if all are within unions and the first fits no member.

    It is a problem of the member whose distinctive field is present: `path` makes a
    `DatasetFile`. If no such field is present, it is a setting that no member knows,
    or else that one of those fields is needed.
    """
    union = min(problem["loc"][: _union_at(problem["loc"])] for problem in problems)
    depth = len(union)
    members: dict[str, list[Any]] = {}
    for problem in problems:
        if problem["loc"][:depth] == union:
            name = _union_member(problem["loc"][depth]) or ""
            members.setdefault(name, []).append(problem)
    missing: dict[str, set[str]] = {}
    unknown: dict[str, set[str]] = {}
    for name, found in members.items():
        missing[name] = _fields_of(found, "missing", depth)
        unknown[name] = _fields_of(found, "extra_forbidden", depth)
    # A field that all members lack does not tell them apart, and nor does the name.
    shared = {_NAME, *set.intersection(*missing.values())}
    own_fields = {name: fields - shared for name, fields in missing.items()}
    fitting = [found for name, found in members.items() if not own_fields[name]]
    # The one with the fewest problems is the one that was meant.
    if fitting:
        return min(fitting, key=len)[0]
    unknown_to_all = set.intersection(*unknown.values())
    if unknown_to_all:
        return {"type": "extra_forbidden", "loc": (*union, min(unknown_to_all))}
    choices = ", ".join(map(repr, sorted(set.union(*own_fields.values()))))
    return {
        "type": "union",
        "loc": union,
        "msg": f"one of {choices} is needed",
        "input": problems[0]["input"],
    }


def _fields_of(
    problems: list[Any],
    kind: str,
    depth: int,
) -> set[str]:
    """Return the fields of a union's member that have a problem of one kind.

    `depth` is the length of the union's location: the member and its field are behind
    it.
    """
    fields = set()
    for item in problems:
        if item["type"] == kind and len(item["loc"]) == depth + 2:
            fields.add(item["loc"][-1])
    return fields


def _union_at(loc: tuple[int | str, ...]) -> int | None:
    """Return the position in a location at which a union's member is named, if any."""
    for position, part in enumerate(loc):
        if _union_member(part):
            return position
    return None


def _union_member(part: int | str) -> str | None:
    """Return the union's member that a part of a location names, if any.

    The part is `Dataset`, or `function-after[…, Dataset]` if it has a validator.
    """
    name = str(part).rstrip("]").rpartition(" ")[2]
    return name if name in _UNION_MEMBERS else None


def _place_text(loc: tuple[int | str, ...]) -> str:
    """Return a location as users write it: `datasets[0].path`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not _union_member(part):
            text += f".{part}" if text else part
    return text


def _fields_at(
    model: type[BaseModel],
    loc: list[int | str],
) -> list[str]:
    """Return the fields that are known at a location, sorted."""
    current: Any = model
    for part in loc:
        models = _models_in(current)
        # A location names the union's member that it goes through, which is no field.
        member = [item for item in models if item.__name__ == _union_member(part)]
        if member:
            current = member[0]
            continue
        # Items of lists and keys of mappings are no fields: the annotation stays.
        for candidate in models:
            if part in candidate.model_fields:
                current = candidate.model_fields[part].annotation
    names: set[str] = set()
    for candidate in _models_in(current):
        names.update(candidate.model_fields)
    return sorted(names)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models in an annotation, such as those of a union or a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    models: list[type[BaseModel]] = []
    for item in get_args(annotation):
        models += _models_in(item)
    return models
