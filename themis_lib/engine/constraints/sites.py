"""Sites: nodes of a JSON Schema with what their rules need to know about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from themis_lib.engine.constraints.patterns import translate
from themis_lib.engine.constraints.refusals import refuse


@dataclass(frozen=True)
class Site:
    """One node of a schema as it was given, and where it is.

    `is_closed` says whether objects that list properties have no others.
    """

    argument: str
    root: Any
    node: Any
    place: str
    is_closed: bool

    def refuse(
        self,
        keyword: str,
        value: Any,
        problem: str,
        fix: str,
    ) -> NoReturn:
        """Raise `ConfigError` for a keyword of this node."""
        refuse(
            self.describe(keyword),
            value,
            problem,
            fix,
        )

    def describe(self, keyword: str) -> str:
        """Return the argument and the place of a keyword, for a message."""
        return f"{self.argument} at {self.place}/{keyword}"

    def translate_pattern(
        self,
        pattern: Any,
        keyword: str,
    ) -> str:
        """Return a pattern in Rust's syntax, or raise `ConfigError`."""
        if not isinstance(pattern, str):
            self.refuse(
                keyword,
                pattern,
                "is not a text",
                "write the pattern in quotes",
            )
        translated = translate(
            pattern,
            argument=self.describe(keyword),
            search=True,
        )
        # Anchored: the translation already holds any text that may surround a match.
        return f"^{translated.text}$"
