"""Request authorization ``authTypeV1`` (protocol 06 §2): what a request's signature covers.

The canonical request is built from what the server sees: the *decoded* path, the parsed query and
all headers. Client and server use the same functions, and a gateway routes by the same values, so
they cannot differ.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from greenray.protocol.errors import RequestTampered, SignatureError
from greenray.protocol.percent_encoding import PATH_SAFE, QUERY_SAFE, escape, unescape
from greenray.protocol.request_query import RequestQuery, parse_query

SCHEME = "authTypeV1 ECDSA-secp256k1"

EXPIRING_SCHEME = "GNFD1-ECDSA"
"""Of providers from v0.2.4 on: the request says until when it counts, and Keccak-256 alone is
signed."""

EXPIRY_HEADER = "X-Gnfd-Expiry-Timestamp"
MAX_EXPIRY_S = 604_800

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
"""What the Go client sends as X-Gnfd-Content-Sha256 of every payload."""

# The Go server looks its list up under canonical header names. X-Gnfd-Object-ID and Content-MD5 are
# not canonical there, are therefore never found, and must not be signed.
SIGNED_HEADERS = frozenset(
    {
        "content-type",
        "range",
        "x-gnfd-content-sha256",
        "x-gnfd-date",
        "x-gnfd-piece-index",
        "x-gnfd-redundancy-index",
        "x-gnfd-resource",
        "x-gnfd-txn-hash",
        "x-gnfd-unsigned-msg",
        "x-gnfd-user-address",
    }
)

EXPIRING_HEADERS = SIGNED_HEADERS | {EXPIRY_HEADER.lower()}
"""Those of ``EXPIRING_SCHEME``."""

_HEX = frozenset("0123456789abcdefABCDEF")
# unicode.IsSpace of Go; Python's str.split() also splits at U+001C..U+001F.
_BLANKS = re.compile("[\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_NO_BLANKS_OF_GO = re.compile("[\x1c-\x1f]")

Headers = Iterable[tuple[str, str]]
"""(name, value) pairs in order; bytes that are not UTF-8 are kept by surrogateescape."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """The two items of an ``authTypeV1`` header, not yet checked against a request."""

    signed_msg: str
    """Hex text, compared as it is."""
    signature: bytes


def decode_path(raw_path: str) -> str:
    """The path of a request line with its percent escapes decoded; ``+`` stays as it is.

    Raises:
        ValueError: a ``%`` is not followed by two hex digits.
    """
    return unescape(raw_path)


def encode_path(path: str) -> str:
    """A decoded path as it stands in the canonical request (and may stand in a request line)."""
    # A byte that is not UTF-8 is U+FFFD to Go.
    text = "".join("\ufffd" if 0xDC80 <= ord(char) <= 0xDCFF else char for char in path)
    return escape(text.encode(), PATH_SAFE)


def canonical_query(query: RequestQuery) -> str:
    """``query`` as Go's url.Values re-encodes it, keys sorted, blanks as ``%20``.

    A key without value becomes ``key=``.
    """
    pairs = [(_to_bytes(key), _to_bytes(value)) for key, value in query.pairs]
    return "&".join(
        f"{escape(key, QUERY_SAFE)}={escape(value, QUERY_SAFE)}"
        for key, value in sorted(pairs, key=lambda pair: pair[0])  # stable within a key
    )


def signed_values(headers: Headers, names: frozenset[str] = SIGNED_HEADERS) -> Mapping[str, str]:
    """Of the headers that a signature covers (``names``), by lower-case name: what is signed of
    their values, and so what may be looked at."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in names:
            values.setdefault(lower, []).append(_collapsed(value))
    return {name: ",".join(values[name]) for name in values}


def canonical_request(method: str, path: str, raw_query: str, headers: Headers, host: str) -> bytes:
    """``canonical_of`` for a request that is made: ``raw_query`` as in the request line, without
    ``?``."""
    return canonical_of(method, path, parse_query(raw_query), signed_values(headers), host)


def canonical_of(
    method: str, path: str, query: RequestQuery, signed: Mapping[str, str], host: str
) -> bytes:
    """The bytes whose hash is signed (protocol 06 §2.2).

    Args:
        path: the decoded path; with the bucket in path style, without it when virtual-hosted.
        signed: what ``signed_values`` gives.
        host: the Host header, with the port if it has one.
    """
    names = sorted(signed)
    block = "".join(f"{name}:{signed[name]}\n" for name in names)
    parts = (
        method.upper(),
        encode_path(path),
        canonical_query(query),
        f"{block}{host}\n",
        ";".join(names),
    )
    return _to_bytes("\n".join(parts))


def message_to_sign(canonical: bytes, keccak256: Callable[[bytes], bytes]) -> bytes:
    """The 32 bytes that the signature is over: SHA-256 first, then Keccak-256."""
    return keccak256(hashlib.sha256(canonical).digest())


def format_authorization(message: bytes, signature: bytes) -> str:
    """The Authorization header. ``message``: 32 bytes; ``signature``: 65 bytes, v 0 or 1."""
    return f"{SCHEME}, SignedMsg={message.hex()}, Signature={signature.hex()}"


def parse_authorization(header: str) -> Authorization:
    """Raises SignatureError for another scheme, or items that are not the two of this one."""
    prefix = f"{SCHEME},"
    if not header.startswith(prefix):
        raise SignatureError(
            "the Authorization scheme is not supported", "", f"Sign the request with {SCHEME}."
        )
    items: dict[str, str] = {}
    for item in header[len(prefix) :].replace(" ", "").split(","):
        name, equals, value = item.partition("=")
        if name not in ("SignedMsg", "Signature") or not equals or "=" in value:
            raise SignatureError("the Authorization header is malformed")
        items[name] = value
    if len(items) != 2 or not _HEX.issuperset(items["Signature"]):
        raise SignatureError("the Authorization header is malformed")
    if len(items["Signature"]) != 2 * 65:
        raise SignatureError("the signature in the Authorization header has not 65 bytes")
    return Authorization(items["SignedMsg"], bytes.fromhex(items["Signature"]))


def parse_expiring_authorization(header: str) -> bytes:
    """The signature of an ``EXPIRING_SCHEME`` header (65 bytes). Raises SignatureError."""
    prefix = f"{EXPIRING_SCHEME},"
    name, _, value = header.removeprefix(prefix).replace(" ", "").partition("=")
    if not header.startswith(prefix) or name != "Signature" or not _HEX.issuperset(value):
        raise SignatureError("the Authorization header is malformed")
    if len(value) != 2 * 65:
        raise SignatureError("the signature in the Authorization header has not 65 bytes")
    return bytes.fromhex(value)


def verify_authorization(
    authorization: Authorization,
    canonical: bytes,
    keccak256: Callable[[bytes], bytes],
    recover: Callable[[bytes, bytes], str],
) -> str:
    """The address that signed the request.

    Args:
        recover: (32-byte message, 65-byte signature with v 0 or 1) to an EIP-55 address; raises
            SignatureError.

    Raises:
        RequestTampered: the signed message is not that of this request.
        SignatureError: no key can have made the signature.
    """
    message = message_to_sign(canonical, keccak256)
    if authorization.signed_msg != message.hex():
        raise RequestTampered("the signed message is not the one of this request")
    return recover(message, authorization.signature)


def _collapsed(value: str) -> str:
    """Runs of blanks as one space each, none at the ends."""
    if _NO_BLANKS_OF_GO.search(value):
        return _BLANKS.sub(" ", value).strip(" ")
    return " ".join(value.split())  # a tenth of the time, and anybody may send long values


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
