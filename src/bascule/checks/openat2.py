"""openat2: the system call with which Linux (5.6 and newer) itself keeps a path beneath a directory.

Knows numbers and flags; does not know what a path may mean. Where the call is missing (another system, an older
kernel, a sandbox that forbids it) `available` says so, and `beneath` walks step by step instead.
Source: openat2(2), linux/openat2.h.
"""

import ctypes
import os
import struct
import sys
from functools import cache
from typing import Any

_OPENAT2 = 437
"""The number of the call, which is the same on every architecture."""

NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH = 0x01, 0x02, 0x04, 0x08
CONFINED = NO_XDEV | NO_MAGICLINKS | BENEATH

_HOW = struct.Struct("QQQ")


@cache
def available() -> bool:
    """Whether the kernel has the call and lets this process make it; tried once, on the root directory."""
    if not sys.platform.startswith("linux") or struct.calcsize("P") != 8:
        return False
    try:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.close(openat2(root, ".", os.O_PATH | os.O_CLOEXEC))
    except (OSError, AttributeError):
        return False
    finally:
        os.close(root)
    return True


def openat2(directory: int, path: str, flags: int, mode: int = 0, resolve: int = CONFINED) -> int:
    """Open `path` beneath an open directory. Raises OSError: EXDEV where it leads out, EAGAIN where it moved."""
    how = _HOW.pack(flags, mode, resolve)
    found: int = _syscall()(_OPENAT2, directory, os.fsencode(path), how, _HOW.size)
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found


@cache
def _syscall() -> Any:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    call.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
    return call
