"""Names of parametrized tests that are the same in every process."""

from __future__ import annotations

import re
from typing import Any


def without_addresses(value: Any) -> str:
    """A value as text, without the places of its objects in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))
