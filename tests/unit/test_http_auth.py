"""The traps of the canonical request and of the Authorization header (protocol 06 §2)."""

from __future__ import annotations

import hashlib

import pytest

from greenray.protocol.errors import RequestTampered, SignatureError
from greenray.protocol.http_auth import (
    Authorization,
    canonical_query,
    canonical_request,
    decode_path,
    encode_path,
    format_authorization,
    parse_authorization,
    signed_values,
    verify_authorization,
)
from greenray.protocol.request_query import parse_query

SIGNATURE = "ab" * 65


def test_object_id_and_md5_headers_are_never_signed() -> None:
    headers = [("X-Gnfd-Object-Id", "1"), ("Content-Md5", "x"), ("Content-Type", "text/plain")]
    canonical = canonical_request("GET", "/b/o", "", headers, "h").decode()
    assert canonical.endswith("content-type:text/plain\nh\n\ncontent-type")


def test_without_signed_headers_only_the_host_line_and_an_empty_line_remain() -> None:
    assert canonical_request("GET", "/b", "", [("Accept", "*/*")], "h:1") == b"GET\n/b\n\nh:1\n\n"


def test_repeated_headers_are_joined_with_commas_in_order() -> None:
    headers = [("X-Gnfd-Date", "b"), ("x-gnfd-date", " a\t c")]
    assert b"x-gnfd-date:b,a c\n" in canonical_request("GET", "/", "", headers, "h")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" a \t\u3000b\x85", "a b"),
        ("a\x1cb \x1f c", "a\x1cb \x1f c"),
        (" \x1d\t\t", "\x1d"),
        ("\u200b", "\u200b"),
        ("  ", ""),
    ],
)
def test_blanks_are_those_of_go(value: str, expected: str) -> None:
    assert signed_values([("Range", value)]) == {"range": expected}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", ""),
        ("a", "a="),
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1", "a=2&a=1"),
        ("a=x+y", "a=x%20y"),
        ("a=%2f~-_.*", "a=%2F~-_.%2A"),
        ("a=%zz&b=1", "b=1"),
        ("a=1;b=2&c=3", "c=3"),
        ("&&a==b", "a=%3Db"),
        ("=v", "=v"),
        ("a=é", "a=%C3%A9"),
        ("a=%ff", "a=%FF"),
    ],
)
def test_queries_are_reencoded_as_go_does(raw: str, expected: str) -> None:
    assert canonical_query(parse_query(raw)) == expected


def test_a_plus_in_a_path_stays_a_plus() -> None:
    assert decode_path("/a+b%20c") == "/a+b c"
    assert encode_path("/a+b c") == "/a%2Bb%20c"


def test_bytes_that_are_not_utf8_become_the_replacement_character() -> None:
    assert encode_path(decode_path("/%ff%fe")) == "/%EF%BF%BD%EF%BF%BD"


@pytest.mark.parametrize("raw", ["/%", "/%4", "/%g1"])
def test_broken_percent_escapes_are_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="percent"):
        decode_path(raw)


@pytest.mark.parametrize(
    "header",
    [
        f"authTypeV1 ECDSA-secp256k1,  SignedMsg=aa, Signature={SIGNATURE}",
        f"authTypeV1 ECDSA-secp256k1,Signature={SIGNATURE.upper()},SignedMsg=aa",
    ],
)
def test_spaces_and_order_of_the_items_do_not_matter(header: str) -> None:
    assert parse_authorization(header) == Authorization("aa", b"\xab" * 65)


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"authTypeV2 ECDSA-secp256k1, SignedMsg=aa, Signature={SIGNATURE}",
        f"authTypeV1 ECDSA-secp256k1 SignedMsg=aa, Signature={SIGNATURE}",
        "authTypeV1 ECDSA-secp256k1, SignedMsg=aa",
        f"authTypeV1 ECDSA-secp256k1, SignedMsg=aa, Signature={SIGNATURE}, Other=1",
        f"authTypeV1 ECDSA-secp256k1, SignedMsg=a=a, Signature={SIGNATURE}",
        "authTypeV1 ECDSA-secp256k1, SignedMsg=aa, Signature=zz",
        "authTypeV1 ECDSA-secp256k1, SignedMsg=aa, Signature=" + "ab" * 64,
        f"authTypeV1 ECDSA-secp256k1, SignedMsg, Signature={SIGNATURE}",
    ],
)
def test_malformed_authorization_headers_are_refused(header: str) -> None:
    with pytest.raises(SignatureError):
        parse_authorization(header)


def test_a_changed_request_counts_as_tampered_before_the_signature_is_looked_at() -> None:
    def digest(data: bytes) -> bytes:
        return hashlib.sha256(data).digest()

    def never(message: bytes, signature: bytes) -> str:
        raise AssertionError("the signature was looked at")

    signed = canonical_request("GET", "/b/o", "", [], "h")
    message = digest(hashlib.sha256(signed).digest())
    authorization = parse_authorization(format_authorization(message, bytes(65)))
    changed = canonical_request("GET", "/b/p", "", [], "h")
    with pytest.raises(RequestTampered):
        verify_authorization(authorization, changed, digest, never)
