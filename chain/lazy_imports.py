"""Imports of libraries that change the process when they are loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_recursion_limit() -> Iterator[None]:
    """Put the recursion limit back after an import.

    web3 and eth-account load py_ecc, which lifts the limit of the whole process to 100000. With
    that, deeply nested JSON from anybody ends the process instead of raising RecursionError.
    """
    limit = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
