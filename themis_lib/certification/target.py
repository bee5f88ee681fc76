"""What is to be certified, as an experiment: a model behind an address, or by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from themis_lib.adapters.endpoint import OPENAI_URL, public_url
from themis_lib.adapters.openai_server import OpenAIServer
from themis_lib.components.build import build
from themis_lib.errors import ConfigError
from themis_lib.experiment.experiment import Experiment
from themis_lib.experiment.spec import apply_overrides, experiment_from_spec

#: Tokens of an answer: enough for texts to part in, and cheap.
MAX_TOKENS = 64
#: One prompt a line.
_PROMPTS = Path(__file__).parent / "prompts.txt"
#: What asks the servers at some addresses; all others are servers of one's own.
_HOSTS = {urlsplit(OPENAI_URL).hostname: "openai", "openrouter.ai": "openrouter"}
#: An address that lacks its scheme.
_ADDRESS = re.compile(r"(localhost|[\w-]+(\.[\w-]+)+):\d+(/.*)?")
#: The names of a server's models that an error lists.
_LISTED = 5


def experiment_for(
    target: str,
    *,
    settings: Sequence[str] = (),
    data: str | None = None,
    limit: int | None = None,
) -> Experiment:
    """Return the experiment whose generator is to be certified, on its prompts.

    `target` is an experiment's file, a base URL, or a model as `model:` has it in an
    experiment. `settings` are overrides of the experiment, or settings of the generator
    such as `temperature=0`. `data` is a file of prompts. Raise `InputError` for what is
    wrong with any of them.
    """
    if target.endswith((".yaml", ".yml")):
        experiment = Experiment.from_config(target, overrides=settings, data=data)
    else:
        experiment = _experiment_of_model(target, settings, data)
    # It counts over all datasets: a certification is of one list of prompts.
    return experiment if limit is None else experiment.limited(limit)


def _experiment_of_model(
    target: str,
    settings: Sequence[str],
    data: str | None,
) -> Experiment:
    if _ADDRESS.fullmatch(target):
        raise ConfigError(
            f"{target!r}: write an address with its scheme: http://{target}"
        )
    spec: dict[str, Any] = {
        "name": "certify",
        "model": _served(target, settings) if _is_url(target) else target,
        "generation": {"generator": {"temperature": 0, "max_tokens": MAX_TOKENS}},
        "datasets": [_prompts() if data is None else _file(data)],
        "seeds": [0],
    }
    given = []
    for setting in settings:
        name = setting.partition("=")[0].strip()
        # They were read for the address.
        if not _is_url(target) or name not in ("use", "model"):
            given.append(f"generation.generator.{setting}")
    apply_overrides(spec, given, where=public_name(target))
    return experiment_from_spec(Experiment, spec, where=public_name(target))


def public_name(target: str) -> str:
    """Return what a target is called, without a credential in it.

    >>> public_name("https://me:secret@host/v1?key=1"), public_name("tiny")
    ('https://host/v1', 'tiny')
    """
    return public_url(target) if _is_url(target) else target


def _is_url(target: str) -> bool:
    return target.lower().startswith(("http://", "https://"))


def _served(
    target: str,
    settings: Sequence[str],
) -> dict[str, Any]:
    """Return the configuration of the generator that asks the server at an address."""
    given = dict(_named(setting) for setting in settings)
    try:
        host = urlsplit(target).hostname
    except ValueError:
        # Neither the address nor the error is shown: both may hold a password.
        raise ConfigError(
            "the address cannot be read; write one such as 'http://localhost:8000/v1'"
        ) from None
    use = given.get("use") or _HOSTS.get(host, "vllm")
    component: dict[str, Any] = {"use": use, "base_url": target}
    credentials = [
        f"{name}={value}"
        for name, value in given.items()
        if name.partition(".")[0] in ("api_key", "headers")
    ]
    apply_overrides(component, credentials, where=public_name(target))
    model = given.get("model")
    if not model:
        model = _only_model(component, public_name(target))
    return {"use": use, "base_url": target, "model": model}


def _named(setting: str) -> tuple[str, str]:
    name, equals, value = setting.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"{setting!r}: write a setting as key=value")
    return name.strip(), value.strip()


def _only_model(
    component: dict[str, Any],
    place: str,
) -> str:
    """Return the name of the one model that a server has, as it says itself.

    Raise `ConfigError` if it cannot be asked, or has several.
    """
    # Any name: of the address alone something is asked.
    server = build("generator", {**component, "model": "any"}, where=place).component
    if not isinstance(server, OpenAIServer):
        raise ConfigError(f"use={component['use']}: name the model, too: model=NAME")
    server.check()
    names = server.served_models()
    if len(names) == 1:
        return names[0]
    if not names:
        raise ConfigError(f"{place} lists no model; name it: model=NAME")
    shown = ", ".join(map(repr, names[:_LISTED]))
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    raise ConfigError(
        f"{place} has {len(names):,} models ({shown}{more}); name one: model={names[0]}"
    )


def _prompts() -> dict[str, Any]:
    lines = _PROMPTS.read_text(encoding="utf-8").splitlines()
    cases = [
        {"case_id": f"prompt-{number:02}", "input": line}
        for number, line in enumerate(lines, start=1)
    ]
    return {"dataset_id": "prompts", "cases": cases}


def _file(data: str) -> dict[str, Any]:
    if not Path(data).exists():
        raise ConfigError(f"--data {data!r}: there is no such file")
    return {"dataset_id": "prompts", "path": data}
