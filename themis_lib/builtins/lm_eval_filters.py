"""The two filters that lm-eval reads answers to GSM8K by, under their names there.

`take_first`, its third filter there, is the reducer `builtin/first`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from themis_lib.builtins.parsers import Regex
from themis_lib.components.builtin import Builtin
from themis_lib.core.contexts import ParseContext
from themis_lib.core.models import GenerationResult, ParsedOutput


class _Filter(Builtin):
    """A parser by a fixed regular expression."""

    # As there: thoughts are a part of the output.
    whole_output: ClassVar[bool] = True

    reads: ClassVar[tuple[str, ...]] = ("output",)
    format: ClassVar[str] = "text"
    pattern: ClassVar[str]
    group_select: ClassVar[int]

    @cached_property
    def _regex(self) -> Regex:
        return Regex(
            self.pattern,
            group_select=self.group_select,
            # As there: a made-up turn is a part of the output.
            whole=True,
        )

    def parse(
        self,
        result: GenerationResult,
        ctx: ParseContext,
    ) -> ParsedOutput:
        """Return the answer, or the reason there is none."""
        return self._regex.parse(result, ctx)


@dataclass(frozen=True)
class StrictMatch(_Filter):
    """The number behind the first `####`, as written (`strict-match` of lm-eval)."""

    component_id: ClassVar[str] = "builtin/strict_match"
    version: ClassVar[str] = "1"
    pattern: ClassVar[str] = r"#### (\-?[0-9\.\,]+)"
    group_select: ClassVar[int] = 0


@dataclass(frozen=True)
class FlexibleExtract(_Filter):
    """The last number of the output, as written (`flexible-extract` of lm-eval)."""

    component_id: ClassVar[str] = "builtin/flexible_extract"
    version: ClassVar[str] = "1"
    pattern: ClassVar[str] = r"(-?[$0-9.,]{2,})|(-?[0-9]+)"
    group_select: ClassVar[int] = -1
