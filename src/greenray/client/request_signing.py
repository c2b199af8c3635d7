"""Signed requests to a gateway, for HTTP clients that cannot sign."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping

from greenray.chain.crypto import keccak256, sign_digest
from greenray.protocol.errors import InvalidInput
from greenray.protocol.gateway_request import parse_target
from greenray.protocol.http_auth import (
    EMPTY_SHA256,
    canonical_of,
    format_authorization,
    message_to_sign,
    signed_values,
)

_URL = re.compile(r"https?://([^/?#@\s]+)(/[^#\s]*)?", re.IGNORECASE)
_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([^\r\n\0]*)")
_METHOD = re.compile(r"[A-Z]+")


def headers_of(lines: Iterable[str]) -> dict[str, str]:
    """Of ``NAME: VALUE`` lines. Raises InvalidInput."""
    headers = {}
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise InvalidInput("is no header", repr(line[:80]), "Give one like 'Range: bytes=0-9'")
        headers[match[1]] = match[2].strip()
    return headers


def signed_headers(
    private_key: bytes,
    method: str,
    url: str,
    extra: Mapping[str, str],
    unix_s: float | None = None,
) -> dict[str, str]:
    """The headers to send with a request, ``extra`` among them, without Host, which is that of
    ``url``. ``unix_s``: when it is signed; None: now.

    Raises: InvalidInput (no method, no URL), InvalidQuery.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise InvalidInput(
            "is no URL of a gateway", url[:80], "Give http://HOST:PORT/BUCKET/OBJECT"
        )
    if not _METHOD.fullmatch(method):
        raise InvalidInput("is no HTTP method", method[:80], "Give GET, HEAD, PUT or POST")
    try:
        target = parse_target(match[2] or "/", match[1])
    except ValueError as error:
        raise InvalidInput(f"is no URL: {error}", url[:80], "Escape % as %25") from error
    headers = {
        "Content-Type": "application/octet-stream",
        "X-Gnfd-Content-Sha256": EMPTY_SHA256,
        "X-Gnfd-Date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(unix_s)),
        **extra,
    }
    signed = signed_values(headers.items())
    canonical = canonical_of(method, target.path, target.query, signed, target.host)
    message = message_to_sign(canonical, keccak256)
    authorization = format_authorization(message, sign_digest(private_key, message))
    return {**headers, "Authorization": authorization}
