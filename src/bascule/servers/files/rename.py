"""Renaming without replacing: the target must not exist, and that is the system's to decide, not a look beforehand."""

import ctypes
import errno
import os
import stat
from functools import cache
from typing import Any

_NOREPLACE = 1
"""RENAME_NOREPLACE of renameat2(2)."""

_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def rename_new(source: tuple[int, str], target: tuple[int, str]) -> None:
    """Rename an entry of one open directory to a new one of another. Raises FileExistsError, OSError.

    Where the system, or the file system, cannot refuse to replace, a file is linked and unlinked, which is as good, and
    for a directory there is a moment in which an empty one that just came may be replaced.
    """
    call = _renameat2()
    if call is not None:
        if call(source[0], os.fsencode(source[1]), target[0], os.fsencode(target[1]), _NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in _UNABLE:
            raise OSError(number, os.strerror(number))
    _rename_slowly(source, target)


def _rename_slowly(source: tuple[int, str], target: tuple[int, str]) -> None:
    status = os.stat(source[1], dir_fd=source[0], follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        try:
            os.stat(target[1], dir_fd=target[0], follow_symlinks=False)
        except FileNotFoundError:
            os.rename(source[1], target[1], src_dir_fd=source[0], dst_dir_fd=target[0])
            return
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.link(source[1], target[1], src_dir_fd=source[0], dst_dir_fd=target[0], follow_symlinks=False)
    os.unlink(source[1], dir_fd=source[0])


@cache
def _renameat2() -> Any:
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return call
