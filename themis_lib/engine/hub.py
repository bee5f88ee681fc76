"""Model files of the Hugging Face hub: from its cache on disk, or fetched where the hub
answers at once.
"""

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
    """A GGUF file in a repository of the Hugging Face hub; without a revision, `main`."""

    repo: str
    filename: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.repo}/{self.filename}"


def fetched(remote: HubModel) -> Path:
    """The file in huggingface_hub's cache, downloaded if it is not there and the hub
    answers.
    """
    try:
        import huggingface_hub
    except ImportError:
        raise ModelError(
            f"{remote} needs the package huggingface_hub: {INSTALL}, or give the path of a .gguf file"
        ) from None
    found = _call_hub(remote, huggingface_hub.try_to_load_from_cache)
    if isinstance(found, str):
        return Path(found)
    if refusal := _offline_setting() or _silent_hub_reason(
        huggingface_hub.constants.ENDPOINT
    ):
        raise ModelError(
            f"{remote} is not on this machine and cannot be fetched: {refusal}"
        )
    return Path(_call_hub(remote, huggingface_hub.hf_hub_download))


def _call_hub(
    remote: HubModel,
    call: Callable[..., Any],
) -> Any:
    try:
        return call(remote.repo, remote.filename, revision=remote.revision)
    except Exception as error:  # the library raises whatever its HTTP client raises
        raise ModelError(
            f"{remote} cannot be fetched from the hub: {describe(error)}. Check both names and the access rights, or "
            "give the path of a .gguf file"
        ) from error


def _offline_setting() -> str:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or os.environ.get("HF_HUB_OFFLINE", "").lower() in {
        "1",
        "on",
        "yes",
        "true",
    }:
        return "HF_HUB_OFFLINE is set. Unset it, or give the path of a .gguf file"
    return ""


@functools.cache
def _silent_hub_reason(endpoint: str) -> str:
    """Why a hub is taken to be out of reach, empty if it answers; found out once per
    process, within `REACH_S`.

    Any HTTP answer counts, and so does a refused certificate: huggingface_hub may know
    another authority.
    """
    problems: list[str] = []

    def ask() -> None:
        request = urllib.request.Request(
            endpoint,
            method="HEAD",
            headers={"User-Agent": "themis-flows"},
        )
        try:
            urllib.request.build_opener(_NoRedirect).open(
                request, timeout=REACH_S
            ).close()
        except urllib.error.HTTPError as error:
            error.close()
            problems.append(f"it answered {error.code}" if error.code >= 500 else "")
        except (OSError, ValueError) as error:
            certificate = "CERTIFICATE_VERIFY_FAILED" in str(error)
            problems.append("" if certificate else str(getattr(error, "reason", error)))
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
    return (
        problem
        and f"{endpoint} does not answer ({problem}). Give the path of a .gguf file, or connect this machine"
    )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirection is an answer."""

    def redirect_request(self, *_: Any) -> None:
        return None
