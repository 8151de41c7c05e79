"""Files by which a process that lives is told from one that died: it keeps one locked, and the system unlocks it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .._private import open_private

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class LockFile:
    """A file that this process has locked until it is released, or the process ends, however it ends.

    Args:
        path: The file; made, for its owner alone.

    Raises:
        OSError: It cannot be made, or is locked by another process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        while True:
            self._descriptor = open_private(path, os.O_CREAT | os.O_RDWR)
            if _lock(self._descriptor) and _is_at(path, self._descriptor):
                return
            # whoever tidies up took it for one that a dead process left, and removed it
            os.close(self._descriptor)
            if path.exists():
                raise BlockingIOError(f"{path} is locked by another process")

    def release(self) -> None:
        """Unlock and remove it."""
        _remove_and_close(self._path, self._descriptor)

    def forget(self) -> None:
        """Close it in a forked process, which would otherwise keep the lock when its parent has died."""
        os.close(self._descriptor)


def is_locked(path: Path) -> bool:
    """Whether a process that lives has locked a file; one that nobody has is removed."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    if not _lock(descriptor):
        os.close(descriptor)
        return True
    _remove_and_close(path, descriptor)
    return False


def _remove_and_close(path: Path, descriptor: int) -> None:
    """Remove a file that this process has locked, if it is there and the system lets us, and close it."""
    if sys.platform == "win32":
        # an open file cannot be removed there; one that another process opens in between neither, and keeps its name
        os.close(descriptor)
    try:
        path.unlink()
    except OSError:
        # it is gone, or the next to tidy up finds it
        pass
    finally:
        if sys.platform != "win32":
            os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
