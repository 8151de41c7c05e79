"""A plugin with the fixture ``seed`` of pytest-rng, which PennyLane's tests ask for, where that is not installed."""

from importlib.util import find_spec
from zlib import crc32

import pytest

HERE = find_spec("pytest_rng") is None


def pytest_addoption(parser):
    if HERE:
        parser.addini("rng_salt", "for pytest-rng")


if HERE:

    @pytest.fixture
    def seed(request):
        """A number of the test's own."""
        return crc32(request.node.nodeid.encode())
