"""EdDSA of users' browser keys, as the Go provider's library makes and takes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from greenray.chain.eddsa import decode_point, encode_point, verify
from greenray.protocol.errors import SignatureError

SAMPLES = json.loads((Path(__file__).parent / "data" / "eddsa-v0_2.json").read_text())["samples"]


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_signature_is_taken_exactly_when_the_go_library_takes_it(sample: dict[str, Any]) -> None:
    key = decode_point(bytes.fromhex(sample["public_key"]))
    try:
        verify(key, sample["message"].encode(), bytes.fromhex(sample["signature"]))
        taken = True
    except SignatureError:
        taken = False
    assert taken is sample["valid"]


def test_a_public_key_is_written_as_it_was_read() -> None:
    for sample in SAMPLES:
        data = bytes.fromhex(sample["public_key"])
        assert encode_point(decode_point(data)) == data


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(33), b"\x02" + bytes(31)])
def test_what_is_no_point_of_the_curve_is_no_public_key(data: bytes) -> None:
    with pytest.raises(SignatureError):
        decode_point(data)
