"""Few-shot examples: which cases of a pool go before a case, and how they are laid out.

Examples come first, so that the cases that share them share the beginning of their
prompts, which local engines and providers keep.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from themis_lib.core.config import FewShot
from themis_lib.core.parts import is_parts
from themis_lib.core.prompts import is_conversation, render_input
from themis_lib.core.templates import PromptTemplate
from themis_lib.data.part_files import PartFiles
from themis_lib.errors import ConfigError, RowError, nearest
from themis_lib.identity.digests import canonical_json, digest, load_json

_PLACE = "generation.few_shot"
#: OpenAI's reasoning models have a name of their own for it.
_SYSTEM_ROLES = ("system", "developer")


@dataclass(frozen=True)
class Example:
    """A case of the pool: its id, its input as JSON, what is asked, and its answer.

    `stratum` is the group that a stratified choice takes it from.
    """

    case_id: str
    input: str
    prompt: JsonValue
    answer: str
    stratum: str

    @cached_property
    def content(self) -> str:
        """Everything of the example that can be seen in a prompt, digested."""
        return digest("example", [self.prompt, self.answer])


class FewShotExamples:
    """The examples of a pool, and the choice among them.

    Examples that look the same are one. Raises `ConfigError` if the pool has too few, or
    lacks one that is asked for.
    """

    def __init__(
        self,
        settings: FewShot,
        pool: Sequence[Example],
        files: PartFiles | None = None,
    ) -> None:
        self._settings = settings
        #: The files that the examples' inputs name.
        self.files = files or PartFiles()
        if settings.layout == "text" and any(
            is_conversation(item.prompt) for item in pool
        ):
            raise ConfigError(
                f"{_PLACE}: the prompts are conversations, and so are their examples: "
                "write `layout: turns`"
            )
        if settings.layout == "text" and any(is_parts(item.prompt) for item in pool):
            raise ConfigError(
                f"{_PLACE}: the prompts are made of content parts, which no text can "
                "hold: write `layout: turns`"
            )
        self._ranked = _ranked(settings, pool)
        if len(self._ranked) < settings.k:
            raise ConfigError(
                f"{_PLACE}: k is {settings.k}, and the pool has {len(self._ranked)} "
                "different example(s) with an expected output"
            )

    @property
    def identity(self) -> dict[str, Any]:
        """The settings of choice and layout."""
        return self._settings.model_dump(mode="json", exclude={"data"})

    @cached_property
    def digest(self) -> str:
        """The digest of the examples, in the order of choice."""
        contents = [[item.input, item.content] for item in self._ranked]
        return digest("examples", contents)

    def choose(
        self,
        case_input: str,
        prompt: JsonValue,
    ) -> list[Example]:
        """Return the examples of a case: never the case itself.

        A case is known by its input as JSON, and by its prompt: a column that no prompt
        shows may tell the inputs apart. There are fewer examples where the whole pool is
        needed and the case is in it.
        """
        chosen: list[Example] = []
        for example in self._ranked_for(case_input):
            if len(chosen) == self._settings.k:
                break
            if example.input != case_input and example.prompt != prompt:
                chosen.append(example)
        return chosen

    def _ranked_for(self, case_input: str) -> Iterable[Example]:
        """Return the examples in the order in which a case takes them."""
        if not self._settings.per_case:
            return self._ranked
        # The smallest of n numbers: an example that is added or removed displaces it in
        # few cases, where a draw of positions would change in all.
        drawn = _mix(self._numbers ^ _number([self._settings.seed, case_input]))
        order = np.argsort(drawn, kind="stable")
        return (self._ranked[position] for position in order)

    @cached_property
    def _numbers(self) -> npt.NDArray[np.uint64]:
        numbers = [_number(example.content) for example in self._ranked]
        return np.array(numbers, dtype=np.uint64)

    def lay_out(
        self,
        chosen: Sequence[Example],
        prompt: JsonValue,
    ) -> JsonValue:
        """Return examples and prompt as one text, or as turns of a conversation."""
        if self._settings.layout == "turns":
            return _as_turns(chosen, prompt)
        # One conversation among texts: nothing can go before its first turn.
        if is_conversation(prompt):
            raise RowError("few-shot examples as text cannot go before a conversation")
        if is_parts(prompt):
            raise RowError(
                "few-shot examples as text cannot go before content parts; write "
                "`layout: turns`"
            )
        between = self._settings.answer_separator
        texts = []
        for example in chosen:
            texts.append(f"{render_input(example.prompt)}{between}{example.answer}")
        return self._settings.separator.join([*texts, render_input(prompt)])


def examples_of(
    rows: Iterable[tuple[str, str, str | None, Any]],
    settings: FewShot,
    template: PromptTemplate | None,
    files: PartFiles | None = None,
) -> FewShotExamples:
    """Return the examples of a pool's cases, with their inputs rendered.

    A row is a case: id, input and expected output as JSON, metadata. Cases without an
    expected output are no examples. `files` are those that the inputs name. Raise
    `RowError` for an input that the template cannot be rendered for, `ConfigError` as
    `FewShotExamples` does.
    """
    pool = []
    for case_id, case_input, expected, metadata in rows:
        if expected is None:
            continue
        value = load_json(case_input)
        try:
            prompt = value if template is None else template.render(value)
        except RowError as error:
            raise RowError(f"case {case_id!r}: {error}") from None
        answer = load_json(expected)
        stratum: Any = answer
        if settings.by is not None:
            if settings.by not in metadata:
                raise ConfigError(
                    f"{_PLACE}.by: case {case_id!r} has no metadata {settings.by!r}; "
                    f"{nearest(settings.by, metadata)}"
                )
            stratum = metadata[settings.by]
        pool.append(
            Example(
                case_id=case_id,
                input=case_input,
                prompt=prompt,
                answer=render_input(answer),
                stratum=canonical_json(stratum),
            )
        )
    return FewShotExamples(settings, pool, files)


def _ranked(
    settings: FewShot,
    pool: Sequence[Example],
) -> list[Example]:
    """Return the examples in the order in which they are chosen."""
    if settings.choose == "first":
        return _different(pool)
    if isinstance(settings.choose, list):
        return _different(_named(settings.choose, pool))
    # By content, not by place: a pool that grows displaces few.
    drawn = sorted(
        pool,
        key=lambda item: (
            digest("draw", [settings.seed, item.content]),
            # Among those that look the same, one of whatever order.
            item.stratum,
            item.input,
        ),
    )
    different = _different(drawn)
    return different if settings.choose == "seeded" else _round_robin(different)


def _different(examples: Iterable[Example]) -> list[Example]:
    """Return the first of those examples that look the same, in order."""
    first: dict[str, Example] = {}
    for example in examples:
        first.setdefault(example.content, example)
    return list(first.values())


def _named(
    case_ids: Sequence[str],
    pool: Sequence[Example],
) -> list[Example]:
    """Return the examples with these ids, in the order of the ids."""
    by_id: dict[str, Example] = {}
    for example in pool:
        if example.case_id in by_id and example.case_id in case_ids:
            raise ConfigError(
                f"{_PLACE}.choose: the pool has more than one case {example.case_id!r}"
            )
        by_id[example.case_id] = example
    for case_id in case_ids:
        if case_id not in by_id:
            raise ConfigError(
                f"{_PLACE}.choose: the pool has no case {case_id!r} with an expected "
                f"output; {nearest(case_id, by_id)}"
            )
    return [by_id[case_id] for case_id in case_ids]


def _number(content: Any) -> np.uint64:
    return np.uint64(int(digest("draw", content)[:16], 16))


def _mix(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return numbers in which every bit depends on all (SplitMix64, Steele et al. 2014)."""
    mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _round_robin(examples: Sequence[Example]) -> list[Example]:
    """Return the first of each stratum, then the second of each, and so on."""
    strata: dict[str, list[Example]] = {}
    for example in examples:
        strata.setdefault(example.stratum, []).append(example)
    ranked = []
    for place in range(max(map(len, strata.values()), default=0)):
        for name in sorted(strata):
            ranked += strata[name][place : place + 1]
    return ranked


def _as_turns(
    chosen: Sequence[Example],
    prompt: JsonValue,
) -> JsonValue:
    """Return a conversation: what is said to the model once, examples, then the case."""
    # What a template says as system comes once, before the examples.
    said, asked = _system_first(_turns(prompt))
    conversation: list[JsonValue] = [*said]
    for example in chosen:
        _, shown = _system_first(_turns(example.prompt))
        conversation += [*shown, {"role": "assistant", "content": example.answer}]
    return conversation + asked


def _system_first(turns: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the system messages that a conversation begins with, and its other turns."""
    said = list(takewhile(lambda turn: turn["role"] in _SYSTEM_ROLES, turns))
    return said, turns[len(said) :]


def _turns(prompt: JsonValue) -> list[Any]:
    if is_conversation(prompt):
        turns: Any = prompt
        return list(turns)
    if is_parts(prompt):
        return [{"role": "user", "content": prompt}]
    return [{"role": "user", "content": render_input(prompt)}]
