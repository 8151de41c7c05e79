"""A program that finds what Windows has: ``python windows.py FOLDER``. It says what went well, a word a line.

What is not there: modules and functions of POSIX, and files that can be removed while they are open. Other packages are loaded
first, as theirs is another matter.
"""

from __future__ import annotations

import builtins
import fcntl
import importlib
import os
import pkgutil
import signal
import sys
import types
from pathlib import Path

import matplotlib.figure
import pennylane as qml
import platformdirs
import qiskit_aer
import qiskit_ibm_runtime
import rich.console
import starlette.applications
import uvicorn

LOADED = (matplotlib, platformdirs, qiskit_aer, qiskit_ibm_runtime, rich, starlette, uvicorn)
MISSING_MODULES = {"fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "syslog"}
MISSING = {
    os: (
        "fork register_at_fork getuid geteuid getgid getppid fchmod chown fchown uname killpg setsid mkfifo wait3 getpgid "
        "sched_getaffinity getloadavg"
    ),
    signal: "SIGKILL SIGHUP SIGALRM SIGUSR1 SIGUSR2 alarm setitimer pthread_kill pthread_sigmask sigwait pause",
}
OTHER_STACK = ("classic", "covalent", "legacy")
PACKAGE = "pennylane_threaded_ibmq"


class Windows:
    """Takes away what Windows does not have, for this package's code."""

    def __init__(self) -> None:
        self._import = builtins.__import__
        self._unlink = os.unlink

    def begin(self) -> None:
        """From here on."""
        builtins.__import__ = self.import_module  # type: ignore[assignment]
        os.unlink = self.unlink  # type: ignore[assignment]
        sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, locking=self.lock)  # type: ignore[assignment]
        for module, names in MISSING.items():
            for name in names.split():
                if hasattr(module, name):
                    delattr(module, name)

    def import_module(self, name, into=None, *more, **named):
        """Import what is there."""
        if name in MISSING_MODULES and str((into or {}).get("__name__")).startswith(PACKAGE):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return self._import(name, into, *more, **named)

    def unlink(self, path, **options):
        """Remove a file that nobody has open."""
        if any(
            fd.exists() and fd.resolve() == Path(path).resolve() for fd in Path("/proc/self/fd").iterdir()
        ):
            raise PermissionError(
                13, "The process cannot access the file because it is being used", str(path)
            )
        self._unlink(path, **options)

    @staticmethod
    def lock(descriptor, mode, size):
        """As ``msvcrt.locking`` does."""
        assert (mode, size) == (2, 1)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(13, "Permission denied") from None


def load_everything() -> int:
    """Import every module of the package for the stack that is here; how many."""
    package = importlib.import_module(PACKAGE)
    number = 0
    for found in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."):
        if any(word in found.name for word in OTHER_STACK) or found.name.endswith("__main__"):
            continue
        importlib.import_module(found.name)
        number += 1
    return number


def main(folder: Path) -> None:
    """Load, keep a journal, run circuits."""
    windows = Windows()
    windows.begin()
    platform, sys.platform = sys.platform, "win32"
    try:
        print("modules", load_everything() > 150)
    finally:
        # other packages load more of theirs when they are used
        sys.platform = platform
    from pennylane_threaded_ibmq._private import who_else_can_write
    from pennylane_threaded_ibmq.store import lock_file
    from pennylane_threaded_ibmq.store.journal import Journal
    from pennylane_threaded_ibmq.store.records import NewShard

    lock_file.sys = types.SimpleNamespace(platform="win32")  # type: ignore[attr-defined]
    # a dead process's, which the first journal removes
    (folder / "journal.sqlite-0.lock").touch()
    journal = Journal(folder / "journal.sqlite")
    batch, _ = journal.begin("b", "i", [], [NewShard("same", 1, (0,), "tag")])
    (lock,) = folder.glob("*.lock")
    print(
        "alive",
        lock_file.is_locked(lock),
        journal.presence.is_alive(journal.presence.owner),
        journal.presence.is_alive("nobody"),
    )
    print("kept", journal.batch(batch).id == batch)
    print("pickles", bool(who_else_can_write(journal.path)))
    journal.close()
    print("locks", len(list(folder.glob("*.lock"))))
    with qml.device("threaded.ibmq", wires=2, backend="aer_simulator") as dev:
        tapes = [qml.tape.QuantumScript([qml.X(0), qml.CNOT([0, 1])], [qml.expval(qml.Z(1))], shots=100)] * 3
        print("results", [float(value) for value in dev.batch_execute(tapes)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
