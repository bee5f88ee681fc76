"""The generator `vllm_choice`: the answer that a server's model finds likeliest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import Field

from themis_lib.adapters.chat_model import Positive, PositiveNumber
from themis_lib.adapters.choices import (
    CHOICES,
    Normalize,
    Pair,
    check_choices,
    choices_of,
    has_pairs,
    likeliest,
    pairs_of,
    rating_of,
)
from themis_lib.adapters.clients import Reply
from themis_lib.adapters.conversations import (
    FORMS_VERSION,
    has_listed_parts,
    text_turns,
)
from themis_lib.adapters.faults import translated
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.masking import masked_fault, masked_result
from themis_lib.adapters.openai_server import OpenAIServer
from themis_lib.adapters.prompt_logprobs import (
    EchoedTokens,
    echo_request,
    echoed_tokens,
)
from themis_lib.adapters.reply_fields import read_field, token_usage, transport_facts
from themis_lib.adapters.requests import Api
from themis_lib.adapters.vllm_api import VLLM, own_server_concurrency
from themis_lib.core.config import RuntimeConfig
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import (
    Case,
    GenerationResult,
    Message,
    TokenUsage,
    TraceStep,
)
from themis_lib.core.prompts import PromptSpec, render_conversation, render_input
from themis_lib.core.secrets import resolve_public, resolve_references


@dataclass(frozen=True)
class VLLMChoice(OpenAIServer):
    """Multiple choice by log-likelihood on a server that rates prompts.

    That is a server with OpenAI's older Completions and their `echo` and `logprobs`:
    vLLM, and llama.cpp's Python server. Each choice is one request: the prompt as a
    text, `delimiter` and the choice. `choices`, `delimiter` and `normalize` are those of
    `llama_choice`, and so are artifacts and inputs of `context` and `continuations`; but
    prompt and choice are split into tokens together, and the server applies no chat
    template.

    Address, credentials, limits and retries are those of `vllm`, and like there not part
    of the identity but for the address.
    """

    component_id: ClassVar[str] = "vllm_choice"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True
    rates_continuations: ClassVar[bool] = True
    resolves: ClassVar[tuple[str, ...]] = (
        "base_url",
        "api_key",
        "headers",
        "extra_body",
    )
    key_variable: ClassVar[str] = VLLM.key_variable
    url_variable: ClassVar[str] = VLLM.url_variable
    default_url: ClassVar[str] = VLLM.default_url
    key_is_needed: ClassVar[bool] = VLLM.key_is_needed

    model: Annotated[str, Field(min_length=1)]
    choices: list[str] | None = None
    delimiter: str = ""
    normalize: Normalize = "none"
    base_url: str | None = None
    extra_body: dict[str, Any] = field(default_factory=dict)
    client: Any = field(
        default=None,
        repr=False,
    )
    api_key: str | None = field(
        default=None,
        repr=False,
    )
    headers: dict[str, str] = field(
        default_factory=dict,
        repr=False,
    )
    timeout_s: PositiveNumber | None = None
    max_retries: Annotated[int, Field(ge=0)] = 3
    max_concurrency: Positive | None = None
    requests_per_minute: PositiveNumber | None = None
    tokens_per_minute: PositiveNumber | None = None
    global_limit: str | None = None

    def check_settings(self) -> None:
        """Raise `ComponentError` or `ConfigError` if a setting cannot be used."""
        super().check_settings()
        check_choices(self.choices)

    @property
    def reads(self) -> tuple[str, ...]:
        """The input, and the metadata if that lists the choices."""
        # Reading less where possible: other metadata then costs no new rating.
        if self.choices is None:
            return ("input", "metadata")
        return ("input",)

    def settings(self) -> JsonObject:
        """Return what decides the ratings, without secrets."""
        return {
            "model": self.model,
            "base_url": self._api_endpoint.identity_url,
            "choices": self.choices,
            "delimiter": self.delimiter,
            "normalize": self.normalize,
            "extra_body": resolve_public(self.extra_body, where="extra_body"),
        }

    def most_tokens(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> TokenUsage:
        """Return an upper bound of the tokens of a case's requests."""
        pairs = self._pairs(case, ctx)
        # No token is shorter than a byte.
        sent = "".join(pair.context + pair.continuation for pair in pairs)
        return TokenUsage(
            input_tokens=len(sent.encode("utf-8", "replace")),
            output_tokens=len(pairs),
        )

    def input_version(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> str | None:
        """Return the version of the requests for an input; `None` if it never changed."""
        # Parts were refused, or rendered as JSON.
        return FORMS_VERSION if has_listed_parts(case_input) else None

    def check_input(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> None:
        """Raise `RowError` for an input that is not all text."""
        if not has_pairs(case_input):
            turns = render_conversation(prompt_spec, case_input)
            text_turns(turns, reader=self.component_id)

    async def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """Have each choice rated and return the likeliest one.

        Raises `RowError`, `TransientError` or `FatalError`, as `adapters.faults` says.
        """
        # Before anything is sent: making the mask also masks the log.
        mask = self._api_endpoint.mask
        pairs = self._pairs(case, ctx)
        replies = []
        rated = []
        try:
            # One after another, so that the server finds the prompt in its cache.
            for pair in pairs:
                reply = await self._rate(pair)
                replies.append(reply)
                rated.append(echoed_tokens(reply[0], pair.continuation))
        except Exception as error:  # noqa: BLE001 - an injected client may raise anything
            # Without its cause, whose message may contain a secret too.
            raise masked_fault(translated(error), mask) from None
        result = self._result_of(self._ratings(case, pairs, rated), pairs, replies)
        return masked_result(result, self._api_endpoint.output_mask)

    @property
    def _api(self) -> Api:
        return "completions"

    @property
    def _sent_settings(self) -> tuple[Any, ...]:
        return (self.extra_body,)

    def _default_concurrency(self, runtime: RuntimeConfig) -> int:
        return own_server_concurrency(runtime)

    def _pairs(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> list[Pair]:
        """Return what is rated behind what: one request each."""
        if has_pairs(case.input):
            return pairs_of(case.input, ctx.prompt_spec)
        choices = choices_of(case, self.choices)
        turns = render_conversation(ctx.prompt_spec, case.input)
        contents = [
            turn["content"] for turn in text_turns(turns, reader=self.component_id)
        ]
        # As `llama_choice` puts them together for a model without a template.
        prompt = "\n\n".join(filter(None, contents))
        return [Pair(prompt, f"{self.delimiter}{choice}") for choice in choices]

    async def _rate(self, pair: Pair) -> Reply:
        """Return the reply to one request."""
        extra_body = resolve_references(self.extra_body, where="extra_body")
        request = echo_request(self.model, pair.context + pair.continuation, extra_body)
        gate = self._gate_for(request, 1)
        reply, _ = await self._send(request, gate)
        gate.count_usage(token_usage(read_field(reply[0], "usage")))
        return reply

    def _ratings(
        self,
        case: Case,
        pairs: Sequence[Pair],
        rated: Sequence[EchoedTokens],
    ) -> list[JsonObject]:
        """Return what the row's artifacts keep of each choice."""
        ratings = []
        for pair, one in zip(pairs, rated, strict=True):
            text = pair.continuation
            greedy: JsonObject = {}
            if has_pairs(case.input):
                greedy["is_greedy"] = one.is_greedy
            else:
                text = text.removeprefix(self.delimiter)
            ratings.append({**rating_of(text, one.logprobs, self.normalize), **greedy})
        return ratings

    def _result_of(
        self,
        ratings: list[JsonObject],
        pairs: Sequence[Pair],
        replies: Sequence[Reply],
    ) -> GenerationResult:
        best = likeliest(ratings)
        contexts = list(dict.fromkeys(pair.context for pair in pairs))
        asked = contexts[0] if len(contexts) == 1 else render_input([*contexts])
        usages = [token_usage(read_field(body, "usage")) for body, _, _ in replies]
        inputs = [one.input_tokens or 0 for one in usages if one is not None]
        usage = None
        if inputs:
            usage = TokenUsage(input_tokens=sum(inputs), output_tokens=len(pairs))
        latencies = [latency_s or 0.0 for _, _, latency_s in replies]
        body, headers, _ = replies[-1]
        return GenerationResult(
            final_output=best,
            finish_reason="stop",
            conversation=[
                Message(role="user", content=asked),
                Message(role="assistant", content=best),
            ],
            trace=[
                TraceStep(name="vllm", event="rating", metadata={"model": self.model})
            ],
            usage=usage,
            artifacts={CHOICES: ratings},
            transport=transport_facts(body, headers),
            latency_s=sum(latencies),
        )
