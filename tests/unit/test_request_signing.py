"""Headers of signed requests, for clients that cannot sign."""

from __future__ import annotations

import hashlib

import pytest

from greenray.client.request_signing import headers_of, signed_headers
from greenray.protocol.errors import InvalidInput, InvalidQuery

OWNER_KEY = bytes([0x12]) * 32


def test_the_worked_example_is_signed_as_published() -> None:
    url = "http://test-bucket.gnfd.test.local:9033/test-object"
    headers = signed_headers(OWNER_KEY, "PUT", url, {}, 1684137600.0)
    assert headers == {
        "Content-Type": "application/octet-stream",
        "X-Gnfd-Content-Sha256": hashlib.sha256(b"").hexdigest(),
        "X-Gnfd-Date": "20230515T080000Z",
        "Authorization": (
            "authTypeV1 ECDSA-secp256k1, SignedMsg=8ffa0ee2eb97b4e3a9be83cfb4e263f895c8f9a9ff333cd9"
            "3400fcd751b75ab2, Signature=299bdeb4001670f74465dccd30fd0973df6f7c260ef740aad7f8a31b94"
            "c3b0c416c2e381a67157e7f74e0243dec50d54c2ca36e1d1b76a38b8d4b2c400ed5df001"
        ),
    }


def test_what_is_sent_as_well_is_there_and_signed() -> None:
    url = "http://gateway/album/photo?upload-progress="
    plain = signed_headers(OWNER_KEY, "GET", url, {}, 0.0)
    ranged = signed_headers(OWNER_KEY, "GET", url, headers_of(["Range:  bytes=0-9 "]), 0.0)
    assert ranged["Range"] == "bytes=0-9"
    assert ranged["Authorization"] != plain["Authorization"]


@pytest.mark.parametrize("line", ["Range", ": x", "a b: c", "Range: a\r\nX: y"])
def test_what_is_no_header_is_refused(line: str) -> None:
    with pytest.raises(InvalidInput, match="is no header"):
        headers_of([line])


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "album/photo"),
        ("GET", "ftp://gateway/album"),
        ("GET", "http://user@gateway/album"),
        ("GET", "http://gateway/album/100%"),
        ("get it", "http://gateway/album"),
    ],
)
def test_what_no_gateway_could_be_asked_is_refused(method: str, url: str) -> None:
    with pytest.raises(InvalidInput):
        signed_headers(OWNER_KEY, method, url, {})


def test_a_query_that_readers_take_differently_is_refused() -> None:
    with pytest.raises(InvalidQuery):
        signed_headers(OWNER_KEY, "GET", "http://gateway/album?a;b", {})
