"""Writes the pages of the reference, or checks that they are up to date."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tools.reference.command_line import command_line_page
from tools.reference.components import components_page
from tools.reference.configuration import configuration_page
from tools.reference.error_tree import errors_page
from tools.reference.python_api import python_api_page
from tools.reference.stored_tables import tables_page

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES: dict[str, Callable[[], str]] = {
    "command-line.md": command_line_page,
    "components.md": components_page,
    "configuration.md": configuration_page,
    "errors.md": errors_page,
    "python-api.md": python_api_page,
    "tables.md": tables_page,
}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.reference")
    parser.add_argument("--check", action="store_true", help="write nothing")
    is_check = parser.parse_args().check
    stale = []
    for name, write in PAGES.items():
        page = FOLDER / name
        text = write()
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not is_check:
                page.parent.mkdir(parents=True, exist_ok=True)
                page.write_text(text, encoding="utf-8")
    if stale:
        print(("stale: " if is_check else "written: ") + ", ".join(stale))
    sys.exit(int(is_check and bool(stale)))


if __name__ == "__main__":
    main()
