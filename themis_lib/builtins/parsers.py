"""The answer read from a candidate's output. Where there is none, a null and the reason, never a guess.

Parsers read the output alone. One that is no text is read as it is by `json_identity` and `json_path`, as a
number by `number`, and as its canonical JSON text by `text` and `regex`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from typing import Any, ClassVar, Literal, TypeAlias, get_type_hints

from pydantic import TypeAdapter, ValidationError

from themis_lib.builtins.component import Builtin
from themis_lib.core.contexts import ParseContext
from themis_lib.core.identity import canonical_json
from themis_lib.core.models import GenerationResult, ParsedOutput
from themis_lib.errors import ComponentError, nearest

Percent: TypeAlias = Literal["number", "fraction"]


class _Parser(Builtin):
    """A parser of outputs that are not null."""

    reads: ClassVar[tuple[str, ...]] = ("output",)
    format: ClassVar[str]

    def __post_init__(self) -> None:
        self.check_settings()

    def check_settings(self) -> None:
        """Raises `ComponentError`, naming the setting and its value, for one that cannot be used."""
        check_types(self)

    def parse(self, result: GenerationResult, ctx: ParseContext) -> ParsedOutput:
        """The answer, or why there is none."""
        if result.final_output is None:
            return self._missing("the output is null")
        return self._parse(result.final_output)

    def _parse(self, output: Any) -> ParsedOutput:
        raise NotImplementedError

    def _found(self, value: Any) -> ParsedOutput:
        return ParsedOutput(value=value, format=self.format)

    def _missing(self, reason: str) -> ParsedOutput:
        return ParsedOutput(format=self.format, error=reason)


@dataclass(frozen=True)
class JsonIdentity(_Parser):
    """The output as it is, any JSON value; a text that happens to be JSON stays a text."""

    component_id: ClassVar[str] = "builtin/json_identity"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "json"

    def _parse(self, output: Any) -> ParsedOutput:
        return self._found(output)


@dataclass(frozen=True)
class Text(_Parser):
    """The output as text without the space around it; a blank text is no answer."""

    component_id: ClassVar[str] = "builtin/text"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "text"

    def _parse(self, output: Any) -> ParsedOutput:
        text = as_text(output).strip()
        return self._found(text) if text else self._missing("the output is blank")


@dataclass(frozen=True)
class Regex(_Parser):
    """What a regular expression (Python's `re`) matches in the output.

    `group` is the number or the name of the group that holds the answer: by default the first, or the whole
    match where the pattern has no groups. `which` says which of several matches counts. Other flags stand in
    the pattern: `(?m)`, `(?s)`.
    """

    component_id: ClassVar[str] = "builtin/regex"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "text"

    pattern: str
    group: int | str | None = None
    which: Literal["first", "last"] = "last"
    ignore_case: bool = False

    def check_settings(self) -> None:
        """Raises `ComponentError` for a setting of another type, a malformed pattern or a group it lacks."""
        super().check_settings()
        where, groups = f"{self.component_id}: pattern {self.pattern!r}", self._compiled.groups
        if isinstance(self.group, int) and not 0 <= self.group <= groups:
            raise ComponentError(f"{where} has no group {self.group}; the last is {groups}")
        if isinstance(self.group, str) and self.group not in self._compiled.groupindex:
            raise ComponentError(
                f"{where} has no group {self.group!r}; {nearest(self.group, self._compiled.groupindex)}"
            )

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return compile_pattern(self.pattern, where=self.component_id, ignore_case=self.ignore_case)

    @cached_property
    def _answer_group(self) -> int | str:
        if self.group is None:
            return 1 if self._compiled.groups else 0
        return self.group

    def _parse(self, output: Any) -> ParsedOutput:
        matches = self._compiled.finditer(as_text(output))
        match = next(matches, None) if self.which == "first" else _last(matches)
        if match is None:
            return self._missing("the pattern matches nothing in the output")
        value = match[self._answer_group]
        return self._missing("the group is not part of the match") if value is None else self._found(value)


@dataclass(frozen=True)
class Number(_Parser):
    """The final number in the output, as `read_number` reads it: an integer where it is whole, or a float."""

    component_id: ClassVar[str] = "builtin/number"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "number"

    percent: Percent = "number"

    def _parse(self, output: Any) -> ParsedOutput:
        number = read_number(output, percent=self.percent)
        return self._missing("no number in the output") if number is None else self._found(number)


@dataclass(frozen=True)
class ChoiceLetter(_Parser):
    """The option that the output names as the answer, as it stands in `choices`.

    In order of weight: a statement (`the answer is B`, `Answer: (B)`, `\\boxed{B}`, `B is correct`), the last
    of several; a conclusion (`so B.`, `I choose B.`); the only option whose label begins a line (`B) Paris`)
    or fills it (`b`); the only option in bold (`**B**`). One named beside another (`B or C`), or as wrong,
    does not count.
    """

    component_id: ClassVar[str] = "builtin/choice_letter"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "choice"

    choices: str = "ABCD"

    def check_settings(self) -> None:
        """Raises `ComponentError` unless `choices` are two or more different letters or digits."""
        super().check_settings()
        check_choices(self)

    @cached_property
    def _patterns(self) -> _ChoicePatterns:
        return _choice_patterns(self.choices)

    def _parse(self, output: Any) -> ParsedOutput:
        letter = _named_choice(output, self._patterns) if isinstance(output, str) else None
        if letter is None:
            return self._missing("no option is named as the answer")
        return self._found(self.choices[self.choices.upper().index(letter.upper())])


@dataclass(frozen=True)
class MathAnswer(_Parser):
    r"""The LaTeX in the last `\boxed{…}` or `\fbox{…}` whose braces match, or behind a bare `\boxed 5`.

    Space around it, dollar signs around it and a final period are removed; nothing else is changed.
    """

    component_id: ClassVar[str] = "builtin/math_answer"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "latex"

    def _parse(self, output: Any) -> ParsedOutput:
        content = _last_box(output) if isinstance(output, str) else None
        if content is None:
            return self._missing(r"no \boxed{…} in the output")
        answer = _trimmed_math(content)
        return self._found(answer) if answer else self._missing(r"the last \boxed{…} is empty")


@dataclass(frozen=True)
class JsonPath(_Parser):
    """The value at a path in a JSON document: `answer`, `$.items[0].name`, `$["a key"]`, `[-1]`; `$` is all.

    The output is a JSON value, or a text that is or holds a JSON document. Fenced blocks are tried before
    running text, and later documents before earlier ones; the first that has the path counts.
    """

    component_id: ClassVar[str] = "builtin/json_path"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "json"

    path: str

    def check_settings(self) -> None:
        """Raises `ComponentError` for a malformed path."""
        super().check_settings()
        _ = self._steps

    @cached_property
    def _steps(self) -> tuple[str | int, ...]:
        return _path_steps(self.path, where=self.component_id)

    def _parse(self, output: Any) -> ParsedOutput:
        documents = _documents(output) if isinstance(output, str) else [output]
        reason = "no JSON document in the output"
        for document in documents:
            try:
                value = _value_at(document, self._steps)
                canonical_json(value)
            except LookupError:
                reason = f"nothing at {self.path!r} in the output"
            except ValueError:
                reason = f"the value at {self.path!r} is not JSON"
            else:
                if value is not None:
                    return self._found(value)
                return self._missing(f"null at {self.path!r} in the output")
        return self._missing(reason)


def as_text(value: Any) -> str:
    """A text as it is, any other JSON value as canonical JSON.

    >>> as_text("4"), as_text(4), as_text(True)
    ('4', '4', 'true')
    """
    return value if isinstance(value, str) else canonical_json(value)


def compile_pattern(pattern: str, *, where: str, ignore_case: bool = False) -> re.Pattern[str]:
    """The compiled pattern. Raises `ComponentError` naming the pattern and the position of what is wrong."""
    try:
        return re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        place = "" if error.pos is None else f" at position {error.pos}"
        raise ComponentError(f"{where}: pattern {pattern!r}: {error.msg}{place}") from None
    except (OverflowError, RecursionError) as error:
        raise ComponentError(f"{where}: pattern {pattern!r}: {error}") from None


def check_types(component: Builtin) -> None:
    """Raises `ComponentError` for the first setting whose value is not of its declared type."""
    definition: Any = type(component)
    for name, adapter in _field_types(definition).items():
        value = getattr(component, name)
        try:
            adapter.validate_python(value, strict=True)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            setting = f"{name}={value!r}" if definition.__dataclass_fields__[name].repr else name
            raise ComponentError(f"{component.component_id}: {setting}: {problem[:1].lower()}{problem[1:]}") from None


@cache
def _field_types(definition: Any) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(definition, include_extras=True)
    names = [item.name for item in dataclasses.fields(definition)]
    return {name: TypeAdapter(hints[name]) for name in names}


def check_choices(component: Any) -> None:
    """Raises `ComponentError` unless `component.choices` are two or more different letters or digits."""
    choices: str = component.choices
    are_alike = len(set(choices.upper())) < len(choices)
    if len(choices) < 2 or are_alike or not re.fullmatch("[A-Za-z0-9]+", choices):
        raise ComponentError(
            f"{component.component_id}: choices={choices!r}: give two or more different letters or digits"
        )


def read_number(value: Any, *, percent: Percent = "number") -> int | float | None:
    r"""The number that a JSON number is or a text ends on; null where there is none.

    The number directly behind the last marker of an answer (`####`, `answer is`, `Answer:`, `\boxed{`, a line
    that begins with `A:`) goes before the last number of the text. Read are `1,234.50`, `1e5`, `1/2`,
    `3 1/2`, `\frac{1}{2}`, `10^3`, `2 × 10^3`; currencies and units are dropped, and words such as `billion`.
    A minus behind another number subtracts; digits of a word (`GPT-4`, `x_1`) or an exponent (`cm^2`) are no
    number. `12%` is 12, as GSM8K writes percentages, or 0.12 with `percent="fraction"`.

    >>> [read_number(text) for text in ("16 - 3 = 13", "A: $1,234.50", "The answer is -3. It took 2 s.")]
    [13, 1234.5, -3]
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if value.is_integer():
            return int(Fraction(repr(value)))  # 1e23 is 10**23 as it is written, not as it is stored
        return value if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    text = _plain_fractions(value)
    found = _marked_number(text) or _last_number(text)
    return None if found is None else _number_value(text, found, percent=percent)


def _last(matches: Iterator[re.Match[str]]) -> re.Match[str] | None:
    return next(iter(deque(matches, maxlen=1)), None)


_LATEX_FRACTION = re.compile(r"(\d?)\\[dt]?frac\s*(?:\{\s*([-−]?[\d.,]+)\s*\}|(\d))\s*(?:\{\s*([\d,]+)\s*\}|(\d))")
_VULGAR_FRACTION = re.compile("(\\d?)([¼-¾⅐-⅞])")


def _plain_fractions(text: str) -> str:
    """The text with LaTeX's and Unicode's fractions and separators written as `1/2` and `1,234`."""
    if "{,}" in text:
        text = text.replace("{,}", ",")
    if "\\" in text:
        text = text.replace("\\,", "").replace("\\!", "")
        if "frac" in text:
            text = _LATEX_FRACTION.sub(lambda m: f"{m[1]}{m[1] and ' '}{m[2] or m[3]}/{m[4] or m[5]}", text)
    if not text.isascii():
        text = _VULGAR_FRACTION.sub(
            lambda m: f"{m[1]}{m[1] and ' '}{unicodedata.normalize('NFKC', m[2]).replace('⁄', '/')}", text
        )
    return text


_WHOLE = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_NUMBER = re.compile(
    rf"""
    (?P<body>{_WHOLE}(?:\.\d+)?|(?<![\w.])\.\d+)
    (?:
        [eE](?P<scale>[-+−]?\d{{1,4}})(?!\w)
      | [ ]?/[ ]?(?P<denominator>{_WHOLE})(?![\d/]|\.\d)
      | [ ](?P<numerator>\d+)/(?P<divisor>\d+)(?![\d/]|\.\d)
      | (?:[ ]?(?P<times>[×x*]|\\times|\\cdot)[ ]?10)?[ ]?\^[ ]?\{{?(?P<power>[-−]?\d{{1,4}})(?!\d)\}}?
    )?
    """,
    re.VERBOSE,
)

#: What may stand between a marker and its answer: punctuation, markup, currencies, signs.
_GAP = r"(?:[\s*_`\"'“‘(\[{:~≈=$€£¥₹+\-−–]|\\[(\[$]|\\(?:text\w*|math\w+)\b)*"
#: A calculation in front of its result: `2 * 9 = 18`, `x = 18`.
_CALCULATION = r"(?:[A-Za-z]?[ \t\d.,+\-−–*/×÷x^()$€£¥₹%=]*=)?"
_IS = r"[\"'*_`]*\s*(?:is|are|was|will be|would be|should be|must be|[-=]?>|→|:|=)"
#: Markers of a final answer: a text to look for, and the pattern that must match there.
_Markers: TypeAlias = Mapping[str, re.Pattern[str]]
_NUMBER_MARKERS: _Markers = {
    literal: re.compile(marker + _GAP + _CALCULATION + _GAP)
    for literal, marker in {
        "####": "####",
        "nswer": rf"(?<!/[aA])nswers?{_IS}",
        "NSWER": rf"(?<!/A)NSWERS?(?i:{_IS})",
        "A:": r"A:",
        "\\boxed": r"\\boxed",
        "\\fbox": r"\\fbox",
    }.items()
}
#: The rest of a date, a version or a quotient of decimals behind its first number.
_GOES_ON = re.compile(r"[/.]\d")
#: A number that counts the items of a list: `2. Add the prices`.
_ITEM = re.compile(r"[.):]\s+[^\W\d]")


def _marked_number(text: str) -> re.Match[str] | None:
    for begin, end in _marked(text, _NUMBER_MARKERS):
        number = _NUMBER.match(text, end)
        if number is None or _GOES_ON.match(text, number.end()):
            continue
        heading = text.startswith("####", begin) or "\n" in text[begin:end]
        if not (heading and _ITEM.match(text, number.end())):
            return number
    return None


def _marked(text: str, markers: _Markers) -> list[tuple[int, int]]:
    """Where markers begin and where what they mark begins, the last marker first."""
    found = []
    for literal, pattern in markers.items():
        begin = text.rfind(literal)
        while begin >= 0:
            match = pattern.match(text, begin)
            if match and (literal != "A:" or _begins_line(text, begin)):
                found.append(match.span())
            begin = text.rfind(literal, 0, begin)
    return sorted(found, reverse=True)


def _begins_line(text: str, position: int) -> bool:
    _, newline, line = text[max(position - 8, 0) : position].rpartition("\n")
    return not line.strip(" \t*_>") and (newline == "\n" or position <= 8)


def _last_number(text: str) -> re.Match[str] | None:
    end = len(text)
    while end >= 0:
        start = text.rfind("\n", 0, end) + 1
        for number in reversed(list(_NUMBER.finditer(text, start, end))):
            if _stands_alone(text, number.start()) and not _GOES_ON.match(text, number.end()):
                return number
        end = start - 1
    return None


_ALPHABETS_END = "\u0590"


def _stands_alone(text: str, start: int) -> bool:
    """Whether the digits at `start` are no part of a word, an index, an exponent, a date or a version."""
    before = text[max(start - 3, 0) : start]
    last, previous = before[-1:], before[-2:-1]
    if last.isalpha():
        return last >= _ALPHABETS_END  # scripts without spaces between words come later
    if last in ("-", "_"):
        return not (previous.isalpha() or previous == "^" or before.endswith(("^{-", "_{-")))
    if last in (".", "/"):
        return not previous.isdigit()
    return last != "^" and before[-2:] not in ("^{", "_{", "^−")


_CURRENCIES = "$€£¥₹"
_MINUS = ("-", "−", "–")


def _is_negative(text: str, start: int) -> bool:
    """Whether the minus before the number at `start` is its sign: no subtraction, hyphen or bullet."""
    before = text[max(start - 16, 0) : start].rstrip(_CURRENCIES + "\\")
    if before.endswith(_MINUS):
        before = before[:-1]
        operand = before.rstrip(" ")[-1:]
        return not (before[-1:].isalnum() or operand.isdigit() or operand in tuple(")]}%"))
    before = before.rstrip(" ")
    return before.endswith(_MINUS) and before[:-1].rstrip(" ").endswith(("=", ":", "("))


_PERCENT = re.compile(r"[ ]?\\?%")
#: Python refuses to write longer integers as text.
_LONGEST = 4000


def _number_value(text: str, number: re.Match[str], *, percent: Percent) -> int | float | None:
    if len(number[0]) > _LONGEST:
        return None
    is_negative = _is_negative(text, number.start())
    is_percentage = percent == "fraction" and _PERCENT.match(text, number.end()) is not None
    body = number["body"].replace(",", "")
    if number.end() == number.end("body") and not is_percentage:
        whole, _, decimals = body.partition(".")
        value = float(body) if decimals.strip("0") else int(whole or "0")
        return None if value == math.inf else -value if is_negative and value else value
    exact = _exact_value(number, Fraction(body))
    if exact is None:
        return None
    exact = -exact if is_negative else exact
    return _json_number(exact / 100 if is_percentage else exact)


def _exact_value(number: re.Match[str], value: Fraction) -> Fraction | None:
    """The value of a fraction or a number with an exponent; null where there is none that can be written."""
    try:
        if number["denominator"]:
            return value / int(number["denominator"].replace(",", ""))
        if number["divisor"]:
            return value + Fraction(int(number["numerator"]), int(number["divisor"]))
        exponent = int((number["scale"] or number["power"] or "0").replace("−", "-"))
        is_power = number["power"] is not None and number["times"] is None
        if abs(exponent) * (len(number["body"]) if is_power else 1) > _LONGEST:
            return None
        return value**exponent if is_power else value * Fraction(10) ** exponent
    except ZeroDivisionError:
        return None


def _json_number(value: Fraction) -> int | float | None:
    if value.denominator == 1:
        return value.numerator
    try:
        return float(value) or 0
    except OverflowError:
        return None


@dataclass(frozen=True)
class _ChoicePatterns:
    """How options are written; group `letter` of each pattern is the option's letter."""

    marked: re.Pattern[str]
    mention: re.Pattern[str]
    label: re.Pattern[str]
    bold: re.Pattern[str]
    beside: re.Pattern[str]


_CLOSING = r"[)\]}*_`\"'”’$\\]*"


@cache
def _choice_patterns(choices: str) -> _ChoicePatterns:
    upper = f"(?P<letter>[{choices.upper()}])"
    letter = f"(?P<letter>[{choices.upper()}{choices.lower()}])"
    return _ChoicePatterns(
        marked=re.compile(rf"{letter}(?![\w'’-])"),
        mention=re.compile(rf"{upper}(?![\w'’-])"),
        label=re.compile(
            rf"^[ \t>*_#`\"'“(\[$-]*(?!A:){letter}(?:[*_]*[).:\]](?=[\s*]|$)|{_CLOSING}[.!]?[ \t]*$)",
            re.MULTILINE,
        ),
        bold=re.compile(rf"\*\*[(\[]?{upper}(?:[).:\]]+[^*\n]*)?\*\*"),
        beside=re.compile(rf"{_CLOSING}\s*(?:or|and|/|&)\s*[*_(\[]*{upper}(?!\w)"),
    )


def _named_choice(text: str, patterns: _ChoicePatterns) -> str | None:
    mentions = [found for found in _named(text, patterns.mention, patterns) if not _in_word(text, found)]
    named = [*_marked_choice(text, patterns), *(found for found in mentions if _is_praised(text, found))]
    named = named or [found for found in mentions if _is_concluded(text, found)]
    if named:
        return max(named, key=lambda found: found.start("letter"))["letter"]
    for pattern in (patterns.label, patterns.bold):
        letters = {found["letter"].upper() for found in _named(text, pattern, patterns)}
        if letters:
            return letters.pop() if len(letters) == 1 else None
    return None


_REFUTED = re.compile(
    rf"{_CLOSING}\s*(?:(?:is|are|was)\s+(?:also\s+)?(?:not|wrong|incorrect|false)|isn|wasn|can't|cannot)\b"
)


def _named(text: str, pattern: re.Pattern[str], patterns: _ChoicePatterns) -> list[re.Match[str]]:
    return [found for found in pattern.finditer(text) if _is_named(text, found, patterns)]


def _is_named(text: str, found: re.Match[str], patterns: _ChoicePatterns) -> bool:
    """Whether an option is named alone, and not as wrong."""
    end = found.end("letter")
    return not (patterns.beside.match(text, end) or _REFUTED.match(text, end))


def _in_word(text: str, mention: re.Match[str]) -> bool:
    before = text[max(mention.start() - 1, 0) : mention.start()]
    return before.isalnum() or before in tuple("_'’")


#: What may stand between `the answer is` and the letter.
_OPENING = r"(?:[\s*_`\"'“‘(\[{$<:]|\\[(\[]|\\(?:text\w*|math\w+)\b)*"
_HEDGE = (
    r"(?:(?:the|option|choice|letter|definitely|clearly|probably|likely|most|therefore|thus|simply)\b"
    r"[\s*_:]*)*"
)
_CHOICE_MARKERS: _Markers = {
    literal: re.compile(marker + _OPENING + _HEDGE + _OPENING)
    for literal, marker in {
        "nswer": rf"(?<!/[aA])nswer{_IS}",
        "NSWER": rf"(?<!/A)NSWER(?i:{_IS})",
        "ption": rf"ption{_IS}",
        "hoice": rf"hoice{_IS}",
        "orrect": rf"orrect\s+\w+{_IS}",
        "A:": r"A:",
        "####": "####",
        "\\boxed": r"\\boxed",
        "\\fbox": r"\\fbox",
    }.items()
}


def _marked_choice(text: str, patterns: _ChoicePatterns) -> list[re.Match[str]]:
    """The option behind the last marker that has one; empty where none has."""
    for _, end in _marked(text, _CHOICE_MARKERS):
        found = patterns.marked.match(text, end)
        if found and _is_named(text, found, patterns) and not _is_article(text, found):
            return [found]
    return []


#: What a word may follow without making `A` or `I` a word of the sentence itself.
_NEXT_WORD = re.compile(rf"{_CLOSING}\s+(?!(?:because|since|as|is|and|which|with|due|given)\b)\w")
_ANY_WORD = re.compile(rf"{_CLOSING}[ \t]+\w")


def _is_article(text: str, found: re.Match[str]) -> bool:
    """Whether a letter is a word of the sentence: `the answer is a bit long`, `Answer: A person`."""
    if found["letter"].islower():
        return _ANY_WORD.match(text, found.end("letter")) is not None
    return found["letter"] in "AI" and _NEXT_WORD.match(text, found.end("letter")) is not None


_PRAISE = re.compile(
    rf"{_CLOSING}\s+is\s+(?:clearly |definitely |therefore |thus |indeed )?(?:the )?(?:only |most )?"
    r"(?:correct|right|best|answer)\b"
)
_JOINED = re.compile(r"\b(?i:nor|or|and|if|whether)\s+[*_(\[]*$")


def _is_praised(text: str, mention: re.Match[str]) -> bool:
    """`B is correct`, but not in `neither A nor B is correct`."""
    if not _PRAISE.match(text, mention.end()):
        return False
    return not _JOINED.search(text[max(mention.start() - 16, 0) : mention.start()])


_CONCLUSION = re.compile(
    r"\b(?i:so|therefore|thus|hence|choose|chose|pick|select|go with|it is|it's|it must be),?"
    rf"{_OPENING}{_HEDGE}[*_(\[]*$"
)
_END = re.compile(rf"{_CLOSING}[ \t]*(?:[.;!\n]|$)")


def _is_concluded(text: str, mention: re.Match[str]) -> bool:
    """`so B.`, `I choose (B)`."""
    if not _END.match(text, mention.end()):
        return False
    return bool(_CONCLUSION.search(text[max(mention.start() - 64, 0) : mention.start()]))


_BOX = re.compile(r"\\(?:boxed|fbox)")
_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_BARE_BOX = re.compile(r"\\(?:boxed|fbox)[ \t]+([^\s{}$]+)")


def _last_box(text: str) -> str | None:
    """The content of the box that begins last, among those whose braces match and those without braces."""
    first = _BOX.search(text)
    if first is None:
        return None
    open_braces: list[re.Match[str]] = []
    begin, content = -1, None
    for token in _BRACES.finditer(text, first.start()):
        if token[0].endswith("{") and token[0] != "\\{":
            open_braces.append(token)
        elif token[0] == "}" and open_braces:
            opened = open_braces.pop()
            if len(opened[0]) > 1 and opened.start() > begin:
                begin, content = opened.start(), text[opened.end() : token.start()]
    for bare in _BARE_BOX.finditer(text, first.start()):
        if bare.start() > begin:
            begin, content = bare.start(), bare[1]
    return content


def _trimmed_math(latex: str) -> str:
    while True:
        trimmed = latex.strip().removesuffix(".").strip()
        if len(trimmed) > 1 and trimmed.startswith("$") and trimmed.endswith("$"):
            trimmed = trimmed[1:-1]
        if trimmed == latex:
            return trimmed
        latex = trimmed


_PATH_STEP = re.compile(
    r"""
      \.(?P<name>[^.\[\]"'\s$]+)
    | \[(?P<index>-?\d+)\]
    | \[(?P<key>"(?:[^"\\]|\\.)*")\]
    | \['(?P<plain>[^']*)'\]
    """,
    re.VERBOSE,
)


def _path_steps(path: str, *, where: str) -> tuple[str | int, ...]:
    rest = path[1:] if path.startswith("$") else path if path.startswith((".", "[")) else f".{path}"
    steps: list[str | int] = []
    while rest:
        step = _PATH_STEP.match(rest)
        if step is None:
            raise ComponentError(
                f'{where}: path {path!r}: no .key, [index] or ["key"] at {rest!r}; as in $.items[0].name'
            )
        steps.append(_step_value(step, where=f"{where}: path {path!r}"))
        rest = rest[step.end() :]
    return tuple(steps)


def _step_value(step: re.Match[str], *, where: str) -> str | int:
    if step["index"]:
        return int(step["index"])
    if step["key"] is None:
        return step["plain"] if step["name"] is None else step["name"]
    try:
        return str(json.loads(step["key"]))
    except ValueError as error:
        raise ComponentError(f"{where}: {step['key']} is no JSON text: {error}") from None


def _value_at(document: Any, steps: Iterable[str | int]) -> Any:
    """The value at a path. Raises `LookupError` where there is none."""
    for step in steps:
        if not isinstance(document, dict if isinstance(step, str) else list):
            raise LookupError(step)
        document = document[step]  # type: ignore[index]
    return document


_FENCE = re.compile(r"```\w*[ \t]*\n(.*?)```", re.DOTALL)
_DECODER = json.JSONDecoder()


def _documents(text: str) -> Iterator[Any]:
    """The JSON documents in a text: all of it, fenced blocks, those in running text; the last ones first."""
    blocks = [text, *reversed(_FENCE.findall(text))] if "```" in text else [text]
    for block in blocks:
        try:
            yield json.loads(block)
        except (ValueError, RecursionError):
            continue
    yield from reversed(list(_embedded_documents(text)))


_BRACKET = re.compile(r"\{(?=\s*[\"}])|\[(?=\s*[\[{\"\d\-tfn\]])")


def _embedded_documents(text: str) -> Iterator[Any]:
    bracket = _BRACKET.search(text)
    while bracket:
        end = bracket.end()
        try:
            document, end = _DECODER.raw_decode(text, bracket.start())
            yield document
        except json.JSONDecodeError as error:
            if error.pos >= len(text) or error.msg.startswith("Unterminated"):
                return  # a document cut off at the end: what is inside it is not the answer
        except (ValueError, RecursionError):
            return
        bracket = _BRACKET.search(text, end)
