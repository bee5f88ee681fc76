"""Prompts that begin alike: the order they are sent in, and which of them go ahead."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.asking import questions
from tests.support.prompt_cache import PromptCache
from tests.support.provider_server import ProviderServer
from tests.support.tables import tables_of
from themis_lib import Experiment, InMemoryRunStore, PromptSpec, RuntimeConfig
from themis_lib.adapters import openai
from themis_lib.stages.prefixes import prefix_names, sending_order, sent_prefixes

BLOCK = 4096


def document(name: str, length: int = 2 * BLOCK) -> str:
    return (f"{name} " * length)[:length]


def test_names_are_of_whole_blocks() -> None:
    """Short prompts have none, and long ones that begin alike have them in common."""
    first, second = document("a") + "x", document("a") + "y"

    assert [] == prefix_names("a" * (BLOCK - 1))
    assert 2 == len(prefix_names(first))
    assert prefix_names(first) == prefix_names(second)
    assert prefix_names(first)[:1] == prefix_names(first[: BLOCK + 1])
    assert not set(prefix_names(first)) & set(prefix_names("b" + first))


def test_prompts_with_a_prefix_follow_each_other() -> None:
    """The first prompts go ahead, and the others follow when those may be answered."""
    texts = [document("ab"[at % 2]) + str(at) for at in range(8)]

    assert [0, 1, 2, 4, 6, 3, 5, 7] == sending_order(texts, in_flight=2)
    assert [0, 1, 2, 4, 6, 3, 5, 7] == sending_order(texts, in_flight=100)


def test_other_prompts_fill_the_distance() -> None:
    """So that nobody waits for the first one."""
    texts = [document("a") + "1", document("a") + "2", "x", "y", "z"]

    assert [0, 2, 1, 3, 4] == sending_order(texts, in_flight=2)
    assert [0, 2, 3, 4, 1] == sending_order(texts, in_flight=9)


@given(
    texts=st.lists(
        st.tuples(st.sampled_from(["", "a", "b"]), st.text(max_size=3)), max_size=20
    ),
    in_flight=st.integers(1, 40),
)
def test_order_is_a_permutation(texts: list[tuple[str, str]], in_flight: int) -> None:
    """Every prompt is sent once; without a shared prefix they stay in their order."""
    prompts = [(document(name) if name else "") + rest for name, rest in texts]

    order = sending_order(prompts, in_flight=in_flight)

    assert list(range(len(prompts))) == sorted(order)
    names = [name for name, _ in texts if name]
    if len(names) == len(set(names)):
        assert list(range(len(prompts))) == order


async def begun(names: list[list[bytes]], first_s: float) -> list[float]:
    """When each prompt is sent, the first of them being answered after so long."""
    sent = sent_prefixes("test")
    start = time.monotonic()

    async def ask(at: int) -> float:
        async with sent.after_first(names[at]):
            began = time.monotonic() - start
            await asyncio.sleep(first_s if at == 0 else 0)
            return began

    return await asyncio.gather(*map(ask, range(len(names))))


def test_others_follow_the_first_reply() -> None:
    """And whoever shares nothing with it waits for nobody."""
    same = prefix_names(document("a"))

    first, second, other, short = asyncio.run(
        begun([same, same, prefix_names(document("b")), []], 0.2)
    )

    assert max(first, other, short) < 0.1
    assert 0.19 < second < 1


def ask_with_cache(
    server: ProviderServer, inputs: list[str], spec: PromptSpec | None = None
) -> Experiment:
    return questions(
        openai(
            "gpt", api_mode="chat_completions", base_url=server.url, api_key="sk-test-1"
        ),
        inputs=inputs,
        prompt_spec=spec or PromptSpec(),
    ).model_copy(update={"runtime": RuntimeConfig(max_concurrency=8)})


@pytest.mark.parametrize(
    ("inputs", "spec", "misses"),
    [
        # Two documents in turn: one request each pays for it.
        ([document("ab"[at % 2]) + str(at) for at in range(16)], None, 2),
        ([str(at) for at in range(16)], PromptSpec(instructions=document("i")), 1),
    ],
    ids=["documents", "instructions"],
)
def test_one_request_for_each_prefix_misses_the_cache(
    inputs: list[str], spec: PromptSpec | None, misses: int
) -> None:
    """A prefix is in the provider's cache once one request with it was answered."""
    with ProviderServer(delay_s=0.1) as server:
        cache = PromptCache(server)
        run = ask_with_cache(server, inputs, spec).run()

    tokens = [
        each.usage.cached_tokens
        for case in run.cases
        for each in case.generated_candidates
    ]  # type: ignore[union-attr]
    assert (16 - misses, misses) == (cache.hits, cache.misses)
    assert misses == tokens.count(0)


def test_order_changes_no_table() -> None:
    """A run that sends rows in another order gives the same tables."""
    inputs = [document("ab"[at % 2]) + str(at) for at in range(6)]
    with ProviderServer() as server:
        whole = ask_with_cache(server, inputs).run()
        store = InMemoryRunStore()
        ask_with_cache(server, inputs[3:]).run(store)
        later = ask_with_cache(server, inputs).run(store)

    assert tables_of(whole) == tables_of(later)


def test_prompts_without_a_shared_prefix_wait_for_nobody() -> None:
    """All of them are in flight at once."""
    with ProviderServer(delay_s=0.2) as server:
        ask_with_cache(server, [document(str(at)) for at in range(9)]).run()

        # The first request of a generator goes ahead, whatever it asks.
        assert 8 == server.most_in_flight
