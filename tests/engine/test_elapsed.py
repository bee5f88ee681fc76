"""The seconds of a long wait are shown on a terminal, and nowhere else."""

from __future__ import annotations

import io
import sys
import time

import pytest

from themis_lib.engine.elapsed import show_elapsed


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_seconds_are_counted_and_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, written over each second, and empty in the end."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "__stderr__", terminal)

    with show_elapsed("examining a model"):
        time.sleep(1.2)

    assert "\rexamining a model: 1 s" in terminal.getvalue()
    assert "\n" not in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_an_error_clears_the_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is passed on."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "__stderr__", terminal)

    with pytest.raises(ValueError, match="of a test"), show_elapsed("waiting"):
        raise ValueError("of a test")

    assert "\r\x1b[K" == terminal.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_a_file_or_no_stream_gets_nothing(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each second would be a line there."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "__stderr__", stream)

    with show_elapsed("waiting"):
        pass

    assert stream is None or "" == stream.getvalue()


def test_a_live_display_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It puts a stream of its own in place of standard error."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "__stderr__", terminal)
    monkeypatch.setattr(sys, "stderr", Terminal())

    with show_elapsed("waiting"):
        pass

    assert "" == terminal.getvalue()
