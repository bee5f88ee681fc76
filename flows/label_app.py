"""The terminal in which a person labels: one item at a time, a key for each verdict.

Needs the extra `label` (Textual). What is shown never says whose answer it is, nor what
a judge found.
"""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.events import Key
from textual.widgets import Footer, Input, Static

from themis_lib.errors import InputError
from themis_lib.inert import terminal_lines, terminal_text
from themis_lib.labels.choice_keys import choice_keys
from themis_lib.labels.session import LabelSession
from themis_lib.labels.shown_items import ShownItem, ShownText

#: From this many columns on, the question is beside the item and not above it.
_WIDE = 110


class LabelApp(App[None]):
    """A session in the terminal. Each label is kept when its key is pressed."""

    TITLE = "themis label"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares it so
        (0, "-narrow"),
        (_WIDE, "-wide"),
    ]
    CSS = """
    #progress { height: 1; padding: 0 1; background: $panel; color: $text; }
    #body { height: 1fr; }
    #question { border: round $foreground 40%; border-title-color: $text; padding: 0 1; }
    #item { padding: 0 1 0 0; scrollbar-gutter: stable; }
    .text { border: round $foreground 40%; border-title-color: $text; padding: 0 1;
            height: auto; }
    .answer { border: round $primary; border-title-color: $primary; }
    #choices { height: auto; padding: 0 1; margin-top: 1; }
    #status { height: 1; padding: 0 1; color: $text-muted; }
    #note { display: none; height: 3; }
    #note.open { display: block; }
    .-wide #body { layout: horizontal; }
    .-wide #question { width: 36%; height: 1fr; }
    .-wide #item { width: 64%; }
    .-narrow #question { height: auto; max-height: 8; }
    .-narrow #item { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "skip", "skip"),
        Binding("u", "undo", "undo"),
        Binding("n", "note", "note"),
        Binding("q", "quit", "quit"),
        Binding("escape", "close_note", "close the note", show=False),
    ]

    def __init__(self, session: LabelSession) -> None:
        super().__init__()
        self.session = session
        self._note = ""
        self._typed = ""

    def compose(self) -> ComposeResult:
        yield Static(id="progress")
        with Container(id="body"):
            with VerticalScroll(id="question"):
                yield Static(_text(self.session.items.question.text))
            yield VerticalScroll(id="item")
        yield Static(id="choices")
        yield Static(id="status")
        yield Input(placeholder="a note on this item; Enter keeps it", id="note")
        yield Footer(show_command_palette=False)

    async def on_mount(self) -> None:
        self.query_one("#question").border_title = "Question"
        await self._show_item("each label is kept at once; quit at any time")

    async def on_key(self, event: Key) -> None:
        """Give the choice of a key, or collect what is typed until Enter."""
        shown = self.session.current
        if shown is None or self.query_one("#note").has_class("open"):
            return
        keys = _keys_of(shown)
        if keys:
            if event.character in keys:
                await self._give(keys[event.character])
        elif event.key == "enter" and self._typed:
            await self._give(self._typed)
        elif event.key == "backspace":
            self._typed = self._typed[:-1]
            self._show_choices(shown)
        elif event.character and event.character in "0123456789.-":
            self._typed += event.character
            self._show_choices(shown)

    async def action_skip(self) -> None:
        """Go to the next item without a label."""
        if self.session.current is None:
            return
        try:
            self.session.skip(self._note or None)
        except InputError as error:
            self._say(str(error), "red")
            return
        await self._show_item("skipped; a later session asks again")

    async def action_undo(self) -> None:
        """Go back to the last item."""
        try:
            is_back = self.session.back()
        except InputError as error:
            self._say(str(error), "red")
            return
        if is_back:
            await self._show_item("withdrawn; label the item again")
        else:
            self._say("nothing to undo in this session", "yellow")

    def action_note(self) -> None:
        """Open the line for a note."""
        if self.session.current is None:
            return
        note = self.query_one("#note", Input)
        note.value = self._note
        note.add_class("open")
        note.focus()

    def action_close_note(self) -> None:
        """Close the line for a note, and leave the note as it was."""
        self.query_one("#note").remove_class("open")
        self.query_one("#item").focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the note until the item gets its label."""
        self._note = event.value.strip()
        self.action_close_note()
        self._say(f"note: {self._note}" if self._note else "no note")

    async def _give(self, choice: str) -> None:
        try:
            self.session.give(choice, self._note or None)
        except InputError as error:
            self._say(str(error), "red")
            return
        await self._show_item(f"labelled {choice}")

    async def _show_item(self, status: str) -> None:
        session = self.session
        self._note = self._typed = ""
        shown = session.current
        item = self.query_one("#item", VerticalScroll)
        await item.remove_children()
        if shown is None:
            more = len(session.items.contents) - session.count
            text = f"All {session.count} items are labelled or skipped."
            if more:
                text += f"\n\n{more:,} more: `--count {session.count + more}`."
            await item.mount(Static(_text(text), classes="text"))
            self.query_one("#choices", Static).update("")
        else:
            await item.mount(*map(_section, shown.texts))
            self._show_choices(shown)
        item.scroll_home(animate=False)
        item.focus()
        progress = f"{session.labelled:,} of {session.count:,} labelled"
        if session.skipped:
            progress += f", {session.skipped:,} skipped"
        line = Text.assemble(
            (terminal_text(session.items.question.metric_id), "bold"),
            f"   {progress}   ",
            (f"as {terminal_text(session.labeller)}", "dim"),
        )
        self.query_one("#progress", Static).update(line)
        self._say(status)

    def _show_choices(self, shown: ShownItem) -> None:
        line = Text()
        keys = _keys_of(shown)
        for key, name in keys.items():
            line.append(f" {key} ", style="reverse bold")
            # A grade is its own key.
            line.append(f" {terminal_text(name)}   " if name != key else "  ")
        if not keys:
            line.append(f"{_typed_range(self.session, shown)}: ", style="bold")
            line.append(self._typed or " ", style="reverse")
            line.append("  Enter", style="dim")
        self.query_one("#choices", Static).update(line)

    def _say(
        self,
        text: str,
        style: str = "",
    ) -> None:
        self.query_one("#status", Static).update(Text(terminal_text(text), style=style))


def _keys_of(shown: ShownItem) -> dict[str, str]:
    if shown.choices is None:
        return {}
    return choice_keys([choice.name for choice in shown.choices])


def _typed_range(
    session: LabelSession,
    shown: ShownItem,
) -> str:
    """Return what may be typed: a number in a range, or one of many grades."""
    if shown.choices is None:
        question = session.items.question
        return f"a number from {question.lowest:g} to {question.highest:g}"
    names = [choice.name for choice in shown.choices]
    return f"{names[0]} to {names[-1]}"


def _section(shown: ShownText) -> Static:
    text = shown.text
    for name, address in shown.files:
        text += f"\n{name} {address}"
    is_answer = shown.title.startswith(("Answer", "Conversation"))
    section = Static(_text(text), classes="text answer" if is_answer else "text")
    section.border_title = terminal_text(shown.title)
    return section


def _text(text: str) -> Text:
    # As `Text`: what models wrote is no markup, and no control sequence.
    return Text(terminal_lines(text))
