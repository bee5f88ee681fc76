"""Text for when no model can be loaded at all: no answer, but the same one for the same
prompt and seed.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import warnings
from collections.abc import Iterator, Sequence

#: Words in a text, unless `max_new_tokens` ends it sooner.
MIN_WORDS, MAX_WORDS = 40, 120
_SUBJECTS = (
    "the river,the old clock,a careful reader,the northern road,the garden,a quiet "
    "engine,the harbour,the first letter,"
    "a small lamp,the mountain,the weaver,an honest answer,the long winter,the bridge,"
    "a young teacher,the orchard,"
    "the map,the evening train,a patient gardener,the library,the stone wall,a distant "
    "bell,the baker,the tide"
)
_VERBS = (
    "follows,remembers,carries,opens,answers,crosses,measures,keeps,brings,shelters,"
    "finds,describes,"
    "repeats,changes,gathers,reaches,welcomes,counts,leaves,mends,guides,holds,watches,explains"
)
_OBJECTS = (
    "the morning light,a simple question,every open window,the same path,a box of "
    "letters,the slow water,"
    "two ripe apples,the edge of the field,a story without an end,the sound of rain,"
    "its own shadow,the broken gate,"
    "a page of numbers,the warm kitchen,the next village,a promise,the open sea,a "
    "handful of seeds,the empty square,"
    "what was lost,the last step,a blue door,the winding stairs,the city below"
)
_ENDINGS = (
    "before the day begins,without a word,in the early spring,for a little while,as it "
    "did the year before,"
    "when nobody is looking,beside the water,with great care,until the snow melts,once "
    "more,after a long silence,"
    "far from home,and then rests,in the old way,under a clear sky,between two seasons"
)
_LINKS = "Later,Meanwhile,In the end,At times,Even so,Now and then,Afterwards,In turn"


def fallback_pieces(
    prompt: str,
    *,
    seed: int,
    max_new_tokens: int,
    choices: Sequence[str] | None = None,
) -> list[str]:
    """The pieces of a text that depends on nothing but its arguments; joined, they are
    the text.

    A piece is a word with the space before it; there are at most `max_new_tokens`, and
    fewer are a prefix of more. With `choices`, the one piece is one of them.

    >>> "".join(fallback_pieces("Hello", seed=42, max_new_tokens=6))
    'The river keeps the city below'
    >>> fallback_pieces("Hello", seed=42, max_new_tokens=6, choices=["yes", "no"])
    ['no']
    """
    draws = _draw_numbers(prompt, seed)
    if choices:
        return [choices[next(draws) % len(choices)]]
    wanted = MIN_WORDS + next(draws) % (MAX_WORDS - MIN_WORDS - 20)
    words: list[str] = []
    while len(words) < wanted:
        words += _make_sentence(draws, opening=not words).split(" ")
    return [
        word if index == 0 else f" {word}"
        for index, word in enumerate(words[:max_new_tokens])
    ]


def _make_sentence(
    draws: Iterator[int],
    *,
    opening: bool,
) -> str:
    subject, verb, thing, ending = (
        _pick_phrase(draws, words) for words in (_SUBJECTS, _VERBS, _OBJECTS, _ENDINGS)
    )
    link = _pick_phrase(draws, _LINKS)
    body = f"{subject} {verb} {thing} {ending}."
    if opening or next(draws) % 3:
        return body[0].upper() + body[1:]
    return f"{link}, {body}"


def _pick_phrase(
    draws: Iterator[int],
    phrases: str,
) -> str:
    options = phrases.split(",")
    return options[next(draws) % len(options)]


def _draw_numbers(
    prompt: str,
    seed: int,
) -> Iterator[int]:
    """64-bit numbers, each the BLAKE2b of its position under a key made of the prompt
    and the seed.
    """
    content = f"themis/fallback/1\n{seed}\n{prompt}".encode("utf-8", "surrogatepass")
    key = hashlib.blake2b(content).digest()
    for position in itertools.count():
        yield int.from_bytes(
            hashlib.blake2b(
                position.to_bytes(8, "little"),
                key=key,
                digest_size=8,
            ).digest(),
            "little",
        )


@functools.cache
def warn_fallback(reason: str) -> None:
    """Say, once per process and reason, that texts come from no model."""
    warnings.warn(
        f"no model could be loaded, so a fixed text stands in for what one would say: {reason}",
        RuntimeWarning,
        stacklevel=3,
    )
