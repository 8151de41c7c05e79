"""Signs of life are made and tidied up by many at once: who lives is never taken for dead, and nobody is refused."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pennylane_threaded_ibmq.store import lock_file
from pennylane_threaded_ibmq.store.lock_file import LockFile, Presence, is_locked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal-1.lock"


def test_a_file_is_locked_until_it_is_released(path):
    lock = LockFile(path)
    assert is_locked(path)
    lock.release()
    assert not is_locked(path)
    assert not path.exists()


def test_one_that_nobody_has_locked_is_removed(path):
    path.touch()
    assert not is_locked(path)
    assert not path.exists()


def test_one_that_is_tidied_up_just_when_it_is_made_is_made_anew(path, monkeypatch):
    lock, tries = lock_file._lock, threading.Semaphore(0)
    tidier = os.open(path, os.O_CREAT | os.O_RDWR)
    assert lock(tidier)

    def look(descriptor):
        locked = lock(descriptor)
        tries.release()
        return locked

    monkeypatch.setattr(lock_file, "_lock", look)
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(LockFile, path)
        assert tries.acquire(timeout=60)
        assert tries.acquire(timeout=60)
        path.unlink()
        os.close(tidier)
        sign = made.result(60)
    assert is_locked(path)
    sign.release()


def test_who_opened_what_another_removed_does_not_remove_what_follows(path, monkeypatch):
    lock, signs = lock_file._lock, []

    def late(descriptor):
        if not signs:
            path.unlink()
            signs.append(None)
            signs[0] = LockFile(path)
        return lock(descriptor)

    monkeypatch.setattr(lock_file, "_lock", late)
    path.touch()
    assert is_locked(path)
    assert path.exists()
    signs[0].release()


def test_a_hundred_that_come_at_once_see_each_other(tmp_path):
    path = tmp_path / "journal"
    barrier = threading.Barrier(20)

    def come(_):
        barrier.wait(60)
        return [Presence(path) for _ in range(5)]

    with ThreadPoolExecutor(20) as pool:
        signs = [sign for some in pool.map(come, range(20)) for sign in some]
    assert all(signs[0].is_alive(sign.owner) for sign in signs)
    for sign in signs:
        sign.end()
    assert list(tmp_path.iterdir()) == []
