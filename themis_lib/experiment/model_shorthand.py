"""The shorthands of an experiment: `model` for the generator, `judge` for the judge.

`model: openai:gpt-4o-mini` is `generation.generator: {use: openai, model: gpt-4o-mini}`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from themis_lib.components.imports import import_named
from themis_lib.components.registry import ADAPTERS, BUILTINS, PROVIDERS
from themis_lib.errors import ConfigError, nearest

#: The keys of the shorthands, at the top of an experiment, and the settings they are for.
SHORTHANDS = {
    "model": "generation.generator",
    "judge": "evaluation.judge_models",
}
#: A setting of a generator without `use`: the choices of each case are to be rated.
RATES = "rates"
#: How the name of a generator ends that rates choices with the models of another.
_RATER = "_choice"
#: Generators that `PREFIX:REST` names, and the setting that the rest is.
_PREFIXES = {
    "anthropic": ("anthropic", "model"),
    "openai": ("openai", "model"),
    "vllm": ("vllm", "model"),
    "llama": ("llama", "model"),
    "lmstudio": ("lmstudio", "model"),
    "ollama": ("ollama", "model"),
    "openrouter": ("openrouter", "model"),
    "sglang": ("sglang", "model"),
    "replay": ("builtin/replay", "path"),
}
#: A deployment on Azure, at the address that the environment has for it.
_AZURE = {"use": "openai", "azure_endpoint": "${AZURE_OPENAI_ENDPOINT}"}
#: What `PREFIX:REST` may begin with; other providers than ours are those of `any`.
_KNOWN_PREFIXES = {*_PREFIXES, *PROVIDERS}
_KNOWN = {**BUILTINS["generator"], **ADAPTERS}
#: Settings of models that not every generator has. Any other is the generator's to
#: refuse.
_SAMPLING = {"temperature", "top_p", "max_tokens", "stop"}
#: How choices are rated: settings that mean nothing to what rates none.
_RATING = {"choices", "delimiter", "normalize"}
_ATTRIBUTE = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")


def expand_shorthands(
    spec: dict[str, Any],
    *,
    where: str,
) -> None:
    """Replace `model` and `judge` in an experiment by the components they stand for.

    Settings of a generator without `use` are for whatever model is named. With `rates:
    choices` among them, the generator that rates choices with that model is taken. Raise
    `ConfigError`, beginning with `where`, for a model that cannot be told, and where a
    generator is given, too.
    """
    if "judge" in spec:
        evaluation = _section(spec, "evaluation")
        if evaluation.get("judge_models"):
            raise ConfigError(
                f"{where}: `judge` and evaluation.judge_models both name judges; "
                "remove one"
            )
        judge = _component(spec.pop("judge"), place=f"{where}: judge")
        evaluation["judge_models"] = [judge]
    if "model" in spec:
        given = _given_generator(spec)
        if given is not None and not _is_open(given):
            raise ConfigError(
                f"{where}: `model` and generation.generator both name a model; remove one"
            )
        place = f"{where}: model"
        component = _component(spec.pop("model"), place=place)
        component = _with_settings(component, given or {}, place=place)
        _section(spec, "generation")["generator"] = component


def check_model_named(
    spec: Mapping[str, Any],
    *,
    where: str,
) -> None:
    """Raise `ConfigError` for an experiment that leaves it open which model it is for."""
    if _is_open(_given_generator(spec)):
        raise ConfigError(
            f"{where}: generation.generator has no `use`; name a model, such as "
            "model=openai:gpt-4o-mini or model=tiny"
        )


def drop_named(
    spec: dict[str, Any],
    key: str,
) -> None:
    """Remove the component that a shorthand on the command line takes the place of."""
    spec.pop(key, None)
    if key == "judge":
        if isinstance(spec.get("evaluation"), dict):
            spec["evaluation"].pop("judge_models", None)
    elif not _is_open(_given_generator(spec)) and isinstance(
        spec.get("generation"), dict
    ):
        spec["generation"].pop("generator", None)


def _given_generator(spec: Mapping[str, Any]) -> Any:
    generation = spec.get("generation")
    return generation.get("generator") if isinstance(generation, dict) else None


def _is_open(generator: Any) -> bool:
    """Return whether a generator is settings alone, for whatever model is named."""
    return isinstance(generator, dict) and "use" not in generator


def _section(
    spec: dict[str, Any],
    name: str,
) -> dict[str, Any]:
    section = spec.get(name)
    if not isinstance(section, dict):
        section = spec[name] = {}
    return section


def _component(
    named: Any,
    *,
    place: str,
) -> dict[str, Any]:
    """Return the configuration of a generator that a shorthand names."""
    if isinstance(named, Mapping) and "use" in named:
        return dict(named)
    if not isinstance(named, str) or not named.strip():
        raise ConfigError(
            f"{place}: {named!r} is no model; write `openai:gpt-4o-mini`, or a mapping "
            "with `use`"
        )
    found = _component_named(named)
    if found is not None:
        return found
    prefix, colon, _ = named.partition(":")
    if prefix in _KNOWN_PREFIXES and colon:
        raise ConfigError(f"{place}: {named!r}: the name of the model is missing")
    if colon:
        hint = nearest(prefix, _KNOWN_PREFIXES)
        own = ""
        if _ATTRIBUTE.fullmatch(named):
            own = f"; a component of that name is {{use: {named}}}"
        raise ConfigError(
            f"{place}: {named!r}: unknown provider {prefix!r}; {hint}{own}"
        )
    raise ConfigError(
        f"{place}: unknown model {named!r}; {nearest(named, [*_local_models(), *_KNOWN])}; "
        f"write PROVIDER:NAME for others ({', '.join(_PREFIXES)})"
    )


def _component_named(named: str) -> dict[str, Any] | None:
    if named in _KNOWN:
        return {"use": named}
    prefix, _, rest = named.partition(":")
    if prefix in _PREFIXES and rest:
        use, setting = _PREFIXES[prefix]
        return {"use": use, setting: rest}
    if prefix == "azure" and rest:
        return {**_AZURE, "model": rest}
    if prefix in PROVIDERS and rest:
        return {"use": "any", "model": named}
    # A module of such a name is given as `{use: openais:Model}`.
    is_misspelt = get_close_matches(prefix, _PREFIXES, n=1, cutoff=0.75)
    if _ATTRIBUTE.fullmatch(named) and not is_misspelt:
        return {"use": named}
    if named.endswith(".gguf") or named in _local_models():
        return {"use": "llama", "model": named}
    return None


def _local_models() -> list[str]:
    # Here, not above: most experiments name no local model.
    from themis_lib.engine.models import MODELS

    return list(MODELS)


def _with_settings(
    component: dict[str, Any],
    settings: Mapping[str, Any],
    *,
    place: str,
) -> dict[str, Any]:
    """Return a component with the settings for whatever model is named.

    Those that the component itself gives take precedence, and the common ones that its
    class lacks are left out: recorded outputs have no temperature. A component that is
    no built-in gets none: what it makes of a setting of that name is not known.
    """
    wanted = dict(settings)
    use = component["use"]
    rated = wanted.pop(RATES, None)
    if rated not in (None, "choices"):
        raise ConfigError(
            f"generation.generator.{RATES}: {rated!r}; the only value is `choices`"
        )
    # Recorded outputs, and components of others, are taken as they are.
    if rated and use in ADAPTERS:
        use = _rating(use, place=place)
    if use not in _KNOWN:
        return component
    accepted = inspect.signature(import_named("generator", _KNOWN[use])).parameters
    optional = _SAMPLING if use.endswith(_RATER) else _SAMPLING | _RATING
    for name in optional - set(accepted):
        wanted.pop(name, None)
    return {**wanted, **component, "use": use}


def _rating(
    use: str,
    *,
    place: str,
) -> str:
    """Return the generator that rates choices with the models of another."""
    if use.endswith(_RATER):
        return use
    if f"{use}{_RATER}" in ADAPTERS:
        return f"{use}{_RATER}"
    able = [name for name in ADAPTERS if f"{name}{_RATER}" in ADAPTERS]
    raise ConfigError(
        f"{place}: this experiment rates the choices of each case by their "
        f"log-likelihood, which {use!r} cannot; those that can: {', '.join(able)}"
    )
