"""Cross-origin requests: which pages of others may ask a gateway, and what they may see. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from greenray.protocol.errors import InvalidSetting

ANY_ORIGIN = "*"
_ORIGIN = re.compile(r"https?://[^/\s,]+")
_METHODS = "GET, HEAD, PUT, POST"
_REQUEST_HEADERS = (
    "Authorization, Content-Type, Content-MD5, Range, If-Match, If-None-Match, If-Range, "
    "X-Gnfd-App-Domain, X-Gnfd-App-Reg-Expiry-Date, X-Gnfd-App-Reg-Nonce, "
    "X-Gnfd-App-Reg-Public-Key, X-Gnfd-Content-Sha256, X-Gnfd-Date, X-Gnfd-Expiry-Timestamp, "
    "X-Gnfd-Object-ID, X-Gnfd-Piece-Index, X-Gnfd-Redundancy-Index, X-Gnfd-Resource, "
    "X-Gnfd-Txn-Hash, X-Gnfd-Unsigned-Msg, X-Gnfd-User-Address"
)
"""Named one by one: a wildcard does not take Authorization in."""
_ANSWER_HEADERS = (
    "Content-Length, Content-Range, ETag, Retry-After, X-Gnfd-Integrity-Hash, X-Gnfd-Object-ID, "
    "X-Gnfd-Piece-Hash, X-Gnfd-Request-ID, X-Gnfd-Signed-Msg, X-Greenray-Error, X-Greenray-Sources"
)
_PREFLIGHT_AGE_S = 600


def allowed_origins(setting: str) -> tuple[str, ...]:
    """Those of a text that has them between commas. Raises InvalidSetting for what is neither ``*``
    nor an origin."""
    origins = tuple(origin.strip() for origin in setting.split(",")) if setting.strip() else ()
    for origin in origins:
        if origin != ANY_ORIGIN and not _ORIGIN.fullmatch(origin):
            raise InvalidSetting(
                "is no origin",
                f"gateway.cors_origins: {origin!r}",
                "Give https://host, with its port if it has one, or * for all",
            )
    return origins


def cors_headers(origins: Sequence[str], origin: str) -> Mapping[str, str]:
    """For an answer to a page of ``origin``; an empty text is no page. Cookies are never used, so
    none are allowed."""
    if not origins:
        return {}
    if ANY_ORIGIN in origins:
        return {
            "Access-Control-Allow-Origin": ANY_ORIGIN,
            "Access-Control-Expose-Headers": _ANSWER_HEADERS,
        }
    if origin not in origins:
        return {"Vary": "Origin"}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": _ANSWER_HEADERS,
        "Vary": "Origin",
    }


def preflight_headers(origins: Sequence[str], origin: str) -> Mapping[str, str] | None:
    """For the answer to an OPTIONS that asks on behalf of a page, beside ``cors_headers``; None
    when pages of ``origin`` may not ask."""
    if ANY_ORIGIN not in origins and origin not in origins:
        return None
    return {
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": _REQUEST_HEADERS,
        "Access-Control-Max-Age": str(_PREFLIGHT_AGE_S),
    }
