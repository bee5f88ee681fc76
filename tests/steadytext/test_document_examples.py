"""The document's own examples run as it prints them, and every assertion in them
holds.
"""

from __future__ import annotations

import json
import linecache
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.document_examples import EXAMPLES, IMPORT
from themis_lib import InputError, steadytext

DOCUMENT = Path(__file__).parents[3] / "shared/seeds/text-generation-api.txt"

pytestmark = pytest.mark.usefixtures("empty_cache")


def run(name: str, **given: Any) -> dict[str, Any]:
    """Run an example as a program; the names it leaves, beside those it was given."""
    source, file = EXAMPLES[name], f"<example: {name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names = {"__name__": "__main__", "steadytext": steadytext, **given}
    exec(compile(source, file, "exec", dont_inherit=True), names)
    return names


def lines(text: str) -> list[str]:
    """The lines of a text without their indentation, as the document has them."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_the_examples_are_those_of_the_document() -> None:
    """Line by line, each example stands in the document; only indentation and the
    import differ.
    """
    if not DOCUMENT.exists():
        pytest.skip("the document is not beside the project")
    printed = "\n".join(lines(DOCUMENT.read_text()))

    for name, source in EXAMPLES.items():
        assert (
            "\n".join(lines(source.replace(IMPORT, "import steadytext"))) in printed
        ), name


def test_no_assertion_of_the_document_is_left_out() -> None:
    """Every line of the document that asserts something stands in an example, as often
    as there.
    """
    if not DOCUMENT.exists():
        pytest.skip("the document is not beside the project")
    printed = [
        line for line in lines(DOCUMENT.read_text()) if line.startswith("assert ")
    ]
    executed = [
        line
        for source in EXAMPLES.values()
        for line in lines(source)
        if line.startswith("assert ")
    ]

    assert printed == executed


def test_generate_with_different_seeds_for_variation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`text2` is the “Same as text1”, and `text3` a “Different result”."""
    found = run("different seeds")

    assert found["text1"] == found["text2"]
    assert found["text1"] != found["text3"]
    assert (
        f"Seed 123: {found['text1'][:50]}...\nSeed 456: {found['text3'][:50]}...\n"
        == capsys.readouterr().out
    )


def test_temperature_controls_randomness_against_determinism() -> None:
    """Three temperatures give three texts; the same prompt, seed and temperature
    one.
    """
    found = run("temperatures")

    assert 3 == len({found["deterministic"], found["balanced"], found["creative"]})


@pytest.mark.parametrize("name", ["openai", "openai structured"])
def test_openai_without_a_key_is_a_clear_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A remote model that cannot be used is an error that names it, not a text of
    another model.
    """
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match=r"openai:gpt-4o-mini.*OPENAI_API_KEY"):
        run(name)


def test_reproducible_streaming_with_custom_seeds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The second stream has the “same result” as the first, the third a “different
    result”.
    """
    run("reproducible streaming")
    first, second, third = (
        part.split("):\n", 1)[1]
        for part in capsys.readouterr().out.split("\n\nStream ")
    )

    assert steadytext.generate("Tell me a joke", seed=123) == first == second
    assert steadytext.generate("Tell me a joke", seed=456) == third != first


