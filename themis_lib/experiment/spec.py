"""Experiments in YAML: loading, overriding and explaining what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from themis_lib.errors import ConfigError, InputError, nearest

M = TypeVar("M", bound=BaseModel)
_UNION_MEMBERS = {"Dataset", "DatasetFile", "HubDataset"}


def load_spec(
    path: str | Path,
    *,
    overrides: Iterable[str] = (),
) -> dict[str, Any]:
    """The content of an experiment file with overrides
    (`generation.prompt_spec.prefix=…`) applied.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        place = "" if Path(path).is_absolute() else f" from {Path.cwd()}"
        raise ConfigError(
            f"experiment {str(path)!r} cannot be read{place}: {error}"
        ) from None
    spec = parse_yaml(text, where=str(path))
    if not isinstance(spec, dict):
        raise ConfigError(
            f"{path}: an experiment is a mapping with `generation` and `datasets`"
        )
    for override in overrides:
        apply_override(spec, override)
    return spec


def parse_yaml(
    text: str,
    *,
    where: str,
) -> Any:
    """The value of a YAML text. Raises `ConfigError` with file and line."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (
        yaml.YAMLError,
        ValueError,
    ) as error:  # a date that does not exist is a ValueError
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise ConfigError(f"{place}: not YAML: {problem}") from None


def apply_override(
    spec: dict[str, Any],
    override: str,
) -> None:
    """Set one value by its dotted path; list items by number (`datasets.0.limit=10`)."""
    path, equals, text = override.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"override {override!r}: write key.path=value")
    target: Any = spec
    *parents, last = path.strip().split(".")
    for part in parents:
        at = _item_index(target, part, override)
        held = target[at] if isinstance(target, list) else target.get(at)
        if not isinstance(held, (dict, list)):
            target[at] = {"use": held} if isinstance(held, str) else {}
        target = target[at]
    target[_item_index(target, last, override)] = parse_yaml(
        text, where=f"override {override!r}"
    )


def _item_index(
    target: Any,
    part: str,
    override: str,
) -> Any:
    if not isinstance(target, list):
        return part
    if not re.fullmatch(r"\d+", part) or int(part) >= len(target):
        raise ConfigError(
            f"override {override!r}: {part!r} is not one of the {len(target)} items, counted from 0"
        )
    return int(part)


def experiment_from_spec(
    model: type[M],
    spec: Mapping[str, Any],
    *,
    where: str,
) -> M:
    """A model from plain data. Raises `ConfigError` with one line for the first thing
    that is wrong.
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
    problems = sorted(
        error.errors(),
        key=lambda item: (item["type"] != "extra_forbidden", -len(item["loc"])),
    )
    outside = [problem for problem in problems if _union_at(problem["loc"]) is None]
    first = outside[0] if outside else _likely_problem(problems)
    place = _place_text(first["loc"])
    if isinstance(first.get("ctx", {}).get("error"), InputError):
        return str(first["ctx"]["error"])
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, first["loc"][:-1])
        return f"unknown setting {place!r}; {nearest(str(first['loc'][-1]), known)}"
    if first["type"] == "missing":
        return f"the setting {place!r} is missing"
    return (
        f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}; got {first['input']!r}"
    )


def _likely_problem(problems: list[Any]) -> Any:
    """Of the problems of the first union that fits no member, the one to tell.

    It is a problem of the member whose own field is there (`path` makes a
    `DatasetFile`). Where no member's is, it is what none of them knows, or that one of
    those fields is missing.
    """
    union = min(problem["loc"][: _union_at(problem["loc"])] for problem in problems)
    members: dict[str, list[Any]] = {}
    for problem in problems:
        if problem["loc"][: len(union)] == union:
            members.setdefault(
                _union_member(problem["loc"][len(union)]) or "", []
            ).append(problem)
    lacking = {
        name: _fields_of(found, "missing", len(union))
        for name, found in members.items()
    }
    shared: set[str] = set.intersection(*lacking.values())
    own = {name: fields - shared for name, fields in lacking.items()}
    meant = [found for name, found in members.items() if not own[name]]
    if meant:
        return min(meant, key=len)[0]
    unknown = set.intersection(
        *(
            _fields_of(found, "extra_forbidden", len(union))
            for found in members.values()
        )
    )
    if unknown:
        return {"type": "extra_forbidden", "loc": (*union, min(unknown))}
    choices = ", ".join(repr(field) for field in sorted(set.union(*own.values())))
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
    """The fields of a union's member, which stand at one depth, that have a problem of
    one kind.
    """
    return {
        item["loc"][-1]
        for item in problems
        if item["type"] == kind and len(item["loc"]) == depth + 2
    }


def _union_at(loc: tuple[int | str, ...]) -> int | None:
    return next((at for at, part in enumerate(loc) if _union_member(part)), None)


def _union_member(part: int | str) -> str | None:
    """The member of a union that a part of a location names: `Dataset`, or
    `function-after[…, Dataset]`.
    """
    name = str(part).rstrip("]").rpartition(" ")[2]
    return name if name in _UNION_MEMBERS else None


def _place_text(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not _union_member(part):
            text += f".{part}" if text else part
    return text


def _fields_at(
    model: type[BaseModel],
    loc: tuple[int | str, ...],
) -> list[str]:
    current: Any = model
    for part in loc:
        member = [
            item for item in _models_in(current) if item.__name__ == _union_member(part)
        ]
        if member:
            current = member[0]
            continue
        for candidate in _models_in(current):
            if part in candidate.model_fields:
                current = candidate.model_fields[part].annotation
    return sorted(
        {name for candidate in _models_in(current) for name in candidate.model_fields}
    )


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for item in get_args(annotation) for model in _models_in(item)]
