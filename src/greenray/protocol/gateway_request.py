"""A request to a gateway as a value, for those who make it and those who answer it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from greenray.protocol.http_auth import (
    EXPIRING_HEADERS,
    EXPIRY_HEADER,
    SIGNED_HEADERS,
    canonical_of,
    decode_path,
    signed_values,
)
from greenray.protocol.request_query import RequestQuery, parse_routed_query

SOURCES_HEADER = "X-Greenray-Sources"
"""Ours, of an answer to GetObject: the query that asks where its bytes came from, once they are all
there. Other clients ignore it, and who does not send it is not asked: for an unknown query a
provider gives the object once more."""

SOURCES_QUERY = "download-sources"

_ABSOLUTE = re.compile(r"https?://([^/?#@]+)([/?].*)?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """What a request line and its Host header ask for."""

    path: str
    """Decoded; UTF-8 with surrogateescape."""
    query: RequestQuery
    host: str


def parse_target(raw_target: str, host: str) -> RequestTarget:
    """``raw_target``: of the request line, in origin form, or in absolute form, whose authority
    takes the place of ``host``, the Host header (RFC 9112 §3.2).

    Raises:
        ValueError: it is neither, or an escape in the path is broken.
        InvalidQuery: see ``parse_routed_query``.
    """
    if not raw_target.startswith("/"):
        absolute = _ABSOLUTE.fullmatch(raw_target)
        if absolute is None:
            raise ValueError("the target of the request is neither a path nor a URL")
        host, raw_target = absolute[1], absolute[2] or "/"
        if not raw_target.startswith("/"):
            raw_target = "/" + raw_target
    raw_path, _, raw_query = raw_target.partition("?")
    return RequestTarget(decode_path(raw_path), parse_routed_query(raw_query), host)


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """What a handler needs of a request beside its body; text is UTF-8 with surrogateescape."""

    sp_address: str
    request_id: str
    method: str
    path: str
    """Decoded."""
    query: RequestQuery
    host: str
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str:
        """The first value, or an empty text; of a header that is signed, what is signed of it: all
        its values, joined with commas."""
        wanted = name.lower()
        values = [(key, value) for key, value in self.headers if key.lower() == wanted]
        if wanted in SIGNED_HEADERS:
            return signed_values(values).get(wanted, "")
        return values[0][1] if values else ""

    def expiry(self) -> str:
        """Until when it counts, of a request of ``EXPIRING_SCHEME``: of its header as it is signed,
        or of its query."""
        signed = signed_values(self.headers, EXPIRING_HEADERS)
        return signed.get(EXPIRY_HEADER.lower(), "") or self.query.value(EXPIRY_HEADER)

    def canonical(self, names: frozenset[str] = SIGNED_HEADERS) -> bytes:
        """What a signature of the request is over (protocol 06 §2.2). ``names``: the headers that
        the scheme covers."""
        signed = signed_values(self.headers, names)
        return canonical_of(self.method, self.path, self.query, signed, self.host)
