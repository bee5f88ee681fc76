"""Credentials of a provider are found nowhere: in no file, log line, error, `repr` or
record of the orchestrator.

The provider repeats everything it is sent, headers and address, in its replies, their
headers and its error messages.
"""

from __future__ import annotations

import base64
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.support.anthropic_server import AnthropicServer
from tests.support.asking import questions, rows
from tests.support.contents import contents
from tests.support.gemini_server import GeminiServer, asked
from tests.support.graphs import RAISED
from tests.support.provider_server import Fault, ProviderServer, prompt_of
from themis_lib import Experiment, FatalError, RunStatus
from themis_lib.adapters import anthropic, openai, vllm
from themis_lib.adapters.endpoint import Endpoint
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.report.html import write_report

CANARIES = {
    "OPENAI_API_KEY": "sk-canary-5f1d7a90-api",
    "ANTHROPIC_API_KEY": "sk-ant-canary-41b7c0d2-api",
    "CANARY_EXTRA": "canary-c93d5e17-extra",
    "CANARY_HEADER": "canary-9b3c1e42-header",
    "CANARY_PASSWORD": "canary-pass/77d0%2ab word",
    "CANARY_KEY": "canary-2c8e6f13-path",
    "CANARY_QUERY": "canary-e0a41b55-query",
}
ECHO = Fault(echo=True)


def _quoted(value: str) -> str:
    return quote(value, safe="")


#: The names of the canaries, with each form that they may be written in.
_FORMS = [
    *(
        (name, form.encode())
        for name, value in CANARIES.items()
        for form in (value, _quoted(value))
    ),
    ("CANARY_PASSWORD", base64.b64encode(f"me:{CANARIES['CANARY_PASSWORD']}".encode())),
]


def echoing(status: int, **error: Any) -> Fault:
    return Fault(status, echo=True, body={"error": error})


#: What the provider does to every other question.
SCRIPTS = {
    "good replies": ECHO,
    "facts": echoing(400),
    "failures that may pass": echoing(500),
    "a failed reply": Fault(echo=True, body={"error": {"code": "failed"}}),
    "the end of the run": echoing(401),
    "an unknown model": echoing(404, code="model_not_found"),
    "cut replies": Fault(echo=True, cut=True),
}


