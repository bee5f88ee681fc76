"""What failures of Anthropic's API mean, and what becomes of a run with many."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.support.anthropic_server import AnthropicServer, failed, said_last
from tests.support.asking import ask, questions, rows
from tests.support.provider_server import CUT, GARBAGE, SILENT, Fault
from themis_lib import FatalError, RunStatus
from themis_lib.adapters import anthropic
from themis_lib.errors import RowError, TransientError

#: Error replies, and what each means: an error of the run, of the row, or of this try.
FAULTS: list[tuple[Fault, type[Exception], str]] = [
    (failed("overloaded_error"), TransientError, "HTTP 529: it is overloaded_error"),
    (failed("rate_limit_error"), TransientError, "HTTP 429"),
    (failed("api_error"), TransientError, "HTTP 500"),
    (failed("overloaded_error", status=200), TransientError, "overloaded_error"),
    (
        Fault(
            body=b"event: error\ndata: "
            b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n'
        ),
        TransientError,
        "overloaded_error: busy",
    ),
    (GARBAGE, TransientError, "not JSON"),
    (CUT, TransientError, "no answer from the provider"),
    (Fault(body={"id": "msg"}), TransientError, "no content"),
    (failed("request_too_large"), RowError, "HTTP 413"),
    (failed("invalid_request_error", "prompt is too long: 9 > 8"), RowError, "long"),
    (
        failed("invalid_request_error", "messages.0.content: not so"),
        RowError,
        "messages.0.content: not so",
    ),
    (failed("authentication_error"), FatalError, "check the API key"),
    (failed("authentication_error", status=200), FatalError, "check the API key"),
    (failed("billing_error"), FatalError, "paid"),
    (failed("not_found_error"), FatalError, "asked at base_url="),
    (
        failed("invalid_request_error", "Your credit balance is too low to use this"),
        FatalError,
        "credit balance",
    ),
    (
        failed(
            "invalid_request_error", "max_tokens: 9000 > 4096, which is the maximum"
        ),
        FatalError,
        r"'max_tokens' \(generation\.generator\.max_tokens",
    ),
    (
        failed(
            "invalid_request_error", "This model does not support the effort parameter"
        ),
        FatalError,
        "schema or reasoning_effort",
    ),
    (
        failed(
            "invalid_request_error",
            "Unexpected value `x` for the `anthropic-beta` header",
        ),
        FatalError,
        "betas",
    ),
]


@pytest.mark.parametrize(("fault", "kind", "said"), FAULTS)
def test_failure_is_told_by_what_it_means(
    fault: Fault,
    kind: type[Exception],
    said: str,
    anthropic_server: AnthropicServer,
) -> None:
    """What may pass is tried again, what concerns the row is its fact, and what every
    request would meet ends the run.
    """
    anthropic_server.script = lambda attempt, body: fault
    generator = anthropic(
        "claude",
        base_url=anthropic_server.url,
        reasoning_effort="low",
        betas=["x"],
        max_retries=0,
    )

    with pytest.raises(kind, match=said):
        ask(generator)


def test_field_that_the_server_does_not_know_ends_the_run(
    anthropic_server: AnthropicServer,
) -> None:
    """After one request, with the place of the setting."""
    generator = anthropic(
        "claude", base_url=anthropic_server.url, extra_body={"best_of": 2}
    )

    with pytest.raises(FatalError, match=r"extra_body\.best_of"):
        questions(generator, 20).run()

    assert 1 == len(anthropic_server.requests)


def troubled(attempt: int, body: dict[str, Any]) -> Fault | None:
    """30 % of the requests fail in one of six ways; the same in every run of the test."""
    draw = random.Random(f"{said_last(body)}/{attempt}").random()
    faults = [
        (0.10, failed("rate_limit_error", retry_after="0.05")),
        (0.17, failed("overloaded_error", retry_after="0.05")),
        (0.20, failed("overloaded_error", status=200)),
        (0.24, CUT),
        (0.28, GARBAGE),
        (0.29, SILENT),
        (0.30, failed("invalid_request_error", "messages.0: it is not allowed")),
    ]
    return next((fault for bound, fault in faults if draw < bound), None)


def test_faults_lose_nothing(anthropic_server: AnthropicServer, tmp_path: Path) -> None:
    """30 % faults: every row has an answer or a reason, and is paid once; the next run
    asks again only for those that may pass.
    """
    anthropic_server.script = troubled
    experiment = questions(
        anthropic("claude", base_url=anthropic_server.url, timeout_s=2.0),
        120,
        store=str(tmp_path),
        runtime={"max_concurrency": 16, "retries": 0},
    )

    first = experiment.run()
    asked, said = rows(first), anthropic_server.answered_texts
    anthropic_server.script = lambda attempt, body: None
    second = experiment.run()

    facts = [row for row in asked if "not allowed" in str(row.error)]
    assert 120 == len(asked)
    assert 0 < len(facts) < sum(row.error is not None for row in asked) < 30
    assert all(row.error or row.final_output for row in asked)
    assert len(said) == len(set(said)) == sum(row.error is None for row in asked)
    assert RunStatus.PARTIAL_FAILURE == second.status
    healed = [row for row in rows(second) if row.error is None]
    assert 120 - len(facts) == len(healed)
    everything = anthropic_server.answered_texts
    assert len(everything) == len(set(everything)) == len(healed)
