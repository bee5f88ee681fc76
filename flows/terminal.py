"""The terminal: text that is shown and never obeyed, and tables that fit its width."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

from themis_lib.inert import terminal_text

#: Columns of what is not a terminal: a log or a pipe loses nothing by long lines.
_LOG_WIDTH = 1000
_GAP = "  "


def open_console() -> Console:
    """Return the console of a command: as wide as the terminal, and no less in a log."""
    console = Console()
    return console if console.is_terminal else Console(width=_LOG_WIDTH)


def tell_reading(name: str) -> None:
    """Say what a command is reading, on a terminal: importing the rest takes a second."""
    console = Console(stderr=True)
    if console.is_terminal:
        console.print(as_text(f"reading {name}", "dim"), soft_wrap=True)


def as_text(
    text: str,
    style: str = "",
) -> Text:
    """Return text in one line for a console: without markup, and printable."""
    return Text(terminal_text(text), style=style)


def assemble(*parts: str | tuple[str, str]) -> Text:
    """Return one line of texts, each alone or with a style."""
    line = Text()
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        line.append(terminal_text(text), style=style)
    return line


class FittingTable(Table):
    """A table of names and, behind them, numbers, each row in one line.

    Where that is wider than the terminal, a row that does not fit takes two lines: its
    names, whole, then its numbers under their headings.
    """

    def __init__(self) -> None:
        super().__init__(
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            collapse_padding=True,
        )

    def __rich_console__(
        self,
        console: Console,
        options: ConsoleOptions,
    ) -> RenderResult:
        if self.fits(console, options.max_width):
            yield from super().__rich_console__(console, options)
        else:
            yield from self._stacked_lines(options.max_width)

    def fits(
        self,
        console: Console,
        width: int,
    ) -> bool:
        """Whether no row needs more than so many columns."""
        unlimited = console.options.update(max_width=_LOG_WIDTH)
        return self.__rich_measure__(console, unlimited).maximum <= width

    def _stacked_lines(
        self,
        width: int,
    ) -> Iterator[Text]:
        names, numbers = self._parts()
        headings = [_cell(column.header) for column in numbers]
        widths = [max(map(_cell_len, (c.header, *c.cells))) for c in numbers]
        room = width - sum(widths) - len(_GAP) * len(widths)
        head = Text(" / ").join(_cell(column.header) for column in names)
        yield Text()
        yield from _row_lines(head, headings, numbers, widths, room)
        yield Text("─" * width)
        rows = zip(*(column.cells for column in self.columns), strict=True)
        for row in rows:
            cells = list(map(_cell, row))
            name = Text(_GAP).join(cells[: len(names)])
            yield from _row_lines(name, cells[len(names) :], numbers, widths, room)
        if self.caption:
            yield Text(str(self.caption), style="dim italic")

    def _parts(self) -> tuple[list[Column], list[Column]]:
        """Return the columns of names, which come first, and the others."""
        count = 0
        for column in self.columns:
            if column.justify != "left":
                break
            count += 1
        return self.columns[:count], self.columns[count:]


def filled_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: Collection[str] = (),
) -> FittingTable:
    """Return a table of cells; the columns under the headings in `left` are texts."""
    table = FittingTable()
    for heading in headings:
        table.add_column(
            heading,
            justify="left" if heading in left else "right",
            no_wrap=True,
        )
    for row in rows:
        table.add_row(*map(as_text, row))
    return table


def _row_lines(
    name: Text,
    cells: Sequence[Text],
    columns: Sequence[Column],
    widths: Sequence[int],
    room: int,
) -> Iterator[Text]:
    """Yield a row in one line, or in two where its name leaves no room for numbers."""
    line = name.copy()
    if name.cell_len > room:
        yield line
        line = Text()
    line.pad_right(max(room - line.cell_len, 0))
    for cell, column, width in zip(cells, columns, widths, strict=True):
        padding = " " * (width - cell.cell_len)
        line.append(_GAP)
        if column.justify == "left":
            line.append_text(cell).append(padding)
        else:
            line.append(padding).append_text(cell)
    line.rstrip()
    yield line


def _cell_len(content: object) -> int:
    return _cell(content).cell_len


def _cell(content: object) -> Text:
    # A heading in two lines is one here.
    text = content if isinstance(content, Text) else Text(str(content))
    return Text(" ").join(text.split("\n")) if "\n" in text.plain else text
