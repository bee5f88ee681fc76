"""Whether an output follows instructions that a program can check (IFEval)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from themis_lib.builtins.expected import ExpectedMetric, shown
from themis_lib.builtins.instruction_rules import is_followed
from themis_lib.builtins.libraries import LibraryBuiltin
from themis_lib.builtins.parsers import as_text
from themis_lib.core.models import Score, ScoreError


@dataclass(frozen=True)
class IfEval(LibraryBuiltin, ExpectedMetric):
    """1 where the output follows every instruction of its prompt, else 0.

    The instructions are those of IFEval (Zhou et al. 2023). The expected output is an
    object with their names, `instruction_id_list`, and `kwargs`, a list with the
    arguments of each. This is the prompt-level accuracy; the share of the instructions
    that are followed is in the details, as `followed`.

    With `mode: loose`, an instruction is followed if it is in one of eight forms of the
    output: without its first line, its last line or both, each with or without
    asterisks. Sentences are counted by a rule of our own, which may differ from the
    authors' by one or two in a text with many abbreviations.
    """

    component_id: ClassVar[str] = "builtin/ifeval"
    version: ClassVar[str] = "1"
    libraries: ClassVar[tuple[str, ...]] = ("langdetect",)

    mode: Literal["strict", "loose"] = "strict"

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        instructions = _instructions(expected)
        if not instructions:
            return ScoreError(
                reason="the expected output has no lists `instruction_id_list` and "
                f"`kwargs` of one length: {shown(expected)}"
            )
        forms = [as_text(value)]
        if self.mode == "loose":
            forms = _loose_forms(forms[0])
        forms = [form for form in forms if form.strip()]
        followed = []
        for name, arguments in instructions:
            try:
                followed.append(
                    any(is_followed(name, form, arguments) for form in forms)
                )
            except (LookupError, ValueError, TypeError, AttributeError) as error:
                return ScoreError(
                    reason=f"the instruction {name!r} with {shown(arguments)} cannot be "
                    f"checked: {type(error).__name__}: {error}"
                )
        return Score(
            value=float(all(followed)),
            details={"followed": sum(followed) / len(followed)},
        )


def _instructions(expected: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return each instruction with its arguments; none if the lists do not fit."""
    if not isinstance(expected, dict):
        return []
    names = expected.get("instruction_id_list")
    arguments = expected.get("kwargs")
    if not isinstance(names, list) or not isinstance(arguments, list):
        return []
    if len(names) != len(arguments):
        return []
    found = []
    for name, given in zip(names, arguments, strict=True):
        if not isinstance(given, dict | None):
            return []
        # A table gives each the keys of all others, without a value.
        own = {key: item for key, item in (given or {}).items() if item is not None}
        found.append((str(name), own))
    return found


def _loose_forms(text: str) -> list[str]:
    """Return the eight forms of the paper's loose criterion."""
    lines = text.split("\n")
    forms = [text]
    for part in (lines[1:], lines[:-1], lines[1:-1]):
        forms.append("\n".join(part).strip())
    return forms + [form.replace("*", "") for form in forms]
