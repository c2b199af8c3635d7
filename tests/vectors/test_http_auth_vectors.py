"""Canonical requests of protocol 06 §2.3 and the requests a Go provider accepted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from greenray.chain.crypto import (
    address_of,
    address_of_public_key,
    keccak256,
    recover_digest,
    sign_digest,
)
from greenray.protocol.http_auth import (
    EXPIRING_HEADERS,
    canonical_of,
    canonical_request,
    decode_path,
    encode_path,
    format_authorization,
    message_to_sign,
    parse_authorization,
    parse_expiring_authorization,
    signed_values,
    verify_authorization,
)
from greenray.protocol.request_query import RequestQuery

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "provider-v0_2.json").read_text()
)
OWNER_KEY = bytes([0x12]) * 32
EMPTY = hashlib.sha256(b"").hexdigest()


def _recover(message: bytes, signature: bytes) -> str:
    return address_of_public_key(recover_digest(message, signature, accept_27_28=False))


def test_the_worked_example_gives_the_published_hashes_and_signature() -> None:
    canonical = canonical_request(
        "PUT",
        "/test-object",
        "",
        [
            ("Content-Type", "application/octet-stream"),
            ("X-Gnfd-Content-Sha256", EMPTY),
            ("X-Gnfd-Date", "20230515T080000Z"),
        ],
        "test-bucket.gnfd.test.local:9033",
    )
    assert canonical.decode() == (
        "PUT\n/test-object\n\ncontent-type:application/octet-stream\n"
        f"x-gnfd-content-sha256:{EMPTY}\nx-gnfd-date:20230515T080000Z\n"
        "test-bucket.gnfd.test.local:9033\n\n"
        "content-type;x-gnfd-content-sha256;x-gnfd-date"
    )
    message = message_to_sign(canonical, keccak256)
    assert hashlib.sha256(canonical).hexdigest() == (
        "f104dd33a2210d5f9c85bf0f47dda7493c7347c291a1fdccd737f6646c69cea3"
    )
    assert message.hex() == "8ffa0ee2eb97b4e3a9be83cfb4e263f895c8f9a9ff333cd93400fcd751b75ab2"
    assert sign_digest(OWNER_KEY, message).hex() == (
        "299bdeb4001670f74465dccd30fd0973df6f7c260ef740aad7f8a31b94c3b0c416c2e381a67157e7f74e0243"
        "dec50d54c2ca36e1d1b76a38b8d4b2c400ed5df001"
    )


@pytest.mark.parametrize(
    ("raw_path", "query", "headers", "expected"),
    [
        (
            "/b/dir/a%20b%2Bc/%E4%B8%AD",
            "upload-progress=",
            [
                ("X-Gnfd-Object-ID", "7"),
                ("Content-MD5", "aa"),
                ("X-Gnfd-Redundancy-Index", "-1"),
                ("X-Gnfd-Piece-Index", "0"),
            ],
            "GET\n/b/dir/a%20b%2Bc/%E4%B8%AD\nupload-progress=\nx-gnfd-piece-index:0\n"
            "x-gnfd-redundancy-index:-1\nh\n\nx-gnfd-piece-index;x-gnfd-redundancy-index",
        ),
        (
            "/b/o",
            "z=1&a=x%20y+q&upload-progress",
            [("Range", "bytes=0-1"), ("X-Gnfd-User-Address", "  a   b ")],
            "GET\n/b/o\na=x%20y%20q&upload-progress=&z=1\nrange:bytes=0-1\n"
            "x-gnfd-user-address:a b\nh\n\nrange;x-gnfd-user-address",
        ),
    ],
)
def test_canonical_strings_are_those_of_the_go_server(
    raw_path: str, query: str, headers: list[tuple[str, str]], expected: str
) -> None:
    canonical = canonical_request("GET", decode_path(raw_path), query, headers, "h")
    assert canonical.decode() == expected


@pytest.mark.parametrize("name", ["get_approval", "put_object", "get_object"])
def test_recorded_requests_are_signed_as_the_go_provider_accepted_them(name: str) -> None:
    request = VECTORS[name]["request"]
    owner = VECTORS["test_keys"]["owner"]
    header = request["headers"]["Authorization"]
    canonical = canonical_request(
        request["method"],
        request["path"],
        request["query"],
        request["headers"].items(),
        request["host"],
    )
    assert canonical.decode() == request["canonical"]
    message = message_to_sign(canonical, keccak256)
    signature = sign_digest(bytes.fromhex(owner["private_key"]), message)
    assert format_authorization(message, signature) == header
    assert (
        verify_authorization(parse_authorization(header), canonical, keccak256, _recover)
        == (owner["address"])
    )


def test_an_unseen_key_signs_a_non_ascii_path_and_is_recovered() -> None:
    key = hashlib.sha256(b"unseen").digest()
    path = "/bücket/ä ö/%+?#\U0001f600"
    assert decode_path(encode_path(path)) == path
    canonical = canonical_request("get", path, "b=%2F&a", [("range", "bytes=1-")], "localhost:1")
    message = message_to_sign(canonical, keccak256)
    header = format_authorization(message, sign_digest(key, message))
    assert verify_authorization(parse_authorization(header), canonical, keccak256, _recover) == (
        address_of(key)
    )


def test_the_worked_example_that_expires_gives_the_published_hash_and_signature() -> None:
    headers = {
        "Content-Type": "application/octet-stream",
        "X-Gnfd-Content-Sha256": EMPTY,
        "X-Gnfd-Date": "20230515T080000Z",
        "X-Gnfd-Expiry-Timestamp": "2023-05-15T08:10:00Z",
    }
    canonical = canonical_of(
        "PUT",
        "/test-object",
        RequestQuery(),
        signed_values(headers.items(), EXPIRING_HEADERS),
        "test-bucket.gnfd.test.local:9033",
    )
    message = keccak256(canonical)
    assert message.hex() == "0c6945cfd4e15497991aaad3df89cfad4a568befe7060aa2ab723f724578c2d7"
    signature = sign_digest(OWNER_KEY, message)
    assert signature == parse_expiring_authorization(
        "GNFD1-ECDSA, Signature=a22a672971c55fda567e0bc312eb5b82229b66b3cda2b35763d9435f2767818c"
        "4d1ce370f8a64875209b192ee2ca3d584214eac3a643dc4bbbcf539d0ee9161d01"
    )