def test_stream_with_different_creativity_levels(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the three streams print is the text of `generate` for each."""
    run("streaming temperatures")
    settings = [("Write a haiku", 0.0), ("Write a haiku", 0.8), ("Story", 0.5)]

    assert (
        "".join(
            steadytext.generate(prompt, temperature=one) for prompt, one in settings
        )
        == capsys.readouterr().out
    )


def test_deterministic_behavior() -> None:
    """Its five assertions hold."""
    run("deterministic behavior")


def test_custom_seed_use_cases() -> None:
    """Three seeds give three texts, two versions differ, and every prompt has its
    result and its seed.
    """
    prompts = ["Why is the sky blue?", "Tell me about rivers", "Describe a garden"]
    found = run("custom seeds", research_prompts=prompts)

    assert 3 == len({found["baseline"], found["variation1"], found["variation2"]})
    assert found["version_a"] != found["version_b"]
    assert [
        (prompt, steadytext.generate(prompt, seed=42 + i))
        for i, prompt in enumerate(prompts)
    ] == found["results"]


def test_caching() -> None:
    """Its assertions hold; the second calls came from the cache, and each combination
    has an entry.
    """
    found = run("caching")
    cached = [
        found[name].metadata["cached"] for name in ("text1", "text2", "text3", "text4")
    ]
    combinations = [
        (seed, temperature)
        for seed in (100, 200, 300)
        for temperature in (0.0, 0.5, 1.0)
    ]
    warm = [
        steadytext.generate("warm up cache", seed=seed, temperature=one)
        for seed, one in combinations
    ]

    assert [False, True, False, True] == cached
    assert all(text.metadata["cached"] for text in warm)


def test_fallback_with_a_model() -> None:
    """Its assertions hold of a model too."""
    found = run("fallback")

    assert not found["text1"].metadata["fallback"]


def test_fallback_without_models() -> None:
    """Its assertions hold in a process that cannot import llama.cpp's binding."""
    program = (
        "import sys, warnings\n"
        "sys.modules['llama_cpp'] = None\n"
        "warnings.simplefilter('ignore', RuntimeWarning)\n"
        # A model that is named would be an error instead.
        "import os\n"
        "os.environ.pop('THEMIS_MODEL', None)\n"
        f"{IMPORT}\n{EXAMPLES['fallback']}\n"
        "assert all(text.metadata['fallback'] for text in [text1, text2, text3, *fallback_texts])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (0, "") == (done.returncode, done.stderr)


def test_handling_invalid_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    """Empty, very long, special and multi-line prompts: each gives a text, and the
    example prints it.
    """
    found = run("invalid inputs")
    texts = [
        found[name]
        for name in ("empty_result", "result", "unicode_result", "multiline")
    ]

    assert all(isinstance(text, str) for text in texts)
    assert [False, True, False, False] == [
        text.metadata["dropped_prompt_tokens"] > 0 for text in texts
    ]
    assert (
        f"Long prompt handled: {len(found['result'])} chars generated"
        in capsys.readouterr().out
    )


def test_memory_efficient_streaming(capsys: pytest.CaptureFixture[str]) -> None:
    """It writes the text of `generate`, and how many pieces it came in."""
    found = run("memory-efficient streaming")
    written, _, count = capsys.readouterr().out.rpartition("\nGenerated ")
    prompt = "Write a comprehensive guide to Python programming"

    assert steadytext.generate(prompt) == written
    assert f"{len(list(steadytext.generate_iter(prompt)))} tokens\n" == count
    assert callable(found["stream_large_generation"])


def test_concurrent_generation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None fails, and four threads at once give what one call after the other does,
    decoded anew.
    """
    found = run("concurrent generation")
    monkeypatch.setenv("THEMIS_CACHE", "off")
    alone = {
        prompt: steadytext.generate(prompt, seed=seed)
        for seed, prompt in enumerate(found["prompts"])
    }

    assert alone == found["results"]
    assert not any(
        text.metadata["cached"]
        for text in [*alone.values(), *found["results"].values()]
    )
    assert "✗" not in capsys.readouterr().out


def test_custom_generation_pipeline() -> None:
    """It “generates different outputs due to incremental seeding”."""
    found = run("custom pipeline")

    assert 3 == len({found["response1"], found["response2"], found["response3"]})


def test_template_based_generation() -> None:
    """A text from a template, and one for each set of variables with a seed of its
    own.
    """
    found = run("template-based generation")
    prompt = "Create a step-by-step tutorial on metaclasses for advanced programmers"

    assert isinstance(found["function_code"], str)
    assert ["async programming", "decorators", "metaclasses"] == [
        tutorial["variables"]["topic"] for tutorial in found["tutorials"]
    ]
    assert steadytext.generate(prompt, seed=44) == found["tutorials"][2]["output"]


def test_context_aware_generation() -> None:
    """Each part follows from the parts before it; without context the prompt stands
    alone.
    """
    found = run("context-aware generation")
    first, second = (
        "Once upon a time in a digital kingdom",
        "The hero discovered a mysterious artifact",
    )
    context = f"Previous: {first} -> {found['part1'][:100]}...\n\nNow: {second}"

    assert steadytext.generate(first) == found["part1"]
    assert steadytext.generate(context, seed=43) == found["part2"]
    assert (
        steadytext.generate("Suddenly, the artifact began to glow")
        == found["part3_no_context"]
        != found["part3"]
    )


def test_generation_analytics(capsys: pytest.CaptureFixture[str]) -> None:
    """Five generations are counted, the three of one prompt with the same words."""
    found = run("generation analytics")
    previews = [metric.output_preview for metric in found["monitor"].metrics]

    assert previews[0] == previews[1] == previews[3]
    assert "- Total generations: 5\n" in capsys.readouterr().out


@pytest.fixture
def client() -> Any:
    pytest.importorskip("flask")
    return run("flask")["app"].test_client()


def test_flask_web_service(client: Any) -> None:
    """The answer is JSON with the text of `generate`."""
    answer = client.post(
        "/generate", json={"prompt": "Write a story", "seed": 7, "max_tokens": 20}
    )
    text = steadytext.generate("Write a story", seed=7, max_new_tokens=20)

    assert 200 == answer.status_code
    assert {
        "prompt": "Write a story",
        "seed": 7,
        "generated_text": text,
        "token_count": len(text.split()),
    } == answer.get_json()


@pytest.mark.parametrize(
    ("request_", "status", "problem"),
    [
        ({}, 400, "No prompt provided"),
        ({"prompt": "Hello", "seed": "seven"}, 500, "seed='seven'"),
        ({"prompt": "Hello", "max_tokens": 0}, 500, "max_new_tokens=0"),
    ],
)
def test_flask_web_service_refuses(
    client: Any, request_: dict[str, Any], status: int, problem: str
) -> None:
    """Without a prompt the service answers 400, and what `generate` refuses reaches the
    client as it says it.
    """
    answer = client.post("/generate", json=request_)

    assert status == answer.status_code
    assert problem in answer.get_json()["error"]


def test_flask_streaming(client: Any) -> None:
    """An event for each piece of the stream, between one that starts and one that
    completes.
    """
    answer = client.post(
        "/generate/stream", json={"prompt": "Write a story", "seed": 7}
    )
    first, *events, last = [
        line.removeprefix("data: ")
        for line in answer.get_data(as_text=True).split("\n\n")
        if line
    ]

    assert "text/event-stream" == answer.mimetype
    assert ({"status": "starting"}, {"status": "complete"}) == (
        json.loads(first),
        json.loads(last),
    )
    assert list(steadytext.generate_iter("Write a story", seed=7)) == [
        json.loads(event)["token"] for event in events
    ]


def test_async_generation_with_asyncio(capsys: pytest.CaptureFixture[str]) -> None:
    """One text, then four at once. The example hands its seeds over by position, so
    they are lengths: 42 to 45.
    """
    run("asyncio")
    printed = capsys.readouterr().out
    fourth = steadytext.generate("Create an async API client", 45)

    assert (
        f"Single result: {steadytext.generate('Write async Python code')[:100]}...\n\n"
        in printed
    )
    assert "Generated 4 texts in " in printed
    assert f"\n4. Create an async API client:\n{fourth[:100]}...\n" in printed
