"""A provider's prompt cache on the loopback server: a prefix is in it once answered."""

from __future__ import annotations

import time
from typing import Any

from tests.support.provider_server import Fault, ProviderServer

#: As at OpenAI: 1,024 tokens of about four characters, and then every 128 of them.
_LEAST_CHARS = 4096
_STEP_CHARS = 512


class PromptCache:
    """Gives every reply of a server the count of the prompt's tokens that were cached."""

    def __init__(self, server: ProviderServer) -> None:
        self.hits = self.misses = 0
        self._delay_s = server.delay_s
        self._cached_at: dict[str, float] = {}
        server.script = self._reply

    def _reply(self, attempt: int, body: dict[str, Any]) -> Fault:
        prompt = "".join(str(turn["content"]) for turn in body["messages"])
        now = time.monotonic()
        found = 0
        for end in range(_LEAST_CHARS, len(prompt) + 1, _STEP_CHARS):
            if self._cached_at.setdefault(prompt[:end], now + self._delay_s) < now:
                found = end
        self.hits += found > 0
        self.misses += found == 0
        usage = {
            "prompt_tokens": len(prompt) // 4,
            "prompt_tokens_details": {"cached_tokens": found // 4},
        }
        return Fault(changes={"usage": usage})
