"""A world with Python's standard library, one empty folder, and nothing else.

Linux's namespaces, entered without any right. Imports nothing but the standard library:
it runs in the sandbox.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sysconfig
from pathlib import Path

#: The folder that the code may write into.
WRITABLE = Path("/code")
#: The folder that the new root is built at; it must exist, and is covered by it.
_BUILD_AT = Path("/tmp")

# From linux/sched.h, linux/mount.h and linux/prctl.h.
_NEW_NAMESPACES = (
    0x00020000  # mounts
    | 0x04000000  # host name
    | 0x08000000  # inter-process communication
    | 0x10000000  # users
    | 0x20000000  # processes
    | 0x40000000  # network: one without devices
)
_MS_RDONLY = 1
_MS_NOSUID = 2
_MS_NODEV = 4
_MS_NOEXEC = 8
_MS_REMOUNT = 32
_MS_BIND = 4096
_MS_REC = 16384
_MS_PRIVATE = 1 << 18
_MNT_DETACH = 2
_SAFE = _MS_NOSUID | _MS_NODEV
_PR_SET_PDEATHSIG = 1
_CAPABILITY_VERSION_3 = 0x20080522
#: The numbers of system calls that the C library has no function for.
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR = 442
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000


def enter_namespaces() -> int:
    """Move this process into namespaces that it is the owner of, and fork.

    Return 0 in the child, which is process 1 of the new world and ends with its parent;
    the child's id in the parent. Raise `OSError`, naming the step, if it is not
    allowed.
    """
    user, group = os.getuid(), os.getgid()
    _call("unshare", _NEW_NAMESPACES)
    for name, text in (
        ("setgroups", "deny"),
        # The same ids inside: nothing outside is owned by anybody else.
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        Path("/proc/self", name).write_text(text, encoding="ascii")
    child = os.fork()
    if child == 0:
        _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return child


def enter_new_root() -> None:
    """Leave everything behind but the standard library, which can only be read."""
    # Else the mounts below would be made outside as well.
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    root = _BUILD_AT
    _mount("tmpfs", str(root), "tmpfs", _SAFE, "size=1m,mode=755")
    # In a virtual environment these are the folders of the Python that it is made of.
    for name in ("stdlib", "platstdlib"):
        library = Path(sysconfig.get_path(name))
        _show_library(library, Path(root, *library.parts[1:]))
    Path(root, *WRITABLE.parts[1:]).mkdir()
    _mount("none", str(root), None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _SAFE)
    os.chdir(root)
    libc = ctypes.CDLL(None, use_errno=True)
    # The old root ends up over the new one, and is taken away.
    _check(libc.syscall(_PIVOT_ROOT[os.uname().machine], b".", b"."), "pivot_root")
    _call("umount2", b".", _MNT_DETACH)
    os.chdir("/")


def _show_library(
    library: Path,
    place: Path,
) -> None:
    # `stdlib` and `platstdlib` may be one folder.
    if place.exists():
        return
    place.mkdir(parents=True)
    _mount(str(library), str(place), None, _MS_BIND | _MS_REC)
    _make_read_only(place)
    # What is installed may hold data sets with their solutions.
    for name in ("site-packages", "dist-packages"):
        installed = place / name
        if installed.is_dir():
            _mount("tmpfs", str(installed), "tmpfs", _SAFE | _MS_RDONLY, "size=4k")


def _make_read_only(place: Path) -> None:
    # `struct mount_attr`: the flags to set; `mount` would have to name those that are
    # set and locked already. (Linux 5.12.)
    attributes = (ctypes.c_uint64 * 4)(_MS_RDONLY | _SAFE, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(
        _MOUNT_SETATTR,
        _AT_FDCWD,
        str(place).encode(),
        _AT_RECURSIVE,
        ctypes.byref(attributes),
        ctypes.sizeof(attributes),
    )
    _check(result, "mount_setattr")


def mount_writable(size_mb: int) -> None:
    """Mount an empty folder for the code, in memory and of a bounded size."""
    options = f"size={size_mb}m,nr_inodes=1024,mode=700"
    _mount("tmpfs", str(WRITABLE), "tmpfs", _SAFE | _MS_NOEXEC, options)


def unmount_writable() -> None:
    """Drop the code's folder with everything in it."""
    _call("umount2", str(WRITABLE).encode(), _MNT_DETACH)


def drop_capabilities() -> None:
    """Give up the rights over the namespaces that their owner has."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    _call("capset", ctypes.byref(header), ctypes.byref(none))


def _mount(
    source: str,
    target: str,
    kind: str | None,
    flags: int,
    options: str | None = None,
) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.mount(
        source.encode(),
        target.encode(),
        kind and kind.encode(),
        ctypes.c_ulong(flags),
        options and options.encode(),
    )
    _check(result, f"mount {target}")


def _call(
    name: str,
    *arguments: object,
) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    _check(getattr(libc, name)(*arguments), name)


def _check(
    result: int,
    step: str,
) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{step}: {os.strerror(code)}")
