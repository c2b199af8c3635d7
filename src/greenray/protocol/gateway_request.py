"""A request to a gateway as a value, for those who make it and those who answer it."""

from __future__ import annotations

from dataclasses import dataclass

SOURCES_HEADER = "X-Greenray-Sources"
"""Ours, of an answer to GetObject: the query that asks where its bytes came from, once they are all
there. Other clients ignore it, and who does not send it is not asked: for an unknown query a
provider gives the object once more."""

SOURCES_QUERY = "download-sources"


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """What a handler needs of a request beside its body; text is UTF-8 with surrogateescape."""

    sp_address: str
    request_id: str
    method: str
    path: str
    """Decoded."""
    raw_query: str
    host: str
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str:
        """The first value, or an empty text."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")
