"""Experiments in YAML: loading, overriding and explaining what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from themis_lib.errors import ConfigError, InputError, nearest

M = TypeVar("M", bound=BaseModel)
_UNION_TAGS = {"Dataset", "DatasetFile", "HubDataset"}


def load_spec(path: str | Path, *, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """The content of an experiment file with overrides (`generation.prompt_spec.prefix=…`) applied."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"experiment {str(path)!r} cannot be read: {error}") from None
    spec = parse_yaml(text, where=str(path))
    if not isinstance(spec, dict):
        raise ConfigError(f"{path}: an experiment is a mapping with `generation` and `datasets`")
    for override in overrides:
        apply_override(spec, override)
    return spec


def parse_yaml(text: str, *, where: str) -> Any:
    """The value of a YAML text. Raises `ConfigError` with file and line."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        raise ConfigError(f"{place}: not YAML: {getattr(error, 'problem', None) or error}") from None


def apply_override(spec: dict[str, Any], override: str) -> None:
    """Set one value by its dotted path; list items by number (`datasets.0.limit=10`)."""
    path, equals, text = override.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"override {override!r}: write key.path=value")
    target: Any = spec
    *parents, last = path.strip().split(".")
    for part in parents:
        if isinstance(target, dict) and not isinstance(target.get(part), (dict, list)):
            target[part] = {"use": target[part]} if isinstance(target.get(part), str) else {}
        target = target[_index(target, part, override)]
    target[_index(target, last, override)] = parse_yaml(text, where=f"override {override!r}")


def _index(target: Any, part: str, override: str) -> Any:
    if not isinstance(target, list):
        return part
    if not re.fullmatch(r"\d+", part) or int(part) >= len(target):
        raise ConfigError(f"override {override!r}: {part!r} is not one of the {len(target)} items, counted from 0")
    return int(part)


def experiment_from_spec(model: type[M], spec: Mapping[str, Any], *, where: str) -> M:
    """A model from plain data. Raises `ConfigError` with one line for the first thing that is wrong."""
    try:
        return model.model_validate(spec)
    except InputError:
        raise
    except ValidationError as error:
        raise ConfigError(f"{where}: {_explain(model, error)}") from None


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    problems = sorted(error.errors(), key=lambda item: (item["type"] != "extra_forbidden", -len(item["loc"])))
    relevant = _likely(problems)
    first = relevant[0]
    place = _place(first["loc"])
    if isinstance(first.get("ctx", {}).get("error"), InputError):
        return str(first["ctx"]["error"])
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, first["loc"][:-1])
        return f"unknown setting {place!r}; {nearest(str(first['loc'][-1]), known)}"
    if first["type"] == "missing":
        return f"the setting {place!r} is missing"
    return f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}; got {first['input']!r}"


def _likely(problems: list[Any]) -> list[Any]:
    """The problems of the member of a union that the input comes closest to: the one with the fewest."""
    members: dict[Any, list[Any]] = {}
    for problem in problems:
        tag = next((part for part in problem["loc"] if part in _UNION_TAGS), None)
        members.setdefault(tag, []).append(problem)
    tagged = {tag: found for tag, found in members.items() if tag is not None}
    if members.get(None):
        return members[None]
    return min(tagged.values(), key=len) if tagged else problems


def _place(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part not in _UNION_TAGS:
            text += f".{part}" if text else part
    return text


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    current: Any = model
    for part in loc:
        if isinstance(part, int):
            continue
        options = [item for item in _models_in(current) if item.__name__ == part] if part in _UNION_TAGS else []
        if options:
            current = options[0]
            continue
        for candidate in _models_in(current):
            if part in candidate.model_fields:
                current = candidate.model_fields[part].annotation
    return sorted({name for candidate in _models_in(current) for name in candidate.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, list):
        return [model for item in get_args(annotation) for model in _models_in(item)]
    return []
