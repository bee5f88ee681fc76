"""What an experiment's file names beside itself: data, recordings, models and modules.

A relative path and a module are looked for beside the file first, then from the working
directory. No path is part of an identity, so an experiment costs the same from anywhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from themis_lib.components.imports import import_from
from themis_lib.core.parts import is_own_form

#: The settings of built-in components that name a file.
_FILE_SETTINGS = {
    "builtin/replay": "path",
    "llama": "model",
    "llama_choice": "model",
}
#: Those that name a function or an object of a module.
_NAME_SETTINGS = (
    "use",
    "embed",
    "graph",
    "input_builder",
)
_COMPONENT_LISTS = ("parsers", "metrics", "judge_models")


def resolve_beside(
    spec: dict[str, Any],
    folder: Path,
    *,
    data: str | None = None,
) -> None:
    """Replace paths in an experiment's spec by those of the files beside it.

    `data` is a file that the spec itself does not name: of two, the one in the working
    directory is meant. Also make the modules beside it importable that its components
    name. Raise `ComponentError` if another module of such a name is in use already.
    """
    for dataset in [*_mappings(spec.get("datasets")), *_few_shot_data(spec)]:
        if data is None or dataset.get("path") != data or not Path(data).is_file():
            _resolve(dataset, "path", folder)
        _resolve_lm_eval_paths(dataset, folder)
        _resolve_cases(dataset, folder)
    modules = []
    for component in _components(spec):
        names = [component]
        if isinstance(component, dict):
            setting = _FILE_SETTINGS.get(str(component.get("use")))
            if setting is not None:
                _resolve(component, setting, folder)
            names = [component.get(name) for name in _NAME_SETTINGS]
        for name in names:
            if isinstance(name, str) and ":" in name:
                modules.append(name.partition(":")[0])
    import_from(folder, modules)


def _resolve(
    settings: dict[str, Any],
    name: str,
    folder: Path,
) -> None:
    """Replace a setting by the path of the file beside the experiment, if there is one."""
    path = settings.get(name)
    # The join of a URL or an absolute path would name something else.
    if not isinstance(path, str) or "://" in path or Path(path).is_absolute():
        return
    # A text that is too long for a path is said to be no file when it is opened.
    with contextlib.suppress(OSError):
        if path and (folder / path).is_file():
            settings[name] = str(folder / path)


def _resolve_cases(
    dataset: dict[str, Any],
    folder: Path,
) -> None:
    """Replace the files that cases of an experiment name by those beside it."""
    for case in _mappings(dataset.get("cases")):
        _resolve_parts(case.get("input"), folder)


def _resolve_parts(
    value: Any,
    folder: Path,
) -> None:
    """Replace the files that inputs name by those beside the experiment."""
    if isinstance(value, dict) and is_own_form(value):
        _resolve(value, "path", folder)
        return
    items = value if isinstance(value, list) else []
    if isinstance(value, dict):
        items = list(value.values())
    for item in items:
        _resolve_parts(item, folder)


def _resolve_lm_eval_paths(
    dataset: dict[str, Any],
    folder: Path,
) -> None:
    """Replace the folders and the local data of a task of lm-eval by those beside."""
    if "include_path" in dataset:
        dataset["include_path"] = _beside(dataset["include_path"], folder)
    overrides = dataset.get("overrides")
    options = overrides.get("dataset_kwargs") if isinstance(overrides, dict) else None
    if isinstance(options, dict) and "data_files" in options:
        options["data_files"] = _beside(options["data_files"], folder)


def _beside(
    paths: Any,
    folder: Path,
) -> Any:
    """Return a path, or those in a list or a mapping, as what is beside the experiment."""
    if isinstance(paths, list):
        return [_beside(path, folder) for path in paths]
    if isinstance(paths, dict):
        return {name: _beside(path, folder) for name, path in paths.items()}
    if not isinstance(paths, str) or "://" in paths or Path(paths).is_absolute():
        return paths
    with contextlib.suppress(OSError):
        if paths and (folder / paths).exists():
            return str(folder / paths)
    return paths


def _components(spec: Mapping[str, Any]) -> Iterator[Any]:
    """Yield every component of a spec, as it is written."""
    for section in ("generation", "evaluation"):
        settings = spec.get(section)
        # What is wrong with a spec is said when it is validated.
        if not isinstance(settings, Mapping):
            continue
        yield settings.get("generator")
        yield settings.get("reducer")
        for name in _COMPONENT_LISTS:
            listed = settings.get(name)
            for component in listed if isinstance(listed, list) else []:
                yield component
                # A metric may name its own judge, or a list of them.
                if isinstance(component, Mapping):
                    judges = component.get("judge")
                    yield from judges if isinstance(judges, list) else [judges]


def _few_shot_data(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    generation = spec.get("generation")
    few_shot = generation.get("few_shot") if isinstance(generation, Mapping) else None
    data = few_shot.get("data") if isinstance(few_shot, Mapping) else None
    if isinstance(data, dict):
        yield data


def _mappings(listed: Any) -> Iterator[dict[str, Any]]:
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, dict):
            yield item
