"""Bundles as Greenfield's own library writes them (tests/vectors/data/bundles.json)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from greenray.protocol.bundle import (
    BundleEntry,
    BundleWriter,
    encode_entry,
    locate_index,
    parse_index,
)

RECORDED = json.loads((Path(__file__).parent / "data" / "bundles.json").read_text())
CASES = RECORDED["cases"]


def payload(size_bytes: int) -> bytes:
    return bytes((7 * i + size_bytes) % 251 for i in range(size_bytes))


def recorded_entry(told: Mapping[str, Any]) -> BundleEntry:
    data = payload(told["size_bytes"])
    return BundleEntry(
        told["name"],
        told["offset"],
        told["size_bytes"],
        hashlib.sha256(data).digest() if told["hashed"] else None,
        told["content_type"],
        tuple((told["tags"] or {}).items()),
    )


def by_case(case: Mapping[str, Any]) -> str:
    return str(case["case"])


@pytest.mark.parametrize("case", CASES, ids=by_case)
def test_a_recorded_bundle_is_read(case: Mapping[str, Any]) -> None:
    entries = [recorded_entry(told) for told in case["entries"]]
    bundle = b"".join(payload(e.size_bytes) for e in entries) + bytes.fromhex(
        case["index_and_trailer"]
    )
    assert hashlib.sha256(bundle).hexdigest() == case["bundle_sha256"]
    place = locate_index(bundle[-16:], len(bundle), "test")
    index = bundle[place.offset : place.offset + place.size_bytes]
    assert list(parse_index(index, place.offset, "test").values()) == entries


@pytest.mark.parametrize("case", CASES, ids=by_case)
def test_entries_are_written_as_they_were_recorded(case: Mapping[str, Any]) -> None:
    index = bytes.fromhex(case["index_and_trailer"])[:-16]
    assert b"".join(encode_entry(recorded_entry(told)) for told in case["entries"]) == index


def test_a_directory_becomes_the_bundle_that_was_recorded() -> None:
    case = CASES[0]
    writer = BundleWriter()
    payloads = []
    for told in case["entries"]:
        data = payload(told["size_bytes"])
        payloads.append(data)
        writer.add(told["name"], len(data), hashlib.sha256(data).digest(), told["content_type"])
    bundle = b"".join(payloads) + writer.end()
    assert len(bundle) == case["bundle_size_bytes"]
    assert hashlib.sha256(bundle).hexdigest() == case["bundle_sha256"]
