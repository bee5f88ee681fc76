"""Model files of the Hugging Face hub, from its cache on disk or downloaded."""

from __future__ import annotations

import functools
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from themis_lib.engine.build import INSTALL
from themis_lib.errors import ModelError, describe

#: Seconds to find out whether the hub answers, name lookup included.
REACH_S = 1.0


@dataclass(frozen=True)
class HubModel:
    """A GGUF file in a repository of the hub; without a revision, of `main`."""

    repo: str
    filename: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.repo}/{self.filename}"


def fetched(remote: HubModel) -> Path:
    """Return the file in huggingface_hub's cache, downloaded first if it is missing.

    Raises `ModelError` if it is missing and the hub does not answer at once.
    """
    try:
        import huggingface_hub
    except ImportError:
        raise ModelError(
            f"{remote} needs the package huggingface_hub: {INSTALL}, "
            "or give the path of a .gguf file"
        ) from None
    # The cache first: a model on disk needs no network, and no second to ask for it.
    cached = _call_hub(remote, huggingface_hub.try_to_load_from_cache)
    # A file that is known to be missing comes back as an object of another type.
    if isinstance(cached, str):
        return Path(cached)
    constants = huggingface_hub.constants
    # The library reads the variable when it is imported; it may have been set later.
    setting = os.environ.get("HF_HUB_OFFLINE", "").lower()
    if constants.HF_HUB_OFFLINE or setting in {
        "1",
        "on",
        "yes",
        "true",
    }:
        refusal = "HF_HUB_OFFLINE is set. Unset it, or give the path of a .gguf file"
    else:
        refusal = _silence_reason(constants.ENDPOINT)
    if refusal:
        raise ModelError(
            f"{remote} is not on this machine and cannot be fetched: {refusal}"
        )
    return Path(_call_hub(remote, huggingface_hub.hf_hub_download))


def _call_hub(
    remote: HubModel,
    call: Callable[..., Any],
) -> Any:
    try:
        return call(
            remote.repo,
            remote.filename,
            revision=remote.revision,
        )
    except Exception as error:  # the library raises whatever its HTTP client raises
        raise ModelError(
            f"{remote} cannot be fetched from the hub: {describe(error)}. "
            "Check both names and the access rights, or "
            "give the path of a .gguf file"
        ) from error


# Found out once per process: each further model would wait as long again.
@functools.cache
def _silence_reason(endpoint: str) -> str:
    """Return why a hub is out of reach, or the empty text if it answers in `REACH_S`."""
    problems: list[str] = []

    def ask() -> None:
        request = urllib.request.Request(
            endpoint,
            method="HEAD",
            headers={"User-Agent": "themis-flows"},
        )
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            opener.open(request, timeout=REACH_S).close()
        # Any answer below 500 counts, a refusal too: the hub is there.
        except urllib.error.HTTPError as error:
            error.close()
            problems.append(f"it answered {error.code}" if error.code >= 500 else "")
        except (OSError, ValueError) as error:
            # huggingface_hub may know another authority than the standard library does.
            certificate = "CERTIFICATE_VERIFY_FAILED" in str(error)
            reason = str(getattr(error, "reason", error))
            problems.append("" if certificate else reason)
        else:
            problems.append("")

    # A thread, because no timeout covers the name lookup, nor a server that answers
    # byte by byte.
    thread = threading.Thread(
        target=ask,
        name="themis-hub",
        daemon=True,
    )
    thread.start()
    thread.join(REACH_S)
    problem = problems[0] if problems else f"no answer within {REACH_S:g} s"
    if not problem:
        return ""
    return (
        f"{endpoint} does not answer ({problem}). "
        "Give the path of a .gguf file, or connect this machine"
    )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An opener's handler that follows no redirection: it is an answer already."""

    def redirect_request(self, *_: Any) -> None:
        return None
