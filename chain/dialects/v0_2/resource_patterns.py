"""Patterns of resources in policies: regular expressions of Go, in time linear in what they meet.

The real chain matches them with Go's regexp, which is RE2's syntax and algorithm; Python's takes
exponential time for some of them, and a block waits for it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

MAX_PATTERN_BYTES = 4096
"""As UTF-8. The real chain bounds a transaction only; twice the longest name there is fits in."""
_MAX_MEMORY_BYTES = 1 << 20
"""Of one compiled pattern."""


class InvalidPattern(ValueError):
    """Says why."""


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    import re2  # only who evaluates policies needs it

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY_BYTES
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        text = error.args[0] if error.args else ""
        raise InvalidPattern(text.decode() if isinstance(text, bytes) else str(text)) from None


def check_pattern(pattern: str) -> None:
    """Raises InvalidPattern: too long, or no regular expression of RE2's."""
    try:
        size_bytes = len(pattern.encode())
    except UnicodeEncodeError:
        raise InvalidPattern("it is not UTF-8") from None
    if size_bytes > MAX_PATTERN_BYTES:
        raise InvalidPattern(f"it has {size_bytes} bytes, {MAX_PATTERN_BYTES} are allowed")
    _compiled(pattern)


def matches(pattern: str, resource: str) -> bool:
    """Whether the pattern is found anywhere in the resource's name; one that is none (a chain of an
    earlier greenray took others) matches nothing."""
    try:
        check_pattern(pattern)
    except InvalidPattern:
        return False
    return _compiled(pattern).search(resource) is not None
