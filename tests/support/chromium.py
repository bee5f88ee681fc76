"""The browser of this machine, `None` if there is none."""

from __future__ import annotations

import shutil

CHROMIUM = (
    shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
