"""Files and folders for their owner alone, whatever the umask."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def make_private_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, for their owner alone. What is there stays as it is.

    Raises:
        OSError: It cannot be made.
    """
    missing = []
    for folder in (path, *path.parents):
        if folder.exists():
            break
        missing.append(folder)
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=FOLDER_MODE)
            folder.chmod(FOLDER_MODE)
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is no folder")


def make_private_file(path: Path) -> None:
    """Make an empty file for its owner alone, with its folder. One of the user's that others can read or write is closed to them.

    Raises:
        OSError: It cannot be made.
    """
    make_private_folder(path.parent)
    try:
        os.close(open_private(path, os.O_CREAT | os.O_EXCL | os.O_RDWR))
    except FileExistsError:
        # without opening it: whoever closes a file of SQLite's gives up the locks of the whole process on it
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077 and _is_mine(status):
            path.chmod(FILE_MODE)


def open_private(path: Path, flags: int) -> int:
    """Open a file; if that makes it, it is for its owner alone. Returns its descriptor."""
    descriptor = os.open(path, flags, FILE_MODE)
    if hasattr(os, "fchmod") and flags & os.O_CREAT:
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, FILE_MODE)
    return descriptor


def who_else_can_write(path: Path) -> str:
    """The reason why somebody else can write a file, or put another in its place, for an error; empty if nobody can.

    Raises:
        OSError: It cannot be looked at.
    """
    if not hasattr(os, "getuid"):
        return "this system does not tell who else can write it"
    path = path.resolve()
    for part in (path, *path.parents):
        status = part.stat()
        if status.st_uid not in (os.getuid(), 0):
            return f"{part} belongs to another user"
        # in a folder with the sticky bit nobody can replace the files of others
        safe = part != path and status.st_mode & stat.S_ISVTX
        group = status.st_mode & stat.S_IWGRP and not _is_own_group(status.st_gid)
        if (status.st_mode & stat.S_IWOTH or group) and not safe:
            return f"{part} can be written by others (mode {stat.S_IMODE(status.st_mode):o})"
    return ""


def _is_mine(status: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or status.st_uid == os.getuid()


def _is_own_group(number: int) -> bool:
    """Whether nobody but this user is in a group: many systems give each user one, and let it write what they make."""
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(os.getuid()), grp.getgrgid(number)
    except KeyError:
        return False
    return group.gr_gid == user.pw_gid and group.gr_name == user.pw_name and {*group.gr_mem} <= {user.pw_name}
