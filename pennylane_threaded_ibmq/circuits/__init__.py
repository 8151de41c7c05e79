"""Tapes become templates, bindings and PUBs, and bit strings become results: pure, without threads, clocks, sockets or files."""
