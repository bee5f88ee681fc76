"""The answer read from a candidate's output.

Without an answer there is a null and the reason, never a guess.

Parsers read the output alone, and only with `whole` the thought in front of it. In a
text, all but `json_identity` look only at what `answer_text` leaves of it. An output
other than text is read as it is by `json_identity` and `json_path`, as a number by
`number`, and as its canonical JSON text by `text` and `regex`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeAlias

from themis_lib.bounded.patterns import MAX_CPU_S, Seconds, match_texts
from themis_lib.builtins.boxed import last_box, trimmed_math
from themis_lib.builtins.json_paths import Steps, documents, path_steps, value_at
from themis_lib.builtins.reasons import NoNumber
from themis_lib.builtins.shared_settings import Percent, check_choices
from themis_lib.components.builtin import Builtin
from themis_lib.core.contexts import ParseContext
from themis_lib.core.models import GenerationResult, ParsedOutput
from themis_lib.errors import ComponentError, RowError, nearest
from themis_lib.identity.digests import canonical_json

# What reads answers in texts is imported where it is used: its patterns take long to
# compile, and a run whose answers are in the store reads none.
_Pattern: TypeAlias = re.Pattern[str]


class OutputParser(Builtin):
    """A parser of outputs that are not null. Subclasses implement `_parse_output`."""

    reads: ClassVar[tuple[str, ...]] = ("output",)
    format: ClassVar[str]

    def parse(
        self,
        result: GenerationResult,
        ctx: ParseContext,
    ) -> ParsedOutput:
        """Return the answer, or the reason there is none."""
        output = result.final_output
        if output is None:
            return self._no_answer("the output is null")
        if isinstance(output, str) and not self.whole_output:
            from themis_lib.builtins.answer_text import answer_text

            try:
                output = answer_text(output)
            except ValueError as error:
                return self._no_answer(str(error))
        return self._parse_output(output)

    @property
    def whole_output(self) -> bool:
        """Whether thoughts, control tokens and made-up turns are read, too."""
        return False

    def _parse_output(self, output: Any) -> ParsedOutput:
        raise NotImplementedError

    def _answer_with(self, value: Any) -> ParsedOutput:
        return ParsedOutput(
            value=value,
            format=self.format,
        )

    def _no_answer(self, reason: str) -> ParsedOutput:
        return ParsedOutput(
            format=self.format,
            error=reason,
        )


@dataclass(frozen=True)
class JsonIdentity(OutputParser):
    """The output as it is, any JSON value. Text that happens to be JSON stays text."""

    component_id: ClassVar[str] = "builtin/json_identity"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "json"

    @property
    def whole_output(self) -> bool:
        return True

    def _parse_output(self, output: Any) -> ParsedOutput:
        return self._answer_with(output)


@dataclass(frozen=True)
class Text(OutputParser):
    """The output as text, without surrounding space. Blank text is no answer.

    With `whole`, thoughts, control tokens of chat templates and made-up turns behind
    the answer are kept.
    """

    component_id: ClassVar[str] = "builtin/text"
    version: ClassVar[str] = "2"
    format: ClassVar[str] = "text"

    whole: bool = False

    @property
    def whole_output(self) -> bool:
        """Whether thoughts, control tokens and made-up turns are read, too."""
        return self.whole

    def _parse_output(self, output: Any) -> ParsedOutput:
        text = as_text(output).strip()
        if not text:
            return self._no_answer("the output is blank")
        return self._answer_with(text)


@dataclass(frozen=True)
class Regex(OutputParser):
    """What a regular expression (Python's `re`) matches in the output.

    `group` is the number or name of the group that holds the answer. It defaults to the
    first, or to the whole match if the pattern has no groups. `which` says which of
    several matches counts. Other flags go into the pattern: `(?m)`, `(?s)`.

    `group_select` replaces both, as in the `regex` filter of lm-eval: it counts the
    matches from 0, or from -1 backwards, and the answer is the first group with text,
    without surrounding space.

    A match may take `max_cpu_s` seconds of processor time. If it takes longer, the row
    is an error that says so.

    With `whole`, thoughts, control tokens and made-up turns are searched, too.
    """

    component_id: ClassVar[str] = "builtin/regex"
    version: ClassVar[str] = "2"
    format: ClassVar[str] = "text"
    later_settings: ClassVar[frozenset[str]] = frozenset({"group_select", "max_cpu_s"})

    pattern: str
    group: int | str | None = None
    which: Literal["first", "last"] = "last"
    ignore_case: bool = False
    group_select: int | None = None
    max_cpu_s: Seconds = MAX_CPU_S
    whole: bool = False

    def check_settings(self) -> None:
        """Raise `ComponentError` for a mistyped setting.

        Also for a malformed pattern, and for a group that the pattern lacks.
        """
        super().check_settings()
        if self.group_select is not None and self.group is not None:
            raise ComponentError(
                f"{self.component_id}: group={self.group!r} and "
                f"group_select={self.group_select!r} both say what the answer is; "
                "give one"
            )
        compiled = self._compiled_pattern
        where = f"{self.component_id}: pattern {self.pattern!r}"
        last = compiled.groups
        if isinstance(self.group, int) and not 0 <= self.group <= last:
            raise ComponentError(
                f"{where} has no group {self.group}; the last is {last}"
            )
        names = compiled.groupindex
        if isinstance(self.group, str) and self.group not in names:
            raise ComponentError(
                f"{where} has no group {self.group!r}; {nearest(self.group, names)}"
            )

    @property
    def whole_output(self) -> bool:
        """Whether thoughts, control tokens and made-up turns are read, too."""
        return self.whole

    @cached_property
    def _compiled_pattern(self) -> _Pattern:
        return compile_pattern(
            self.pattern,
            where=self.component_id,
            ignore_case=self.ignore_case,
        )

    def _parse_output(self, output: Any) -> ParsedOutput:
        which = 0 if self.which == "first" else -1
        if self.group_select is not None:
            which = self.group_select
        try:
            texts = match_texts(
                self._compiled_pattern,
                as_text(output),
                which=which,
                cpu_s=self.max_cpu_s,
            )
        except RowError as error:
            return self._no_answer(f"{error}, or raise max_cpu_s")
        if texts is None:
            return self._no_answer("the pattern matches nothing in the output")
        value = self._answer_in(texts)
        # An alternative without the group matched: `(a)|b` in `b`.
        if value is None:
            return self._no_answer("the group is not part of the match")
        return self._answer_with(value)

    def _answer_in(self, texts: list[str | None]) -> str | None:
        """Return the answer of a match, whose groups are behind its whole text."""
        # Without groups the answer is the whole match.
        groups = texts[1:] or texts
        if self.group_select is not None:
            return next((text.strip() for text in groups if text), None)
        if self.group is None:
            return groups[0]
        position = self.group
        if isinstance(position, str):
            position = self._compiled_pattern.groupindex[position]
        return texts[position]


@dataclass(frozen=True)
class Number(OutputParser):
    """The final number in the output, as `read_number` reads it.

    It is an integer if it is whole, else a float.
    """

    component_id: ClassVar[str] = "builtin/number"
    version: ClassVar[str] = "2"
    format: ClassVar[str] = "number"

    percent: Percent = "number"

    def _parse_output(self, output: Any) -> ParsedOutput:
        from themis_lib.builtins.numbers import read_number

        number = read_number(
            output,
            percent=self.percent,
        )
        if isinstance(number, NoNumber):
            reason = f": {number.reason}" if number.reason else ""
            return self._no_answer(f"no number in the output{reason}")
        return self._answer_with(number)


@dataclass(frozen=True)
class ChoiceLetter(OutputParser):
    r"""The option that the output names as the answer, spelled as in `choices`.

    In order of precedence: a statement (`the answer is B`, `Answer: (B)`, `答案：B`,
    `\boxed{B}`, `B is correct`), the last of several, supposed ones (`it would be C`)
    after all others; a conclusion (`so B.`, `I choose B.`); the only option whose label
    begins a line (`B) Paris`) or fills it (`b`); the only option in bold (`**B**`). An
    option named as wrong does not count; several options (`B or C`) are no answer.
    """

    component_id: ClassVar[str] = "builtin/choice_letter"
    version: ClassVar[str] = "2"
    format: ClassVar[str] = "choice"

    choices: str = "ABCD"

    def check_settings(self) -> None:
        """Raise `ComponentError` unless `choices` are distinct letters or digits."""
        super().check_settings()
        check_choices(self, self.choices)

    def _parse_output(self, output: Any) -> ParsedOutput:
        from themis_lib.builtins.choices import named_choices

        named: list[str] = []
        # An option is named in words: the number 1 is not the option called 1.
        if isinstance(output, str):
            named = named_choices(output, self.choices)
        if not named:
            return self._no_answer("no option is named as the answer")
        if len(named) > 1:
            return self._no_answer(f"several options are named: {', '.join(named)}")
        return self._answer_with(named[0])


@dataclass(frozen=True)
class MathAnswer(OutputParser):
    r"""The LaTeX in the last `\boxed{…}` or `\fbox{…}`, or behind a bare `\boxed 5`.

    A box counts if its braces match. Surrounding space and dollar signs and a final
    period are removed; nothing else is changed.
    """

    component_id: ClassVar[str] = "builtin/math_answer"
    version: ClassVar[str] = "2"
    format: ClassVar[str] = "latex"

    def _parse_output(self, output: Any) -> ParsedOutput:
        content = None
        if isinstance(output, str):
            content = last_box(output)
        if content is None:
            return self._no_answer(r"no \boxed{…} in the output")
        answer = trimmed_math(content)
        # No falling back to an earlier box: the model's last word is empty.
        if not answer:
            return self._no_answer(r"the last \boxed{…} is empty")
        return self._answer_with(answer)


@dataclass(frozen=True)
class JsonPath(OutputParser):
    """The value at a path in a JSON document.

    A path is written as `answer`, `$.items[0].name`, `$["a key"]` or `[-1]`; `$` is the
    whole document.

    The output is a JSON value, or a text that is or holds a JSON document. Fenced
    blocks are tried before running text, and later documents before earlier ones; the
    first that has the path counts.
    """

    component_id: ClassVar[str] = "builtin/json_path"
    version: ClassVar[str] = "2"
    format: ClassVar[str] = "json"

    path: str

    def check_settings(self) -> None:
        """Raise `ComponentError` for a mistyped setting or a malformed path."""
        super().check_settings()
        # Reading the path raises.
        _ = self._path_steps

    @cached_property
    def _path_steps(self) -> Steps:
        return path_steps(
            self.path,
            where=self.component_id,
        )

    def _parse_output(self, output: Any) -> ParsedOutput:
        reason = "no JSON document in the output"
        found = documents(output) if isinstance(output, str) else [output]
        for document in found:
            try:
                value = value_at(document, self._path_steps)
                # Python's decoder accepts NaN and lone surrogates; JSON does not.
                canonical_json(value)
            except LookupError:
                reason = f"nothing at {self.path!r} in the output"
                continue
            except ValueError:
                reason = f"the value at {self.path!r} is not JSON"
                continue
            # A null is found, so no other document is tried, but it is no answer.
            if value is None:
                return self._no_answer(f"null at {self.path!r} in the output")
            return self._answer_with(value)
        # The reason of the last document that was tried.
        return self._no_answer(reason)


def as_text(value: Any) -> str:
    """Return text as it is, and any other JSON value as canonical JSON.

    >>> as_text("4"), as_text(4), as_text(True)
    ('4', '4', 'true')
    """
    if isinstance(value, str):
        return value
    return canonical_json(value)


def compile_pattern(
    pattern: str,
    *,
    where: str,
    ignore_case: bool = False,
) -> _Pattern:
    """Return the compiled pattern.

    Raise `ComponentError`, naming the pattern and the position of the fault. `where`
    begins the message.
    """
    flags = re.IGNORECASE if ignore_case else re.NOFLAG
    try:
        return re.compile(pattern, flags)
    except re.error as error:
        place = ""
        if error.pos is not None:
            place = f" at position {error.pos}"
        raise ComponentError(
            f"{where}: pattern {pattern!r}: {error.msg}{place}"
        ) from None
    # Raised for a repeat count or a nesting beyond what `re` can hold.
    except (OverflowError, RecursionError) as error:
        raise ComponentError(f"{where}: pattern {pattern!r}: {error}") from None
