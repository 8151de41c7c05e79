"""Files by which a process that lives is told from one that died: it keeps one locked, and the system unlocks it."""

from __future__ import annotations

import glob
import os
import sys
import time
from pathlib import Path
from uuid import uuid4

from .._fork import FORKS
from .._private import open_private

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class LockFile:
    """A file that this process has locked until it is released, or the process ends, however it ends.

    Args:
        path: The file; made, for its owner alone. No other process makes one of this name.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        while True:
            self._descriptor = open_private(path, os.O_CREAT | os.O_RDWR)
            if _lock(self._descriptor) and _is_at(path, self._descriptor):
                return
            # whoever tidies up takes it for one that a dead process left: has it locked just now, or has removed it
            os.close(self._descriptor)
            time.sleep(0.001)

    def release(self) -> None:
        """Unlock and remove it."""
        _remove_and_close(self._path, self._descriptor)

    def forget(self) -> None:
        """Close it in a forked process, which would otherwise keep the lock when its parent has died."""
        os.close(self._descriptor)


class Presence:
    """Sign of life of this process for all who share a file: beside it lies one that this process has locked.

    Args:
        path: The file that is shared.

    Attributes:
        owner: Name of this process there; no other ever has the same.

    Raises:
        OSError: No file can be made there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.owner = uuid4().hex
        self._file: LockFile | None = LockFile(self.file_of(self.owner))
        FORKS.watch(self)
        for file in path.parent.glob(f"{glob.escape(path.name)}-*.lock"):
            if file != self.file_of(self.owner):
                is_locked(file)  # removes what dead processes have left

    def file_of(self, owner: str) -> Path:
        """The file that a process has locked."""
        return self._path.with_name(f"{self._path.name}-{owner}.lock")

    def is_alive(self, owner: str) -> bool:
        """Whether a process still runs."""
        if owner == self.owner:
            return True
        return bool(owner) and is_locked(self.file_of(owner))

    def end(self) -> None:
        """Count as gone."""
        file, self._file = self._file, None
        if file is not None:
            file.release()

    def before_fork(self) -> None:
        """Nothing: the file is as good in the parent as it was."""

    def after_fork(self, *, in_child: bool) -> None:
        """A forked process counts as another one, and must not keep its parent's lock when that has died."""
        if in_child and self._file is not None:
            self._file.forget()
            self._file = None


def is_locked(path: Path) -> bool:
    """Whether a process that lives has locked a file; one that nobody has is removed."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return False
        if not _lock(descriptor):
            os.close(descriptor)
            return True
        if _is_at(path, descriptor):
            _remove_and_close(path, descriptor)
            return False
        # another has removed it meanwhile, and what has its name now may be locked
        os.close(descriptor)


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
