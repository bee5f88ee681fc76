"""The generator `vllm_choice`: given answers rated by a server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.asking import ask, questions, rows
from tests.support.provider_server import CUT, ProviderServer, refused
from themis_lib import (
    ComponentError,
    ConfigError,
    FatalError,
    RowError,
    RunStatus,
    TransientError,
)
from themis_lib.adapters import vllm_choice
from themis_lib.adapters.prompt_logprobs import EchoedTokens, echoed_tokens
from themis_lib.components.build import component_identity
from themis_lib.core.config import RuntimeConfig

PAIRS: dict[str, Any] = {
    "context": "To be or",
    "continuations": [" not to be", " so", " to do"],
}


def choosing(server: ProviderServer, **settings: Any) -> Any:
    return vllm_choice("qwen", base_url=server.url, max_retries=0, **settings)


def test_request_is_exact(server: ProviderServer) -> None:
    """One request a choice: instructions, prompt, delimiter and choice as one text."""
    generator = choosing(
        server, choices=["A", "B"], delimiter=" ", extra_body={"cache_salt": "x"}
    )

    ask(generator, "A or B?", instructions="Choose.")

    shared = {
        "model": "qwen",
        "max_tokens": 1,
        "temperature": 0,
        "echo": True,
        "logprobs": 1,
        "cache_salt": "x",
    }
    assert [
        {**shared, "prompt": "Choose.\n\nA or B? A"},
        {**shared, "prompt": "Choose.\n\nA or B? B"},
    ] == server.bodies
    assert {"/v1/completions"} == {request.path for request in server.requests}


def test_the_row_has_what_llama_choice_keeps(server: ProviderServer) -> None:
    """Each choice of the case's metadata with its scores; the best is the answer."""
    generator = choosing(server, delimiter=" ", normalize="bytes")

    result = ask(generator, "Which?", metadata={"choices": ["red one", "blue"]})

    assert {
        "choices": [
            {"text": "red one", "logprob": -8.0, "score": -8 / 7, "tokens": 2},
            {"text": "blue", "logprob": -5.0, "score": -1.25, "tokens": 1},
        ]
    } == result.artifacts
    assert "red one" == result.final_output
    assert result.usage is not None
    assert (5, 2) == (result.usage.input_tokens, result.usage.output_tokens)


def test_continuations_say_whether_they_are_greedy(server: ProviderServer) -> None:
    """Each behind its own context, if there is one for each."""
    result = ask(choosing(server), PAIRS)
    other = ask(
        choosing(server), {"context": ["one", "two"], "continuations": [" so", " be"]}
    )

    assert [(-10.0, False), (-3.0, True), (-6.0, True)] == [
        (kept["logprob"], kept["is_greedy"])
        for kept in (result.artifacts or {})["choices"]
    ]
    assert " so" == result.final_output
    assert ["one so", "two be"] == [body["prompt"] for body in server.bodies[3:]]
    assert [True, False] == [
        kept["is_greedy"] for kept in (other.artifacts or {})["choices"]
    ]


def test_a_server_without_likeliest_tokens_leaves_it_open() -> None:
    """Unless one token that it does say was likelier."""
    logprobs: dict[str, Any] = {"tokens": ["a", " b", " c", "x"]}
    logprobs["token_logprobs"] = [None, -1.0, -2.0, -3.0]
    reply = {"choices": [{"logprobs": logprobs}], "usage": {"completion_tokens": 1}}

    unknown = echoed_tokens(reply, " b c")
    logprobs["top_logprobs"] = [None, None, {" d": -0.5}, None]
    other = echoed_tokens(reply, " b c")

    assert EchoedTokens((-1.0, -2.0), is_greedy=None) == unknown
    assert EchoedTokens((-1.0, -2.0), is_greedy=False) == other


