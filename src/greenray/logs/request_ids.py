"""Which request a process is at, for whatever it logs meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_REQUEST_ID: ContextVar[str] = ContextVar("request id", default="")


@contextmanager
def logging_request(request_id: str) -> Iterator[None]:
    """Lines that are logged meanwhile, here and in tasks that begin here, tell the request."""
    token = _REQUEST_ID.set(request_id)
    try:
        yield
    finally:
        _REQUEST_ID.reset(token)


def current_request_id() -> str:
    """Empty outside of requests."""
    return _REQUEST_ID.get()
