"""Jinja expressions over the columns of a row, in the sandbox of the prompt templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from themis_lib.core.templates import NULL_CLASS, environment, with_nulls, without_nulls
from themis_lib.errors import ConfigError

#: The whole row, by name; a column of this name takes precedence.
WHOLE_ROW = "row"
#: The dataset's seed, by name; a column of this name takes precedence.
SEED = "seed"


class Expression:
    """An expression whose value is any JSON value: `choices.text`, `[option1, option2]`.

    Names in it are columns. `row` is the whole row, for columns whose names are no words
    (`row["Correct Answer"]`), and `seed` the seed that is given. The filters are those of
    `PromptTemplate`.

    Raise `ConfigError`, beginning with `where`, for what Jinja cannot read.

    >>> Expression("choices.label.index(key)", where="d").value(
    ...     {"choices": {"label": ["1", "2"]}, "key": "2"}, seed=0
    ... )
    1
    """

    def __init__(self, source: str, *, where: str) -> None:
        from jinja2 import TemplateSyntaxError, meta, nodes

        if source.strip().startswith("{{"):
            raise ConfigError(f"{where}: write the expression alone, without {{{{ }}}}")
        jinja = environment()
        try:
            self._compiled = jinja.compile_expression(source, undefined_to_none=False)
            tree = jinja.parse(f"{{{{ {source} }}}}")
        except TemplateSyntaxError as error:
            raise ConfigError(f"{where}: {source!r}: {error.message}") from None
        except (SyntaxError, RecursionError) as error:
            raise ConfigError(f"{where}: {source!r}: {error}") from None
        names = meta.find_undeclared_variables(tree) - set(jinja.globals)
        rows = [node for node in tree.find_all(nodes.Name) if node.name == WHOLE_ROW]
        items: list[str] = []
        for item in tree.find_all(nodes.Getitem):
            is_row = isinstance(item.node, nodes.Name) and item.node.name == WHOLE_ROW
            if is_row and isinstance(item.arg, nodes.Const):
                items.append(str(item.arg.value))
        #: The names that the expression reads, sorted; `row` and `seed` among them.
        self.names = tuple(sorted(names))
        #: The columns that it takes out of `row`; `None` if it reads the row as a whole.
        self.row_items = items if len(items) == len(rows) else None

    def value(self, row: Mapping[str, Any], *, seed: int) -> Any:
        """Return the value for a row.

        Raise `ValueError` where there is none, such as for a name that is not there.
        """
        from jinja2 import Undefined

        held = with_nulls(dict(row))
        try:
            found = self._compiled({WHOLE_ROW: held, SEED: seed, **held})
            if isinstance(found, Undefined):
                # Its text is an error that says which name is not there.
                str(found)
                # Jinja's own of `a if b` has an empty one.
                raise ValueError("it has no value; end it with `else …`")
            # Such as of `map`, whose items are computed now.
            value = list(found) if isinstance(found, Iterator) else found
        # Filters and methods of values raise whatever Python raises.
        except Exception as error:  # noqa: BLE001 - Jinja passes on any exception
            # Jinja calls a null by the class that stands for it.
            raise ValueError(str(error).replace(NULL_CLASS, "null")) from None
        return without_nulls(value)
