"""A question to a local model, and its answer: what is asked, what came, how it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from themis_lib.engine.constraints.constraint import Constraint
from themis_lib.engine.generation import Generation, Likely, Token
from themis_lib.engine.models import ModelFile
from themis_lib.engine.sampling import Sampling
from themis_lib.identity.digests import digest

#: Goes up when the same settings give another text: a change in how prompts are
#: rendered or tokens chosen.
TEXT_VERSION = 1


@dataclass(
    frozen=True,
    slots=True,
)
class LocalModel:
    """A model file, and the identity of the engine that runs it.

    Both decide the text; the identity is left out of the hash because mappings have
    none.
    """

    file: ModelFile
    identity: Mapping[str, Any] = field(hash=False)


@dataclass(
    frozen=True,
    slots=True,
)
class Question:
    """A prompt and everything that can change its text.

    `model` is `None` where no model could be loaded: then the fallback answers.
    """

    prompt: str
    model: LocalModel | None
    seed: int
    sampling: Sampling
    max_new_tokens: int
    stop: str
    constraint: Constraint | None

    @property
    def key(self) -> str:
        """The key of the text in the cache."""
        assert self.model is not None
        # Log-probabilities are not in the key: they do not change the text. An entry
        # without them is a miss for those who want them (`Answer.from_entry`).
        constraint = self.constraint and self.constraint.identity
        return digest(
            "text",
            {
                "version": TEXT_VERSION,
                "model": self.model.file.digest,
                "engine": dict(self.model.identity),
                "prompt": self.prompt,
                "seed": str(self.seed),
                "sampling": asdict(self.sampling),
                "max_new_tokens": self.max_new_tokens,
                "stop": self.stop,
                "constraint": constraint,
            },
        )


@dataclass(
    frozen=True,
    slots=True,
)
class Answer:
    """A finished text, and how it came about."""

    generation: Generation
    prompt_tokens: int
    dropped_prompt_tokens: int
    source: Literal["engine", "cache", "fallback"]

    def to_entry(self, top_logprobs: int | None) -> dict[str, Any]:
        """Return the answer as JSON for the cache.

        `top_logprobs` says how many likely tokens the engine was asked for beside each
        chosen one; `None` if it was asked for no log-probabilities.
        """
        # Tokens, not the text: a stream from the cache has the same items as the first.
        tokens = []
        for token in self.generation.tokens:
            likely = [[one.token, one.text, one.logprob] for one in token.likely]
            tokens.append(
                [
                    token.token,
                    token.text,
                    token.logprob,
                    likely,
                ]
            )
        return {
            "tokens": tokens,
            "finish_reason": self.generation.finish_reason,
            "prompt_tokens": self.prompt_tokens,
            "dropped_prompt_tokens": self.dropped_prompt_tokens,
            "top_logprobs": top_logprobs,
        }

    @classmethod
    def from_entry(
        cls,
        entry: Mapping[str, Any],
        top_logprobs: int | None,
    ) -> Answer | None:
        """Return the answer that an entry holds, with that many log-probabilities.

        `None` if the entry has fewer than asked for, or another form.
        """
        try:
            if top_logprobs is not None:
                stored = entry["top_logprobs"]
                if stored is None or stored < top_logprobs:
                    return None
            tokens = []
            for token, text, logprob, likely in entry["tokens"]:
                if top_logprobs is None:
                    tokens.append(
                        Token(
                            token,
                            str(text),
                            None,
                            (),
                        )
                    )
                else:
                    likeliest = [Likely(*one) for one in likely[:top_logprobs]]
                    tokens.append(
                        Token(
                            token,
                            str(text),
                            logprob,
                            tuple(likeliest),
                        )
                    )
            return cls(
                generation=Generation(tuple(tokens), entry["finish_reason"]),
                prompt_tokens=entry["prompt_tokens"],
                dropped_prompt_tokens=entry["dropped_prompt_tokens"],
                source="cache",
            )
        # The checksum covers bytes, not their meaning: another version may have written
        # the entry.
        except (KeyError, TypeError, ValueError):
            return None