#: What the graph of `spec_of_graph` does with its key, other than to end the run.
WAYS = ["answer", "interrupt", *sorted(RAISED.keys() - {"end"})]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    # The SDK sends these by itself.
    monkeypatch.setenv(
        "ANTHROPIC_CUSTOM_HEADERS", f"X-Extra: {CANARIES['CANARY_EXTRA']}"
    )
    for variable in ("OPENAI_BASE_URL", "VLLM_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)


#: What requests go to: OpenAI's two APIs, and Anthropic's.
APIS = ["responses", "chat_completions", "messages"]


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server


@pytest.fixture
def anthropic_provider() -> Iterator[AnthropicServer]:
    with AnthropicServer() as server:
        yield server


def spec_of(server: ProviderServer, store: Path, api: str) -> dict[str, Any]:
    """Every place a credential can be written to: the key, a header, and user, path and
    query of the address.
    """
    generator = {"use": "openai", "api_mode": api}
    path = "/${CANARY_KEY}/v1"
    if api == "messages":
        generator = {"use": "anthropic"}
        path = "/${CANARY_KEY}"
    address = f"http://me:${{CANARY_PASSWORD_QUOTED}}@127.0.0.1:{server.port}{path}?sig=${{CANARY_QUERY}}"
    return {
        "name": "canary",
        "generation": {
            "generator": {
                **generator,
                "model": "gpt",
                "base_url": address,
                "headers": {"X-Team": "${CANARY_HEADER}"},
                "max_retries": 0,
            }
        },
        "evaluation": {"metrics": ["builtin/exact_match"]},
        "datasets": [
            {
                "dataset_id": "questions",
                "cases": [
                    {
                        "case_id": str(at),
                        "input": f"question {at}",
                        "expected_output": "x",
                    }
                    for at in range(4)
                ],
            }
        ],
        "storage": {"store": str(store)},
        "runtime": {"retries": 1, "retry_delay_s": 0.05},
    }


def spec_of_graph(ways: list[str], variable: str, store: Path) -> dict[str, Any]:
    """A graph that is given a key by its `config`, and told in each case what to do
    with it.
    """
    generator = {
        "use": "langgraph",
        "graph": "tests.support.graphs:make_telling_graph",
        "config": {"configurable": {"service_key": f"${{{variable}}}"}},
    }
    cases = [{"case_id": way, "input": way, "expected_output": "x"} for way in ways]
    return {
        "name": "graph",
        "generation": {"generator": generator},
        "evaluation": {"metrics": ["builtin/exact_match"]},
        "datasets": [{"dataset_id": "ways", "cases": cases}],
        "storage": {"store": str(store)},
        "runtime": {"retries": 1, "retry_delay_s": 0.05},
    }


def leaks(text: str | bytes) -> list[str]:
    """The names of the canaries in a text, as they are, quoted for a URL or in an
    `Authorization` header.
    """
    content = text.encode() if isinstance(text, str) else text
    return [name for name, form in _FORMS if form in content]


def in_few_texts(every: Iterator[bytes]) -> Iterator[bytes]:
    """The same contents, many in one: a database of runs has a million."""
    while some := list(islice(every, 10_000)):
        yield b"\0".join(some)


def leaks_in(folder: Path) -> dict[str, list[str]]:
    """The files below a folder in which canaries are found, with their names; also
    inside tables and pages.
    """
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert paths, "there is nothing to look at"
    found = {
        path: {name for text in in_few_texts(contents(path)) for name in leaks(text)}
        for path in paths
    }
    return {
        str(path.relative_to(folder)): sorted(names)
        for path, names in found.items()
        if names
    }


@pytest.fixture(autouse=True)
def _quoted_password(_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_PASSWORD_QUOTED", _quoted(CANARIES["CANARY_PASSWORD"]))


def test_the_canaries_do_reach_the_provider(
    provider: ProviderServer, anthropic_provider: AnthropicServer, tmp_path: Path
) -> None:
    """Negative control: the provider was sent each of them, so that it had them to
    repeat.
    """
    experiment_from_spec(
        Experiment, spec_of(provider, tmp_path, "responses"), where="spec"
    ).run()
    questions(openai("gpt", base_url=provider.url)).run()
    questions(anthropic("claude", base_url=anthropic_provider.url)).run()

    sent = "".join(
        f"{request.headers} {request.path}?{request.query}"
        for request in [*provider.requests, *anthropic_provider.requests]
    )
    assert set(CANARIES) == set(leaks(sent))


def test_canaries_that_are_stored_are_found(
    provider: ProviderServer, tmp_path: Path
) -> None:
    """Negative control: what an adapter knows no secret of is found in the rows, every
    table, and the page.
    """
    import openai as sdk

    provider.script = lambda attempt, body: Fault(
        changes={"text": " ".join(CANARIES.values())}
    )
    with sdk.OpenAI(api_key="sk-another-key", base_url=provider.url) as client:
        result = questions(openai("gpt", client=client), 2, store=str(tmp_path)).run()
    write_report(result)

    found = leaks_in(tmp_path)
    assert f"runs/{result.run_id}/report.html" in found
    for stage in ("generate", "parse"):
        assert any(path.startswith(f"rows/{stage}/") for path in found)
    assert [sorted(CANARIES)] * len(found) == [*found.values()]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", SCRIPTS)
def test_canaries_are_found_nowhere(
    name: str,
    api: str,
    provider: ProviderServer,
    anthropic_provider: AnthropicServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After runs that succeed, fail in part and stop: not in the store, the logs, an
    error or what Python shows.
    """
    caplog.set_level(logging.DEBUG)
    provider = anthropic_provider if api == "messages" else provider
    provider.script = lambda attempt, body: (
        SCRIPTS[name] if int(prompt_of(body).split()[1]) % 2 else ECHO
    )
    experiment = experiment_from_spec(
        Experiment, spec_of(provider, tmp_path / "store", api), where="spec"
    )
    shown = [
        repr(experiment),
        repr(experiment.compile().generate.generator),
        experiment.portable_json(),
    ]

    try:
        result = experiment.run()
    except FatalError as error:
        shown += [
            str(error),
            repr(error),
            repr(error.__cause__),
            "".join(traceback.format_exception(error)),
        ]
    else:
        write_report(result)
        shown += [repr(result), *map(repr, rows(result))]
        assert RunStatus.FAILED != result.status
        assert "***" in str(rows(result)), (
            "the provider's words are kept, without the credentials"
        )

    assert [] == leaks("\n".join(shown))
    assert [] == leaks(caplog.text)
    assert "HTTP Request" in caplog.text
    assert {} == leaks_in(tmp_path)


@pytest.mark.parametrize(
    ("protocol", "script"),
    [
        ("gemini", "facts"),
        *(
            pytest.param(protocol, script, marks=pytest.mark.slow)
            for protocol in ("gemini", "mistral")
            for script in ("good replies", "a failed reply", "the end of the run")
        ),
    ],
)
def test_key_of_any_provider_is_found_nowhere(
    protocol: str, script: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Through any-llm, whichever SDK it has underneath: every second reply repeats the
    key that was sent.
    """
    caplog.set_level(logging.DEBUG)
    server = GeminiServer() if protocol == "gemini" else ProviderServer()
    said = asked if protocol == "gemini" else prompt_of
    with server:
        server.script = lambda attempt, body: (
            SCRIPTS[script] if int(said(body).split()[1]) % 2 else ECHO
        )
        spec = spec_of(server, tmp_path / "store", "responses")
        spec["generation"]["generator"] = {
            "use": "any",
            "model": f"{protocol}:model",
            "base_url": server.url.removesuffix("/v1"),
            "api_key": "${CANARY_KEY}",
            "max_retries": 0,
        }
        experiment = experiment_from_spec(Experiment, spec, where="spec")
        shown = [repr(experiment), experiment.portable_json()]
        try:
            result = experiment.run()
        except FatalError as error:
            shown.append("".join(traceback.format_exception(error)))
        else:
            write_report(result)
            shown += [repr(result), *map(repr, rows(result))]
            assert "***" in str(rows(result))

    assert {"CANARY_KEY"} == set(leaks(str(server.requests[0].headers)))
    assert [] == leaks("\n".join(shown))
    assert [] == leaks(caplog.text)
    assert {} == leaks_in(tmp_path)


def test_words_of_the_address_are_still_words(
    provider: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only credentials are taken out: not the name of a header's scheme, nor what a
    plain header says.
    """
    provider.script = lambda attempt, body: Fault(
        changes={"text": "Bearer of the evaluation of 2026-01-01"}
    )
    generator = openai(
        "gpt",
        base_url=f"{provider.url}?api-version=2026-01-01",
        headers={
            "Authorization": "Bearer sk-canary-5f1d7a90-api",
            "X-Title": "evaluation",
        },
    )

    (row,) = rows(questions(generator).run())

    assert "Bearer of the evaluation of 2026-01-01" == row.final_output


def test_literals_in_code_are_found_nowhere(
    provider: ProviderServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key and headers given in Python, and an address from the environment, are taken
    out as well.
    """
    caplog.set_level(logging.DEBUG)
    provider.script = lambda attempt, body: ECHO
    quoted = _quoted(CANARIES["CANARY_PASSWORD"])
    address = f"http://me:{quoted}@127.0.0.1:{provider.port}/v1?api_key={CANARIES['CANARY_QUERY']}"
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    headers = {"X-Api-Key": CANARIES["CANARY_KEY"], "X-Team": CANARIES["CANARY_HEADER"]}
    key = CANARIES["OPENAI_API_KEY"]
    monkeypatch.delenv("OPENAI_API_KEY")

    shown = []
    for generator in (
        openai("gpt", api_key=key, headers=headers),
        vllm("gpt", base_url=provider.url, api_key=key, headers=headers),
    ):
        result = questions(generator, 2, store=str(tmp_path / "store")).run()
        shown += [repr(generator), generator.fingerprint(), *map(repr, rows(result))]

    assert [] == leaks("\n".join(shown))
    assert [] == leaks(caplog.text)
    assert {} == leaks_in(tmp_path)


def test_key_of_an_injected_client_is_found_nowhere(
    provider: ProviderServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A client of one's own keeps its key to itself as well."""
    import openai as sdk

    caplog.set_level(logging.DEBUG)
    provider.script = lambda attempt, body: ECHO
    with sdk.OpenAI(api_key=CANARIES["CANARY_KEY"], base_url=provider.url) as client:
        questions(openai("gpt", client=client), 2, store=str(tmp_path / "store")).run()

    assert CANARIES["CANARY_KEY"] in provider.requests[0].headers["authorization"]
    assert [] == leaks(caplog.text)
    assert {} == leaks_in(tmp_path)


def test_token_of_an_injected_client_is_found_nowhere(
    anthropic_provider: AnthropicServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A token is one of its secrets, too, and so it is as a setting."""
    import anthropic as sdk

    caplog.set_level(logging.DEBUG)
    anthropic_provider.script = lambda attempt, body: ECHO
    token, url = CANARIES["CANARY_KEY"], anthropic_provider.url
    shown = []
    with sdk.Anthropic(auth_token=token, base_url=url) as client:
        for name, generator in {
            "client": anthropic("claude", client=client),
            "setting": anthropic("claude", auth_token=token, base_url=url),
        }.items():
            result = questions(generator, 2, store=str(tmp_path / name)).run()
            shown += [repr(generator), generator.fingerprint(), repr(rows(result))]

    sent = [request.headers["authorization"] for request in anthropic_provider.requests]
    assert [f"Bearer {token}"] * 4 == sent
    assert [] == leaks("\n".join(shown))
    assert [] == leaks(caplog.text)
    assert {} == leaks_in(tmp_path)


def test_endpoint_does_not_show_its_address() -> None:
    """What was written for an address may hold credentials, also where nothing calls
    them so.
    """
    address = (
        f"http://127.0.0.1/{CANARIES['CANARY_KEY']}/v1?sig={CANARIES['CANARY_QUERY']}"
    )
    endpoint = Endpoint(
        base_url=address,
        api_key=CANARIES["OPENAI_API_KEY"],
        headers={"X-Team": CANARIES["CANARY_HEADER"]},
        client=None,
        sent=(),
        timeout_s=None,
        max_retries=0,
        key_variable="OPENAI_API_KEY",
        url_variable="OPENAI_BASE_URL",
        default_url="",
        key_is_needed=True,
    )

    assert [] == leaks(repr(endpoint))


@pytest.mark.parametrize(
    "variable", ["OPENAI_API_KEY", "CANARY_PASSWORD", "CANARY_KEY"]
)
@pytest.mark.parametrize("ways", [WAYS, ["end"]], ids=["rows", "end"])
def test_credential_of_a_graph_is_found_nowhere(
    ways: list[str], variable: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A graph that says its key in answers, in what it raises and in its retries has it
    recorded in none of them.
    """
    caplog.set_level(logging.DEBUG)
    experiment = experiment_from_spec(
        Experiment, spec_of_graph(ways, variable, tmp_path), where="spec"
    )
    shown = [
        repr(experiment),
        repr(experiment.compile().generate.generator),
        experiment.portable_json(),
    ]

    try:
        result = experiment.run()
    except FatalError as error:
        assert ["end"] == ways
        shown += [
            repr(error),
            repr(error.__cause__),
            "".join(traceback.format_exception(error)),
        ]
    else:
        write_report(result)
        shown += [repr(result), *map(repr, rows(result))]
        assert "it is ***" in str(rows(result))
        assert "Retrying task" in caplog.text

    assert [] == leaks("\n".join(shown))
    assert [] == leaks(caplog.text)
    assert {} == leaks_in(tmp_path)


def run_logged(
    spec: dict[str, Any], folder: Path, prefect_api: str
) -> subprocess.CompletedProcess[str]:
    """Run a spec through the flow, with every log at DEBUG."""
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec))
    debug = {
        "PREFECT_API_URL": prefect_api,
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_LOGGING_ROOT_LEVEL": "DEBUG",
    }
    return subprocess.run(
        [sys.executable, "-m", "flows.run", str(path)],
        env={
            **os.environ,
            **debug,
            "PREFECT_LOGGING_EXTRA_LOGGERS": "httpx2,httpcore2,openai,langgraph",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["good replies", "facts", "failures that may pass", "the end of the run"]
)
def test_orchestrator_records_no_canary(
    name: str, provider: ProviderServer, tmp_path: Path, prefect_api: str
) -> None:
    """Through the flow, with every log at DEBUG: not in the output, the store, or the
    server's home and database.
    """
    provider.script = lambda attempt, body: (
        SCRIPTS[name] if int(prompt_of(body).split()[1]) % 2 else ECHO
    )

    run = run_logged(
        spec_of(provider, tmp_path / "store", "responses"), tmp_path, prefect_api
    )

    assert provider.requests, run.stderr
    assert run.returncode in (0, 1, 3), run.stderr
    assert [] == leaks(run.stdout + run.stderr)
    assert {} == leaks_in(tmp_path)
    assert {} == leaks_in(Path(os.environ["PREFECT_HOME"]))


@pytest.mark.slow
@pytest.mark.parametrize("ways", [WAYS, ["end"]], ids=["rows", "end"])
def test_orchestrator_records_no_credential_of_a_graph(
    ways: list[str], tmp_path: Path, prefect_api: str
) -> None:
    """Nor when a graph says its key, which LangGraph logs with a traceback for every
    retry.
    """
    run = run_logged(
        spec_of_graph(ways, "CANARY_KEY", tmp_path / "store"), tmp_path, prefect_api
    )

    assert run.returncode in (1, 3), run.stderr
    assert (ways == WAYS) == ("Retrying task" in run.stdout + run.stderr), run.stderr
    assert [] == leaks(run.stdout + run.stderr)
    assert {} == leaks_in(tmp_path)
    assert {} == leaks_in(Path(os.environ["PREFECT_HOME"]))