def test_a_token_across_the_border_is_the_continuations(server: ProviderServer) -> None:
    """The server's token `hello` begins in the context and ends behind it."""
    pairs = {"context": "say hel", "continuations": ["lo there"]}

    (kept,) = (ask(choosing(server), pairs).artifacts or {})["choices"]

    assert (2, -12.0) == (kept["tokens"], kept["logprob"])


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({"tokens": None}, FatalError, "returns no log-probabilities of a prompt"),
        (
            {"tokens": ["a", "b", "c", "d", "e", "f", "g"][:4]},
            RowError,
            "the server's tokens end in",
        ),
    ],
)
def test_a_reply_that_does_not_rate_the_prompt_is_refused(
    server: ProviderServer, changes: dict[str, Any], kind: Any, reason: str
) -> None:
    """A server that ignores `echo` can rate nothing; other tokens are no rating."""
    from tests.support.provider_server import Fault

    server.script = lambda attempt, body: Fault(changes=changes)

    with pytest.raises(kind, match=reason):
        ask(choosing(server), {"context": "To be", "continuations": [" so"]})


def test_a_first_token_has_no_rating(server: ProviderServer) -> None:
    """An empty context leaves the first token without one, which the row says."""
    with pytest.raises(RowError, match="no log-probability of a prompt's first token"):
        ask(choosing(server), {"context": "", "continuations": ["so"]})


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(refused(status=500), TransientError), (CUT, TransientError)],
)
def test_faults_are_those_of_vllm(
    server: ProviderServer, fault: Any, kind: Any
) -> None:
    """A server that fails for now is asked again by the next run."""
    server.script = lambda attempt, body: fault

    with pytest.raises(kind):
        ask(choosing(server), PAIRS)


@pytest.mark.parametrize(
    "value",
    [
        {"context": "x", "continuations": []},
        {"context": "x", "continuations": " a"},
        {"context": ["x"], "continuations": [" a", " b"]},
        {"context": "x", "continuations": [" a", 1]},
        {"context": "x", "continuations": [""]},
    ],
)
def test_continuations_that_cannot_be_rated_are_an_error(
    server: ProviderServer, value: Any
) -> None:
    """Before anything is sent."""
    with pytest.raises(RowError, match="input: "):
        ask(choosing(server), value)
    assert [] == server.requests


def test_prompt_material_does_not_come_between(server: ProviderServer) -> None:
    """A prefix has no place where a context is given as it is."""
    with pytest.raises(RowError, match="rated as it is"):
        ask(choosing(server), PAIRS, prefix="Read this.")


def test_identity_is_model_address_and_choices(server: ProviderServer) -> None:
    """Credentials, limits and retries are not part of it."""
    one = component_identity("generator", choosing(server))
    runtime = {"api_key": "${X}", "max_concurrency": 3, "timeout_s": 5}
    same = component_identity("generator", choosing(server, **runtime))
    others = [
        component_identity("generator", choosing(server, **changed))
        for changed in (
            {"delimiter": " "},
            {"normalize": "bytes"},
            {"choices": ["A", "B"]},
        )
    ]

    assert one == same
    assert all(one != other for other in others)


def test_a_run_asks_each_pair_once(server: ProviderServer) -> None:
    """Samples and a second run ask for nothing more."""
    experiment = questions(choosing(server), inputs=[PAIRS])

    first = experiment.run()
    experiment.run()

    assert RunStatus.COMPLETED == first.status
    assert 3 == len(server.requests)
    assert [" so"] == [row.final_output for row in rows(first)]


def test_concurrency_is_that_of_vllm(server: ProviderServer) -> None:
    """As many requests as connections, unless somebody wrote a number."""
    generator = choosing(server)

    free = generator.with_runtime(RuntimeConfig())
    bounded = generator.with_runtime(RuntimeConfig(max_concurrency=3))

    assert (1000, 3) == (free.max_concurrency, bounded.max_concurrency)


def test_settings_are_checked() -> None:
    """Choices as those of `llama_choice`, and credentials as `${NAME}`."""
    with pytest.raises(ConfigError, match="choices: 1 of them"):
        vllm_choice("qwen", choices=["A"])
    with pytest.raises(ComponentError, match="client: give a client object"):
        vllm_choice("qwen", client="mine")
    with pytest.raises(ConfigError, match="holds a credential"):
        vllm_choice("qwen", base_url="http://me:secret-secret-secret-1234@host/v1")
