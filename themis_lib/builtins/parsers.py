"""The answer read from a candidate's output. Where there is none, a null and the
reason, never a guess.

Parsers read the output alone. One that is no text is read as it is by `json_identity`
and `json_path`, as a number by `number`, and as its canonical JSON text by `text` and
`regex`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from themis_lib.builtins.boxed import last_box, trimmed_math
from themis_lib.builtins.choices import check_choices, named_choice
from themis_lib.builtins.json_paths import Steps, documents, path_steps, value_at
from themis_lib.builtins.numbers import Percent, read_number
from themis_lib.components.builtin import Builtin
from themis_lib.core.contexts import ParseContext
from themis_lib.core.models import GenerationResult, ParsedOutput
from themis_lib.errors import ComponentError, nearest
from themis_lib.identity.digests import canonical_json


class _Parser(Builtin):
    """A parser of outputs that are not null."""

    reads: ClassVar[tuple[str, ...]] = ("output",)
    format: ClassVar[str]

    def parse(
        self,
        result: GenerationResult,
        ctx: ParseContext,
    ) -> ParsedOutput:
        """The answer, or why there is none."""
        if result.final_output is None:
            return self._missing_value("the output is null")
        return self._parse_output(result.final_output)

    def _parse_output(self, output: Any) -> ParsedOutput:
        raise NotImplementedError

    def _found_value(self, value: Any) -> ParsedOutput:
        return ParsedOutput(
            value=value,
            format=self.format,
        )

    def _missing_value(self, reason: str) -> ParsedOutput:
        return ParsedOutput(
            format=self.format,
            error=reason,
        )


@dataclass(frozen=True)
class JsonIdentity(_Parser):
    """The output as it is, any JSON value; a text that happens to be JSON stays a text."""

    component_id: ClassVar[str] = "builtin/json_identity"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "json"

    def _parse_output(self, output: Any) -> ParsedOutput:
        return self._found_value(output)


@dataclass(frozen=True)
class Text(_Parser):
    """The output as text without the space around it; a blank text is no answer."""

    component_id: ClassVar[str] = "builtin/text"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "text"

    def _parse_output(self, output: Any) -> ParsedOutput:
        text = as_text(output).strip()
        return (
            self._found_value(text)
            if text
            else self._missing_value("the output is blank")
        )


@dataclass(frozen=True)
class Regex(_Parser):
    """What a regular expression (Python's `re`) matches in the output.

    `group` is the number or the name of the group that holds the answer: by default the
    first, or the whole match where the pattern has no groups. `which` says which of
    several matches counts. Other flags stand in the pattern: `(?m)`, `(?s)`.
    """

    component_id: ClassVar[str] = "builtin/regex"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "text"

    pattern: str
    group: int | str | None = None
    which: Literal["first", "last"] = "last"
    ignore_case: bool = False

    def check_settings(self) -> None:
        """Raises `ComponentError` for a setting of another type, a malformed pattern or
        a group it lacks.
        """
        super().check_settings()
        where, groups = (
            f"{self.component_id}: pattern {self.pattern!r}",
            self._compiled_pattern.groups,
        )
        if isinstance(self.group, int) and not 0 <= self.group <= groups:
            raise ComponentError(
                f"{where} has no group {self.group}; the last is {groups}"
            )
        if (
            isinstance(self.group, str)
            and self.group not in self._compiled_pattern.groupindex
        ):
            raise ComponentError(
                f"{where} has no group {self.group!r}; {nearest(self.group, self._compiled_pattern.groupindex)}"
            )

    @cached_property
    def _compiled_pattern(self) -> re.Pattern[str]:
        return compile_pattern(
            self.pattern,
            where=self.component_id,
            ignore_case=self.ignore_case,
        )

    @cached_property
    def _answer_group(self) -> int | str:
        if self.group is None:
            return 1 if self._compiled_pattern.groups else 0
        return self.group

    def _parse_output(self, output: Any) -> ParsedOutput:
        matches = self._compiled_pattern.finditer(as_text(output))
        match = next(matches, None) if self.which == "first" else _last_match(matches)
        if match is None:
            return self._missing_value("the pattern matches nothing in the output")
        value = match[self._answer_group]
        return (
            self._missing_value("the group is not part of the match")
            if value is None
            else self._found_value(value)
        )


@dataclass(frozen=True)
class Number(_Parser):
    """The final number in the output, as `read_number` reads it: an integer where it is
    whole, or a float.
    """

    component_id: ClassVar[str] = "builtin/number"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "number"

    percent: Percent = "number"

    def _parse_output(self, output: Any) -> ParsedOutput:
        number = read_number(output, percent=self.percent)
        return (
            self._missing_value("no number in the output")
            if number is None
            else self._found_value(number)
        )


@dataclass(frozen=True)
class ChoiceLetter(_Parser):
    """The option that the output names as the answer, as it stands in `choices`.

    In order of weight: a statement (`the answer is B`, `Answer: (B)`, `\\boxed{B}`, `B
    is correct`), the last of several; a conclusion (`so B.`, `I choose B.`); the only
    option whose label begins a line (`B) Paris`) or fills it (`b`); the only option in
    bold (`**B**`). One named beside another (`B or C`), or as wrong, does not count.
    """

    component_id: ClassVar[str] = "builtin/choice_letter"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "choice"

    choices: str = "ABCD"

    def check_settings(self) -> None:
        """Raises `ComponentError` unless `choices` are two or more different letters or
        digits.
        """
        super().check_settings()
        check_choices(self, self.choices)

    def _parse_output(self, output: Any) -> ParsedOutput:
        choice = named_choice(output, self.choices) if isinstance(output, str) else None
        return (
            self._missing_value("no option is named as the answer")
            if choice is None
            else self._found_value(choice)
        )


@dataclass(frozen=True)
class MathAnswer(_Parser):
    r"""The LaTeX in the last `\boxed{…}` or `\fbox{…}` whose braces match, or behind a
    bare `\boxed 5`.

    Space around it, dollar signs around it and a final period are removed; nothing else
    is changed.
    """

    component_id: ClassVar[str] = "builtin/math_answer"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "latex"

    def _parse_output(self, output: Any) -> ParsedOutput:
        content = last_box(output) if isinstance(output, str) else None
        if content is None:
            return self._missing_value(r"no \boxed{…} in the output")
        answer = trimmed_math(content)
        return (
            self._found_value(answer)
            if answer
            else self._missing_value(r"the last \boxed{…} is empty")
        )


@dataclass(frozen=True)
class JsonPath(_Parser):
    """The value at a path in a JSON document: `answer`, `$.items[0].name`, `$["a
    key"]`, `[-1]`; `$` is all.

    The output is a JSON value, or a text that is or holds a JSON document. Fenced
    blocks are tried before running text, and later documents before earlier ones; the
    first that has the path counts.
    """

    component_id: ClassVar[str] = "builtin/json_path"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "json"

    path: str

    def check_settings(self) -> None:
        """Raises `ComponentError` for a malformed path."""
        super().check_settings()
        _ = self._path_steps

    @cached_property
    def _path_steps(self) -> Steps:
        return path_steps(self.path, where=self.component_id)

    def _parse_output(self, output: Any) -> ParsedOutput:
        reason = "no JSON document in the output"
        for document in documents(output) if isinstance(output, str) else [output]:
            try:
                value = value_at(document, self._path_steps)
                canonical_json(value)
            except LookupError:
                reason = f"nothing at {self.path!r} in the output"
            except ValueError:
                reason = f"the value at {self.path!r} is not JSON"
            else:
                if value is not None:
                    return self._found_value(value)
                return self._missing_value(f"null at {self.path!r} in the output")
        return self._missing_value(reason)


def as_text(value: Any) -> str:
    """A text as it is, any other JSON value as canonical JSON.

    >>> as_text("4"), as_text(4), as_text(True)
    ('4', '4', 'true')
    """
    return value if isinstance(value, str) else canonical_json(value)


def compile_pattern(
    pattern: str,
    *,
    where: str,
    ignore_case: bool = False,
) -> re.Pattern[str]:
    """The compiled pattern. Raises `ComponentError` naming the pattern and the position
    of what is wrong.
    """
    try:
        return re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        place = "" if error.pos is None else f" at position {error.pos}"
        raise ComponentError(
            f"{where}: pattern {pattern!r}: {error.msg}{place}"
        ) from None
    except (OverflowError, RecursionError) as error:
        raise ComponentError(f"{where}: pattern {pattern!r}: {error}") from None


def _last_match(matches: Iterator[re.Match[str]]) -> re.Match[str] | None:
    return next(iter(deque(matches, maxlen=1)), None)
