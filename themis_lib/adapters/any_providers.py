"""The providers of any-llm-sdk, told without importing it: names, packages, variables.

Importing it takes seconds, which a plan or a cached run is not to pay for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.util import find_spec

from themis_lib.components.registry import PROVIDERS
from themis_lib.errors import ComponentError, nearest

_PACKAGE = "any-llm-sdk"
#: Extras of the package that are no provider, or none that answers conversations.
_NOT_CHATTING = {"all", "platform", "typesafe", "voyage"}
_REQUIREMENT = re.compile(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]")
#: The variables of a key where it is not `NAME_API_KEY`; the first that is set counts.
_KEYS: dict[str, tuple[str, ...]] = {
    "azureanthropic": ("AZURE_ANTHROPIC_API_KEY",),
    "azureopenai": ("AZURE_OPENAI_API_KEY",),
    "bedrock": ("AWS_BEARER_TOKEN_BEDROCK",),
    "databricks": ("DATABRICKS_TOKEN",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "github": ("GITHUB_TOKEN",),
    "huggingface": ("HF_TOKEN",),
    "llamafile": (),
    "lmstudio": ("LM_STUDIO_API_KEY",),
    "meta": ("MODEL_API_KEY",),
    "mzai": ("ANY_LLM_KEY",),
    "ollama": (),
    "sagemaker": (),
    "vertexai": (),
    "vertexaianthropic": (),
}
#: The variable of an address where it is not `NAME_API_BASE`.
_URLS = {
    "anthropic": "ANTHROPIC_BASE_URL",
    "azure": "AZURE_AI_CHAT_ENDPOINT",
    "azureanthropic": "AZURE_ANTHROPIC_API_BASE",
    "azureopenai": "AZURE_OPENAI_ENDPOINT",
    "bedrock": "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
    "cohere": "COHERE_BASE_URL",
    "databricks": "DATABRICKS_HOST",
    "gemini": "GOOGLE_GEMINI_BASE_URL",
    "github": "GITHUB_MODELS_API_BASE",
    "groq": "GROQ_BASE_URL",
    "lmstudio": "LM_STUDIO_API_BASE",
    "mzai": "ANY_LLM_PLATFORM_URL",
    "ollama": "OLLAMA_HOST",
    "openai": "OPENAI_BASE_URL",
    "perplexity": "PERPLEXITY_BASE_URL",
    "sagemaker": "SAGEMAKER_ENDPOINT_URL",
    "vertexaianthropic": "VERTEXAI_ANTHROPIC_API_BASE",
    "watsonx": "WATSONX_URL",
    "zai": "ZAI_BASE_URL",
}
#: Providers that may have another credential than a key, or none.
_KEYLESS = {
    "azure",
    "azureopenai",
    "bedrock",
    "cascadia",
    "llamacpp",
    "llamafile",
    "lmstudio",
    "ollama",
    "otari",
    "sagemaker",
    "vertexai",
    "vertexaianthropic",
    "vllm",
}
_AWS_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
#: Credentials that a provider's SDK reads besides its key.
_OTHER_SECRETS = {
    "azureopenai": ("AZURE_OPENAI_AD_TOKEN",),
    "bedrock": _AWS_SECRETS,
    "sagemaker": _AWS_SECRETS,
}
#: What genai-prices calls a provider; the others are not in it, or under their name.
_PRICE_LISTS = {
    "azureopenai": "azure",
    "bedrock": "aws",
    "gemini": "google",
    "moonshot": "moonshotai",
    "vertexai": "google",
    "xai": "x-ai",
}
#: The argument of a provider's SDK that is its seed.
SEED_NAMES = {"mistral": "random_seed"}


@dataclass(frozen=True)
class Provider:
    """A provider, by its name in any-llm, and the environment variables that it reads."""

    name: str

    @property
    def key_variables(self) -> tuple[str, ...]:
        """The variables of its key; the first that is set counts."""
        return _KEYS.get(self.name, (f"{self.name.upper()}_API_KEY",))

    @property
    def url_variable(self) -> str:
        """The variable of its address."""
        return _URLS.get(self.name, f"{self.name.upper()}_API_BASE")

    @property
    def key_is_needed(self) -> bool:
        """Whether it answers nobody without a key."""
        return self.name not in _KEYLESS

    @property
    def price_list(self) -> str:
        """The name of its list prices."""
        return _PRICE_LISTS.get(self.name, self.name)

    @property
    def secret_variables(self) -> tuple[str, ...]:
        """The variables whose values are credentials of this provider."""
        return (*self.key_variables, *_OTHER_SECRETS.get(self.name, ()))


def provider_and_name(model: str) -> tuple[Provider, str]:
    """Return the provider of a model written as `PROVIDER:NAME`, and the name.

    Raise `ComponentError` if either is missing, or if no provider is called so.
    """
    given, colon, name = model.partition(":")
    if not colon or not given or not name:
        raise ComponentError(
            f"model={model!r}: write PROVIDER:NAME, such as 'gemini:gemini-2.5-flash'"
        )
    known = provider_names()
    if given not in known:
        installed = [each for each in known if not _missing_packages(each)]
        raise ComponentError(
            f"model={model!r}: any-llm knows no provider {given!r}; "
            f"{nearest(given, known)}; installed: {', '.join(installed)}"
        )
    return Provider(given), name


@cache
def provider_names() -> tuple[str, ...]:
    """Return the providers that any-llm knows; a newer one may know more than listed."""
    try:
        extras = metadata(_PACKAGE).get_all("Provides-Extra") or []
    except PackageNotFoundError:
        extras = []
    return tuple(sorted({*extras, *PROVIDERS} - _NOT_CHATTING))


def check_installed(provider: Provider) -> None:
    """Raise `ComponentError` if any-llm or the provider's packages are missing."""
    if find_spec("any_llm") is None:
        raise ComponentError(
            f"{_PACKAGE} is not installed: pip install 'themis-flows[any]' "
            f"'{_PACKAGE}[{provider.name}]'"
        )
    missing = _missing_packages(provider.name)
    if missing:
        raise ComponentError(
            f"{provider.name} needs {', '.join(missing)}: "
            f"pip install '{_PACKAGE}[{provider.name}]'"
        )


@cache
def _missing_packages(provider: str) -> tuple[str, ...]:
    missing = []
    try:
        requirements = requires(_PACKAGE) or []
    except PackageNotFoundError:
        return (_PACKAGE,)
    for requirement in requirements:
        found = _REQUIREMENT.match(requirement)
        if found is None or found[2] != provider:
            continue
        try:
            version(found[1])
        except PackageNotFoundError:
            missing.append(found[1])
    return tuple(missing)
