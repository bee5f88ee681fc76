"""Files out of reach: all but the standard library, and one folder to write into.

Linux's Landlock, which any process may set on itself. Imports nothing but the standard
library: it runs in the sandbox.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sysconfig
from pathlib import Path

# From linux/landlock.h; the numbers are those of every architecture.
_CREATE_RULESET = 444
_ADD_RULE = 445
_RESTRICT_SELF = 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_READ = 1 << 2 | 1 << 3
#: Every right over files that version 3 knows, the last of them to truncate.
_ALL = (1 << 15) - 1
#: Without the third version (Linux 6.2), files outside could be emptied.
_NEEDED_VERSION = 3
_PR_SET_NO_NEW_PRIVS = 38


def forbid_files(folder: Path) -> None:
    """Refuse to open, make or remove files outside a folder, but for reading Python's.

    It holds for this process and cannot be undone. Raise `OSError` if the kernel cannot
    do it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    if version < _NEEDED_VERSION:
        raise OSError(errno.ENOSYS, "Landlock of Linux 6.2 is missing")
    attributes = struct.pack("=Q", _ALL)
    rules = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    _check(rules)
    allowed = {folder: _ALL}
    for name in ("stdlib", "platstdlib"):
        allowed[Path(sysconfig.get_path(name))] = _READ
    for path, rights in allowed.items():
        place = os.open(path, os.O_PATH)
        rule = struct.pack("=Qi", rights, place)
        _check(libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, rule, 0))
        os.close(place)
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check(libc.syscall(_RESTRICT_SELF, rules, 0))
    os.close(rules)


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
