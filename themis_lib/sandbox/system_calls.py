"""A filter of system calls: those that compute and use open files, and no others.

Linux's seccomp, set through `prctl`. Imports nothing but the standard library: it runs
in the sandbox.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

#: What the code may ask of the system, with its number on x86-64 and on arm64 (Linux
#: 6.18's `unistd_64.h` and `asm-generic/unistd.h`). None of them starts a process or a
#: thread, sends a signal, opens a socket, mounts, traces, or changes a limit; or changes
#: the mode or the times of a file, which Landlock does not prevent.
_ALLOWED = """
access:21:- alarm:37:- brk:12:214 chdir:80:49 clock_getres:229:114
clock_gettime:228:113 clock_nanosleep:230:115 close:3:57 creat:85:- dup:32:23
dup2:33:- dup3:292:24 epoll_create1:291:20 epoll_ctl:233:21 epoll_pwait:281:22
epoll_wait:232:- exit:60:93 exit_group:231:94 faccessat:269:48 faccessat2:439:439
fchdir:81:50 fdatasync:75:83 fstat:5:80 fsync:74:82
ftruncate:77:46 futex:202:98 getcpu:309:168 getcwd:79:17 getdents64:217:61
getegid:108:177 geteuid:107:175 getgid:104:176 getgroups:115:158 getitimer:36:102
getpgid:121:155 getpgrp:111:- getpid:39:172 getppid:110:173 getrandom:318:278
getresgid:120:150 getresuid:118:148 getrlimit:97:163 getrusage:98:165 getsid:124:156
gettid:186:178 gettimeofday:96:169 getuid:102:174 lseek:8:62 lstat:6:- madvise:28:233
mkdir:83:- mkdirat:258:34 mmap:9:222 mprotect:10:226 mremap:25:216 munmap:11:215
nanosleep:35:101 newfstatat:262:79 open:2:- openat:257:56 pause:34:- pipe:22:-
pipe2:293:59 poll:7:- ppoll:271:73 pread64:17:67 preadv:295:69 pselect6:270:72
pwrite64:18:68 pwritev:296:70 read:0:63 readlink:89:- readlinkat:267:78 readv:19:65
rename:82:- renameat:264:38 renameat2:316:276 restart_syscall:219:128 rmdir:84:-
rseq:334:293 rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139
sched_getaffinity:204:123 sched_yield:24:124 select:23:- set_robust_list:273:99
set_tid_address:218:96 setitimer:38:103 sigaltstack:131:132 stat:4:- statx:332:291
symlink:88:- symlinkat:266:36 sysinfo:99:179 time:201:- times:100:153 truncate:76:45
umask:95:166 uname:63:160 unlink:87:- unlinkat:263:35 write:1:64
writev:20:66
"""
#: By machine: the architecture's number in the filter, and its column above.
_ARCHITECTURES = {
    "x86_64": (0xC000003E, 1),
    "aarch64": (0xC00000B7, 2),
}

# From linux/prctl.h, linux/seccomp.h and linux/bpf_common.h.
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_KILL_PROCESS = 0x80000000
_REFUSE = 0x00050000 | errno.EPERM
_ALLOW = 0x7FFF0000
_LOAD = 0x20
_JUMP_IF_EQUAL = 0x15
_RETURN = 0x06
#: Where the number and the architecture are in what the filter is handed.
_NUMBER_OFFSET = 0
_ARCHITECTURE_OFFSET = 4


class _Program(ctypes.Structure):
    """`struct sock_fprog`: how many instructions, and where they are."""

    _fields_ = (
        ("length", ctypes.c_ushort),
        ("instructions", ctypes.c_char_p),
    )


def forbid_system_calls() -> None:
    """Refuse every system call that is not on the list, from now on, with `EPERM`.

    It holds for this process and cannot be undone. Raise `OSError` if the kernel has no
    such filters, `NotImplementedError` on another kind of machine.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    code = _instructions(os.uname().machine)
    program = _Program(len(code) // 8, code)
    # Without it only the superuser may set a filter. It also makes set-uid programs
    # run without their rights.
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1, 0)
    _prctl(libc, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program))


def _prctl(
    libc: ctypes.CDLL,
    option: int,
    first: object,
    second: object,
) -> None:
    if libc.prctl(option, first, second, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _instructions(machine: str) -> bytes:
    """Return the filter for a kind of machine as instructions of 8 bytes."""
    if machine not in _ARCHITECTURES:
        raise NotImplementedError(f"machines of the kind {machine!r}")
    architecture, column = _ARCHITECTURES[machine]
    code = [
        _instruction(_LOAD, _ARCHITECTURE_OFFSET),
        # A process may make calls of another architecture, by other numbers.
        _instruction(_JUMP_IF_EQUAL, architecture, skip_if=1),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _NUMBER_OFFSET),
    ]
    for entry in _ALLOWED.split():
        number = entry.split(":")[column]
        if number != "-":
            code.append(_instruction(_JUMP_IF_EQUAL, int(number), skip_unless=1))
            code.append(_instruction(_RETURN, _ALLOW))
    code.append(_instruction(_RETURN, _REFUSE))
    return b"".join(code)


def _instruction(
    operation: int,
    value: int,
    *,
    skip_if: int = 0,
    skip_unless: int = 0,
) -> bytes:
    return struct.pack("=HBBI", operation, skip_if, skip_unless, value)
